"""contract/openapi.json is what the app serves, so that SDKs may be generated from the file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.contract import CONTRACT, drift, text


def test_the_committed_contract_is_the_app_s_own() -> None:
    assert drift(CONTRACT.read_text(encoding="utf-8"), text()) == [], "run `make contract`"


def test_no_path_is_there_twice_under_other_names() -> None:
    """OpenAPI forbids it, and generators of clients drop one of the two."""
    paths = json.loads(text())["paths"]
    bare = [re.sub(r"{[^}]*}", "{}", path) for path in paths]
    assert len(set(bare)) == len(bare)


def test_the_contract_does_not_depend_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = text()
    (tmp_path / "cost-ops.toml").write_text("[server]\nport = 9999\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COST_OPS_SERVER_PORT", "9998")
    assert text() == before


def test_a_drift_names_the_first_difference() -> None:
    found = drift('{\n  "a": 1\n}\n', '{\n  "a": 2\n}\n')
    assert '-  "a": 1' in found
    assert '+  "a": 2' in found
