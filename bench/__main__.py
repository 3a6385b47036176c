"""All parts in order, each a process of its own: prints the table, writes docs/performance.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.figures import RUNS, Figure, say
from bench.machine import machine, versions
from bench.page import PAGE, Row, refreshed, row, rows_in, table, write
from bench.places import ROOT

PARTS = ("rating", "responses", "startup", "batch", "single", "aggregates", "streaming")
FILLED = frozenset({"aggregates", "streaming"})
"""Parts that read filled ledgers; `fill` makes them before, for both databases at once."""
DATABASES = "sqlite,postgres,mysql"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--tiny", action="store_true", help="everything once on small sizes; writes no page"
    )
    parser.add_argument("--only", metavar="NAME[,NAME]", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--rows", type=int, help="rows of the large filled ledger")
    parser.add_argument("--runs", type=int, help=f"runs of each pair (default {RUNS})")
    parser.add_argument("--databases", default=DATABASES, help=f"default {DATABASES}")
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


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    day = datetime.now(UTC).date().isoformat()
    new: dict[str, list[Row]] = {}
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
        new[part] = [row(part, figure, day, chosen.runs or RUNS) for figure in figures]
        if chosen.json:
            say(figures)
    if not chosen.json:
        print(table(refreshed([], new, PARTS)))
    if not chosen.tiny:
        _write(new, chosen)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def _write(new: dict[str, list[Row]], chosen: argparse.Namespace) -> None:
    known = rows_in(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
    write(
        refreshed(known, new, PARTS),
        machine=machine(),
        versions=versions(chosen.databases.split(",")),
    )


if __name__ == "__main__":
    sys.exit(main())
