"""Imports as programs: two at once, and one that is killed in the middle."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import time
from decimal import Decimal
from pathlib import Path

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.cli.conftest import SHARED, Run, call, command_line, program, write_lines

TRACES = [SHARED / "data" / f"AzureLLMInferenceTrace_{name}.csv" for name in ("conv", "code")]
TRACE_ROWS = 1500
MANY = 20_000
PATIENCE_SECONDS = 120


def started(*arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line(arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        preexec_fn=_hear_the_keyboard,
    )


def _hear_the_keyboard() -> None:
    """A suite that runs in the background of a shell is deaf to interrupts, and so are its children
    unless told otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def unmeasured() -> dict[str, str]:
    """An environment without coverage: an interrupt inside the lock of its collector leaves that
    locked, and then all threads wait for it."""
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS_")}


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


def expected_cost(trace: Path) -> tuple[int, Decimal]:
    """Calls of a trace and their cost as gpt-4o, by hand: 2.50 and 10 dollars a million."""
    with trace.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    tokens = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows]
    return len(rows), sum((Decimal(i) * 5 / 2 + o * 10 for i, o in tokens), Decimal(0)) / 1_000_000


@pytest.mark.slow
@pytest.mark.skipif(not all(trace.exists() for trace in TRACES), reason="no shared data")
def test_traces_from_two_processes_at_once(
    run: Run, database_settings: DatabaseSettings, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The beginnings of both traces, each by two programs at the same time: every call is there
    once, and the total is right to the tenth decimal, on each database."""
    monkeypatch.setenv("DATABASE_URL", database_settings.url)
    assert run("init").code == 0
    samples = [place / trace.name for trace in TRACES]
    for trace, sample in zip(TRACES, samples, strict=True):
        lines = trace.read_text(encoding="utf-8").splitlines()[: TRACE_ROWS + 1]
        sample.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ("ingest", *samples, "--model", "gpt-4o", "--batch-size", 250, "-o", "json")
    shown = [finished(process) for process in [started(*arguments) for _ in range(2)]]
    counts, costs = zip(*map(expected_cost, samples), strict=True)
    assert [one["records"] for one in shown] == [sum(counts)] * 2
    assert sum(int(str(one["created"])) for one in shown) == sum(counts)
    assert sum(int(str(one["duplicates"])) for one in shown) == sum(counts)
    proof = run("verify", "-o", "json").json()
    assert (proof["ok"], proof["records"]) == (True, sum(counts))
    assert Decimal(proof["total_cost"]) == sum(costs)


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


@pytest.mark.slow
def test_an_import_that_is_stopped_from_the_keyboard_tells_what_it_did(
    run: Run, ledger: str, place: Path
) -> None:
    file = write_lines(place / "c.jsonl", [call(n) for n in range(MANY)])
    process = started("ingest", "-f", file, "--batch-size", 100, "-o", "json", env=unmeasured())
    until = time.monotonic() + PATIENCE_SECONDS
    while stored(ledger) < 500 and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert err.splitlines()[:2] == [
        "Error [INTERRUPTED]: stopped",
        "Stopped: run the same command again, nothing is stored twice.",
    ]
    assert 0 < json.loads(out)["created"] < MANY
    proof = run("verify", "-o", "json").json()
    assert proof["ok"]
    assert 500 <= proof["records"] < MANY


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
