"""Imports as programs: two at once, and one that is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SHARED, Run, call, command_line, program, write_lines

TRACE = SHARED / "data" / "AzureLLMInferenceTrace_code.csv"
MANY = 20_000
PATIENCE_SECONDS = 120


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, (process.returncode, err)
    return json.loads(out, parse_float=str)


def stored(ledger: str) -> int:
    database = sqlite3.connect(ledger.removeprefix("sqlite:///"))
    try:
        return int(database.execute("SELECT COUNT(*) FROM usage_records").fetchone()[0])
    finally:
        database.close()


@pytest.mark.slow
@pytest.mark.skipif(not TRACE.exists(), reason="no shared data")
def test_a_trace_from_two_processes_at_once(run: Run, ledger: str, place: Path) -> None:
    lines = TRACE.read_text(encoding="utf-8").splitlines()
    sample = place / "trace.csv"
    sample.write_text("\n".join(lines[:4001]) + "\n", encoding="utf-8")
    arguments = ("ingest", "-f", sample, "--model", "gpt-4o", "-o", "json")
    both = [started(*arguments) for _ in range(2)]
    shown = [finished(process) for process in both]
    assert [one["records"] for one in shown] == [4000, 4000]
    assert sum(int(str(one["created"])) for one in shown) == 4000
    assert sum(int(str(one["duplicates"])) for one in shown) == 4000
    proof = run("verify", "-o", "json").json()
    assert (proof["ok"], proof["records"]) == (True, 4000)
    alone = f"sqlite:///{place}/alone.db"
    assert run("init", "--database-url", alone).code == 0
    assert run(*arguments, "--database-url", alone).code == 0
    other = run("verify", "--database-url", alone, "-o", "json").json()
    assert other["total_cost"] == proof["total_cost"]


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_import_that_is_killed_and_run_again_loses_and_doubles_nothing(
    run: Run, ledger: str, place: Path, share: float
) -> None:
    file = write_lines(place / "c.jsonl", [call(n) for n in range(MANY)])
    arguments = ("ingest", "-f", file, "--batch-size", 200, "-o", "json")
    process = started(*arguments)
    until = time.monotonic() + PATIENCE_SECONDS
    while stored(ledger) < MANY * share and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    before = stored(ledger)
    assert MANY * share <= before < MANY
    again = finished(started(*arguments))
    assert (again["created"], again["duplicates"]) == (MANY - before, before)
    proof = run("verify", "-o", "json").json()
    assert (proof["ok"], proof["records"], proof["total_cost"]) == (True, MANY, 150)


def test_no_progress_bar_where_nobody_watches(ledger: str, place: Path) -> None:
    file = write_lines(place / "c.jsonl", [call(n) for n in range(500)])
    done = program("ingest", "-f", file)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_a_progress_bar_with_its_rate_on_a_terminal(ledger: str, place: Path) -> None:
    import pty

    file = write_lines(place / "c.jsonl", [call(n) for n in range(3000)])
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command_line(["ingest", "-f", file]),
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(leader)
    assert process.returncode == 0
    assert b"records" in shown
    assert b"/s" in shown
    assert b"3,000" in out


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # the other end was closed
        return b""
