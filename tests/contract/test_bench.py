"""`python -m bench` runs and says what it should; how fast anything is, is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.figures import Figure
from bench.fill import DAYS, SMALLER, TINY_ROWS, filled
from bench.page import refreshed, row, rows_in, table
from bench.places import ROOT
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.ledger.verify import verify
from llm_cost_ops.server.settings import DatabaseSettings

PARTS = {
    "startup": ["import llm_cost_ops", "idle server"],
    "batch": ["`POST /usage/batch`", "`POST /usage/batch`"],
    "single": ["`POST /usage`"],
    "aggregates": ["aggregate by provider", "aggregate by a metadata key"],
    "streaming": ["stream of"],
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


def test_a_part_measured_again_leaves_the_rows_of_the_others() -> None:
    def figure(work: str) -> Figure:
        return Figure(work, "under 3 s", "a | b", "1 s", "0.5", met=True)

    old = [
        row("batch", figure("one"), "2026-01-01", 5),
        row("batch", figure("two"), "2026-01-01", 5),
        row("single", figure("three"), "2026-01-01", 5),
    ]
    known = rows_in(f"# Title\n\n{table(old)}\n\nWords.\n")
    assert known == old
    new = {"batch": [row("batch", figure("four"), "2026-02-02", 3)]}
    assert refreshed(known, new, ("rating", "batch", "single")) == [*new["batch"], old[2]]
