"""`python -m bench` runs and says what it should; how fast anything is, is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.figures import Figure
from bench.fill import DAYS, SMALLER, TINY_ROWS, filled
from bench.page import PAGE, Row, page, refreshed, stored, table, write
from bench.places import ROOT
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.ledger.verify import verify
from llm_cost_ops.server.settings import DatabaseSettings

PARTS = {
    "startup": ["import llm_cost_ops", "idle server"],
    "authentication": [
        "authentication of a request: API key",
        "authentication of a request: session",
        "authentication of a request: access token (HS256)",
        "authentication of a request: access token (EdDSA)",
        "a key that another process revokes",
    ],
    "batch": ["`POST /usage/batch`", "`POST /usage/batch`"],
    "single": ["`POST /usage`"],
    "reserving": ["reserve and settle", "the same with eight budgets"],
    "budgets": ["`POST /usage/batch`, 1,000 a call that move 20 of 100 budgets"],
    "aggregates": ["aggregate by provider", "aggregate by a metadata key"],
    "streaming": ["stream of"],
    "exports": ["export of 900 calls as"] * 6,
    "reports": ["chargeback by team as PDF"] * 2,
    "forecasting": [
        "`auto`, 13 weeks",
        "`auto`, 48 hours",
        "4 daily series of a year, 30 days ahead, two cores: `auto`",
        "4 daily series of a year, 30 days ahead, two cores: `linear`",
    ],
    "anomalies": ["`auto` of anomalies"],
}
"""Parts that need no peer, and how the work of their figures begins."""


@pytest.mark.slow
def test_every_part_says_its_figures() -> None:
    command = [
        sys.executable, "-m", "bench", "--tiny", "--json", "--databases", "sqlite",
        "--only", ",".join(PARTS),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = [Figure(**json.loads(line)) for line in done.stdout.splitlines()]
    begins = [begin for part in PARTS.values() for begin in part]
    assert len(figures) == len(begins)
    for figure, begin in zip(figures, begins, strict=True):
        assert figure.work.lstrip("`").startswith(begin.lstrip("`"))
        assert figure.measured
        assert figure.beside
        parts = figure.goal.split("; ") if figure.goal != "stated" else []
        assert len(figure.met) == len(parts), "a word for each part of the goal"
    for figure in figures:
        if figure.work.startswith("aggregate"):
            assert f"({TINY_ROWS // 3:,} of {TINY_ROWS:,} calls match)" in figure.work


def test_a_filled_ledger_is_one_that_verify_accepts() -> None:
    rows = TINY_ROWS // SMALLER
    ledger = filled("sqlite", rows)
    database = open_maintenance_database(DatabaseSettings(url=ledger.url))
    with read(database) as session:
        found = verify(session)
    database.dispose()
    assert found.ok, found.first_difference
    assert found.records == ledger.rows == rows
    first, end = ledger.month()
    assert ledger.last_day - DAYS < first < end <= ledger.last_day


def test_an_unknown_part_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "speed"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no part is named speed" in done.stderr


def row(part: str, database: str, work: str, **changed: str) -> Row:
    figure = Figure(work, "under 3 s", "a | b", "1 s", "0.5", met=[True, False], database=database)
    known = {"day": "2026-01-01", "version": "", "machine": "One, 2 cores", **changed}
    return Row(part, runs=5, figure=figure, **known)


def test_a_part_measured_again_on_one_database_leaves_all_other_rows() -> None:
    old = [
        row("rating", "", "price"),
        row("batch", "sqlite", "one client"),
        row("batch", "sqlite", "four clients"),
        row("batch", "postgres", "one client"),
        row("batch", "mysql", "one client"),
        row("single", "postgres", "alone"),
    ]
    new = [row("batch", "postgres", work, day="2026-02-02") for work in ("one", "two")]
    parts = ("rating", "batch", "single")
    assert refreshed(old, new, parts) == [*old[:3], *new, *old[4:]]
    assert refreshed([], [*reversed(old[3:]), *old[:3]], parts) == old, "in the order of the page"


def test_rows_are_kept_as_they_were_measured(tmp_path: Path) -> None:
    rows = [row("batch", "sqlite", "`a` | \u00b5", version="SQLite 3.40.1"), row("rating", "", "b")]
    path, text = tmp_path / "measured.json", tmp_path / "page.md"
    assert stored(path) == []
    write(rows, path=path, to=text)
    assert stored(path) == rows
    assert text.read_text(encoding="utf-8") == page(rows)


def test_each_row_says_when_and_with_what_it_was_measured() -> None:
    rows = [row("rating", "", "a"), row("batch", "sqlite", "b", version="SQLite 3.40.1")]
    first, second = table(rows).splitlines()[2:]
    assert first == "| rating | a | under 3 s | a \\| b | 1 s | 0.5 | yes; **no** | 2026-01-01, 5 |"
    assert second.endswith("| 2026-01-01, 5, SQLite 3.40.1 |")
    assert "\nMachine: One, 2 cores.\n" in page(rows)
    rows.append(row("batch", "postgres", "c", version="PostgreSQL 15.18", machine="Two, 8 cores"))
    assert "\nMachine 1: One, 2 cores.\n\nMachine 2: Two, 8 cores.\n" in page(rows)
    assert "| 2026-01-01, 5, SQLite 3.40.1, machine 1 |" in page(rows)
    assert "| 2026-01-01, 5, PostgreSQL 15.18, machine 2 |" in page(rows)


def test_the_published_page_is_what_its_rows_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(stored())
