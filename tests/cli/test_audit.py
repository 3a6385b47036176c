"""`audit verify` and `audit checkpoints`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Run, call, write_lines


def changed(place: Path, statement: str) -> None:
    with sqlite3.connect(place / "ledger.db") as connection:
        connection.execute(statement)
    connection.close()


@pytest.fixture
def logged(run: Run, ledger: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger whose audit log has entries."""
    monkeypatch.setenv("COST_OPS_SECURITY_SECRET_KEY", "a secret key of more than 32 bytes, ours")
    for number in range(3):
        assert run("ingest", write_lines(place / "c.jsonl", [call(number)])).code == 0
    return place


def test_a_log_is_proven_and_a_change_is_found(run: Run, logged: Path) -> None:
    shown = run("audit", "verify", "-o", "json").json()
    (proof,) = shown["organizations"]
    assert (shown["ok"], proof["first_bad_seq"]) == (True, None)
    assert proof["entries"] == proof["head_seq"] >= 4
    changed(logged, "UPDATE audit_log SET actor_id = 'key_x' WHERE seq = 2")
    ran = run("audit", "verify", "-o", "json")
    (proof,) = ran.document()["organizations"]
    assert (ran.code, proof["first_bad_seq"], proof["fault"]) == (1, 2, "edited")
    ran = run("audit", "verify")
    assert ran.code == 1
    assert "BAD from entry 2 on" in ran.out


def test_a_checkpoint_outside_finds_a_log_that_is_gone(run: Run, logged: Path) -> None:
    assert run("audit", "checkpoints", "make", "-o", "json").json() == {"made": 1}
    exported = run("audit", "checkpoints", "export")
    line = json.loads(exported.out)
    assert line["public_key"]
    assert line["signature"]
    (logged / "kept.jsonl").write_text(exported.out, encoding="utf-8")
    arguments = ("audit", "verify", "--checkpoint", logged / "kept.jsonl", "-o", "json")
    assert run(*arguments).json()["organizations"][0]["checkpoints"] == 2
    for table in ("audit_log", "audit_heads", "audit_checkpoints"):
        changed(logged, f"DELETE FROM {table}")
    assert run("audit", "verify").code == 0
    ran = run(*arguments)
    assert ran.code == 1
    assert ran.document()["organizations"][0]["fault"] == "truncated"


def test_a_file_that_is_no_checkpoint(run: Run, logged: Path) -> None:
    (logged / "bad.jsonl").write_text('{"seq": 1}\n', encoding="utf-8")
    for path, said in ((logged / "bad.jsonl", "line 1"), (logged / "none", "cannot read")):
        ran = run("audit", "verify", "--checkpoint", path)
        assert ran.code == 2
        assert said in ran.err
