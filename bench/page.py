"""docs/performance.md: how it was measured, and the table of the rows in bench/measured.json.

python -m bench.page    writes the page from the rows again, without measuring
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.figures import DATABASES, Figure
from bench.places import ROOT

PAGE = ROOT / "docs" / "performance.md"
ROWS = ROOT / "bench" / "measured.json"
HEAD = (
    "part",
    "work",
    "goal",
    "limit or peer beside it",
    "measured",
    "ratio",
    "met",
    "date, runs, database",
)
_MET = {True: "yes", False: "**no**"}

_TEXT = """# Performance

Written by `make bench`. `make bench ARGS='--only batch,single --databases postgres'` measures these
parts again on this database and keeps all other rows, each with the date, the runs, the database
and the machine of its own. The rows are kept in `bench/measured.json`; `python -m bench.page`
writes this page from them.

## Method

* Each figure stands beside its limit or its peer, measured in the same run and in turns with it, so
  that what else the machine does meets both. Absolute figures drift between machines and hours;
  ratios do less.
* Goals in calls, records or milliseconds were set on another machine (2 vCPU Xeon, Debian 12,
  Python 3.11.7). Where a plain limit of that machine is known, the goal is the share of that limit,
  which is measured again here in the same run; both figures of that machine stand beside the share.
* A figure is the median of as many runs as stand beside its date; a ratio is the median of the
  ratios of the runs, with the lowest and the highest in brackets.
* Under "met" stands one word for each part of the goal, in its order; `-` is a figure that has no
  goal.
* Everything over HTTP goes to one server process with default settings (every commit is flushed)
  on a database that the migrations made, from a client in another process; both share the cores.
* The filled ledgers belong to one organization: 90 days, 40 models of 6 providers, 20 projects,
  500 users, two keys of metadata. `cost-ops verify` passes on them.
* Each part is `python -m bench.<part>`; what it does in detail stands at the top of its file.

{machines}

## Figures

{table}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure, and when and with what it was measured: `day` as 2026-11-26, `version` that of the
    database."""

    part: str
    day: str
    runs: int
    version: str
    machine: str
    figure: Figure


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown. Where they are of several machines, each names its own by number."""
    machines = _machines(rows)
    lines = [HEAD, ("---",) * len(HEAD), *(_cells(row, machines) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row, machines: Sequence[str]) -> tuple[str, ...]:
    figure = row.figure
    when = [row.day, str(row.runs)]
    when += [row.version] if row.version else []
    when += [f"machine {machines.index(row.machine) + 1}"] if len(machines) > 1 else []
    texts = (figure.work, figure.goal, figure.beside, figure.measured, figure.ratio)
    escaped = (text.replace("|", "\\|") for text in texts)
    met = "; ".join(_MET[one] for one in figure.met) or "-"
    return (row.part, *escaped, met, ", ".join(when))


def _machines(rows: Sequence[Row]) -> list[str]:
    """Each once, in the order of the rows."""
    return list(dict.fromkeys(row.machine for row in rows))


def page(rows: Sequence[Row]) -> str:
    """The text of docs/performance.md."""
    machines = _machines(rows)
    said = [f"Machine {number}: {machine}." for number, machine in enumerate(machines, start=1)]
    if len(machines) == 1:
        said = [f"Machine: {machines[0]}."]
    return _TEXT.format(machines="\n\n".join(said), table=table(rows))


def refreshed(known: Sequence[Row], new: Sequence[Row], parts: Sequence[str]) -> list[Row]:
    """The rows in the order of the parts and of their databases: of a part on a database that was
    measured the new ones, of all else those that are known."""
    measured = {(row.part, row.figure.database) for row in new}
    kept = [row for row in known if (row.part, row.figure.database) not in measured]
    databases = ("", *DATABASES)
    return sorted(
        [row for row in (*kept, *new) if row.part in parts],
        key=lambda row: (parts.index(row.part), databases.index(row.figure.database)),
    )


def stored(path: Path = ROWS) -> list[Row]:
    """The rows of earlier runs."""
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**{**one, "figure": Figure(**one["figure"])}) for one in found]


def write(rows: Sequence[Row], *, path: Path = ROWS, to: Path = PAGE) -> None:
    """Keep the rows, one a line so that a change of one is seen as such, and write the page."""
    lines = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    to.write_text(page(rows), encoding="utf-8")


def main() -> int:
    write(stored())
    return 0


if __name__ == "__main__":
    sys.exit(main())
