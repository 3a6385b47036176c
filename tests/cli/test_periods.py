"""`periods`: months closed at the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.cli.conftest import Run, call, write_lines


@pytest.mark.usefixtures("ledger")
def test_a_month_is_closed_told_and_opened_again(run: Run, place: Path) -> None:
    rows = [{**call(1), "timestamp": "2025-05-30T12:00:00Z"}, {**call(2, model="no-such-model"),
            "timestamp": "2025-05-31T12:00:00Z"}]  # fmt: skip
    assert run("ingest", write_lines(place / "c.jsonl", rows), "--format", "jsonl").code == 0
    assert run("periods", "close", "2025-05", "--strict").code != 0
    closed = run("periods", "close", "2025-05")
    assert closed.code == 0
    assert "1 call has no price" in closed.err
    assert run("periods", "show", "2025-05", "-o", "json").json()["status"] == "closed"
    listed = run("periods", "list").out
    assert "0.0075 USD" in listed
    assert run("export", "--billing-period", "2025-05", "-o", "a.csv").code == 0
    assert run("export", "--billing-period", "2025-05", "--period", "x", "-o", "b.csv").code == 2
    printed = run("periods", "statement", "2025-05").out
    lines = list(csv.DictReader(io.StringIO(printed)))
    assert [(line["model"], line["total_cost"]) for line in lines] == [
        ("gpt-4o", "0.0075"), ("no-such-model", ""),
    ]  # fmt: skip
    assert run("periods", "statement", "2025-05", "-f", "json", "-o", "s.json").code == 0
    assert '"2025-05"' in (place / "s.json").read_text()
    assert run("periods", "statement", "2025-05", "-f", "pdf").code == 2
    assert run("periods", "reopen", "2025-05").code == 2, "why?"
    assert run("periods", "reopen", "2025-05", "--reason", "a mistake").code == 0
    assert run("periods", "show", "2025-05", "-o", "json").json()["status"] == "open"
