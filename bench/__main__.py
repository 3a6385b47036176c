"""All parts in order, each a process of its own: prints the table, keeps its rows in
bench/measured.json and writes docs/performance.md from them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.figures import DATABASES, RUNS, Figure, say
from bench.machine import database_version, machine
from bench.page import Row, refreshed, stored, table, write
from bench.places import ROOT

PARTS = (
    "rating",
    "responses",
    "startup",
    "authentication",
    "batch",
    "single",
    "reserving",
    "budgets",
    "aggregates",
    "streaming",
    "exports",
    "reports",
    "forecasting",
    "anomalies",
)
FILLED = frozenset({"aggregates", "streaming", "exports", "reports"})
"""Parts that read filled ledgers; `fill` makes them before, for both databases at once."""


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--tiny", action="store_true", help="everything once on small sizes; writes no page"
    )
    parser.add_argument("--only", metavar="NAME[,NAME]", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--rows", type=int, help="rows of the large filled ledger")
    parser.add_argument("--runs", type=int, help=f"runs of each pair (default {RUNS})")
    every = ",".join(DATABASES)
    parser.add_argument("--databases", default=every, help=f"default {every}")
    parser.add_argument("--json", action="store_true", help="print figures, not the table")
    chosen = parser.parse_args(given)
    chosen.parts = chosen.only.split(",") if chosen.only else list(PARTS)
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        parser.error(f"--only: no part is named {', '.join(sorted(unknown))}")
    return chosen


def measure(part: str, chosen: argparse.Namespace) -> list[Figure]:
    """The figures of a part. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", f"bench.{part}", "--databases", chosen.databases]
    command += ["--tiny"] if chosen.tiny else []
    command += [f"--rows={chosen.rows}"] if chosen.rows else []
    command += [f"--runs={chosen.runs}"] if chosen.runs else []
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    sys.stderr.write(f"{part}: {time.monotonic() - began:.0f} s\n")
    return [Figure(**json.loads(line)) for line in done.stdout.splitlines()]


def rows(part: str, figures: Sequence[Figure], day: str, runs: int) -> list[Row]:
    """The figures with what they were measured with."""
    kinds = {figure.database for figure in figures}
    version = {kind: database_version(kind) for kind in kinds}
    return [Row(part, day, runs, version[figure.database], machine(), figure) for figure in figures]


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    day = datetime.now(UTC).date().isoformat()
    new: list[Row] = []
    failed: list[str] = []
    if FILLED & set(chosen.parts):
        measure("fill", chosen)
    for part in PARTS:
        if part not in chosen.parts:
            continue
        try:
            figures = measure(part, chosen)
        except subprocess.CalledProcessError:
            failed.append(part)
            continue
        new += rows(part, figures, day, chosen.runs or RUNS)
        if chosen.json:
            say(figures)
    if not chosen.json:
        print(table(refreshed([], new, PARTS)))
    if not chosen.tiny:
        write(refreshed(stored(), new, PARTS))
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
