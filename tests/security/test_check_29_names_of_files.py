"""Check 29: names of exported files are ours, whatever the person or the request is called."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from llm_cost_ops.cli.failure import CommandError
from llm_cost_ops.cli.privacy import _write
from tests.support.application import Application
from tests.support.calls import accepted, record, send, usage

pytestmark = pytest.mark.check(29)
NAMES = [
    "../../etc/passwd", "/etc/passwd", "%2e%2e%2fpasswd", "CON", "a" * 255, "naïve.exe",
    'quote".json', "semi;colon",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_an_export_is_an_id_of_ours(sqlite_application: Application, name: str) -> None:
    app = sqlite_application
    record(app, usage("one", user_id=name))
    body = {"kind": "access", "subject": name}
    made = accepted(send(app, "/privacy/requests", body), 201)
    for form, ending in (("json", "json"), ("csv", "zip")):
        answer = app.get(f"/api/v1/privacy/requests/{made['id']}/export?format={form}")
        assert answer.status_code == 200
        said = answer.headers["content-disposition"]
        assert re.fullmatch(rf'attachment; filename="prv_[0-9A-Z]{{26}}\.{ending}"', said)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", NAMES)
def test_no_path_is_read_from_the_id_of_a_request(
    sqlite_application: Application, name: str
) -> None:
    path = f"/api/v1/privacy/requests/{quote(name, safe='')}/export"
    assert sqlite_application.get(path).status_code in (404, 405)


def test_a_file_is_neither_overwritten_nor_followed(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("kept", encoding="utf-8")
    (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere.json")
    for path in (there, tmp_path / "link.json", tmp_path / "no" / "folder.json"):
        with pytest.raises(CommandError):
            _write(path, "{}")
    assert there.read_text(encoding="utf-8") == "kept"
    assert not (tmp_path / "elsewhere.json").exists()
    _write(tmp_path / "new.json", "{}")
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o600
