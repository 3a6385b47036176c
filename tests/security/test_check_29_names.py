"""Check 29: names that callers choose are ids and texts, and never paths of files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.application import Application
from tests.support.made import made
from tests.support.operations import operations

pytestmark = pytest.mark.check(29)

NAMES = (
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "CON",
    "NUL.txt",
    "a" * 300,
    "\u202egnp.exe",
    "file:///etc/passwd",
)


def test_no_id_in_a_path_reads_a_file(sqlite_application: Application) -> None:
    ids = made(sqlite_application)
    for called in operations(sqlite_application):
        if called.method != "GET" or "{" not in called.path:
            continue
        for name in NAMES:
            for written in (quote(name, safe=""), quote(name, safe="/%")):
                answer = sqlite_application.get(called.at(dict.fromkeys(ids, written) | {
                    part.strip("{}"): written for part in called.path.split("/") if "{" in part
                }))  # fmt: skip
                assert answer.status_code < 500, (called, name)
                assert "root:" not in answer.text, (called, name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("root", ["/docs/", "/openapi.json/", "/metrics/", "/", "/static/"])
def test_no_page_reads_a_file(sqlite_application: Application, name: str, root: str) -> None:
    answer = sqlite_application.get(root + quote(name, safe="/%"), key=None)
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text


def test_ingest_writes_no_file(
    sqlite_application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for number, name in enumerate(NAMES):
        record = {
            "event_id": f"names-{number}",
            "provider": "openai",
            "model": "gpt-4o",
            "prompt_tokens": 1,
            "project_id": name[:100],
            "metadata": {"file": name},
        }
        assert sqlite_application.post("/api/v1/usage", json=record).status_code in (201, 422)
    after = [path for path in sorted(tmp_path.rglob("*")) if ".db" not in path.name]
    assert after == [path for path in before if ".db" not in path.name]
