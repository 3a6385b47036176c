"""docs/performance.md: how it was measured, and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.figures import Figure
from bench.places import ROOT

PAGE = ROOT / "docs" / "performance.md"
HEAD = ("part", "work", "goal", "limit or peer beside it", "measured", "ratio", "met", "date, runs")
_MET = {True: "yes", False: "**no**", None: "-"}
Row = tuple[str, ...]

_TEXT = """# Performance

Written by `make bench`. `make bench ARGS='--only batch,single'` measures these parts again and
keeps the rows of the others with their dates.

## Method

* Each figure stands beside its limit or its peer, measured in the same run and in turns with it, so
  that what else the machine does meets both. Absolute figures drift between machines and hours;
  ratios do less.
* A figure is the median of as many runs as stand beside its date; a ratio is the median of the
  ratios of the runs, with the lowest and the highest in brackets. `-` under "met" is a figure that
  has no goal.
* Everything over HTTP goes to one server process with default settings (every commit is flushed)
  on a database that the migrations made, from a client in another process; both share the cores.
* The filled ledgers belong to one organization: 90 days, 40 models of 6 providers, 20 projects,
  500 users, two keys of metadata. `cost-ops verify` passes on them.
* Each part is `python -m bench.<part>`; what it does in detail stands at the top of its file.

Machine: {machine}.
Versions: {versions}.

## Figures

{table}
"""


def row(part: str, figure: Figure, day: str, runs: int) -> Row:
    texts = (figure.work, figure.goal, figure.beside, figure.measured, figure.ratio)
    return (part, *(text.replace("|", "\\|") for text in texts), _MET[figure.met], f"{day}, {runs}")


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows_in(text: str) -> list[Row]:
    """The rows of the table in a page."""
    found = [line for line in text.splitlines() if line.startswith("| ")]
    split = [tuple(line[2:-2].split(" | ")) for line in found]
    return [one for one in split if len(one) == len(HEAD) and one[0] not in (HEAD[0], "---")]


def refreshed(
    known: Sequence[Row], new: Mapping[str, Sequence[Row]], order: Sequence[str]
) -> list[Row]:
    """The rows in the order of the parts, those of measured parts replaced."""
    kept: dict[str, list[Row]] = {}
    for one in known:
        kept.setdefault(one[0], []).append(one)
    return [one for part in order for one in new.get(part, kept.get(part, []))]


def write(rows: Sequence[Row], *, machine: str, versions: str, page: Path = PAGE) -> None:
    text = _TEXT.format(machine=machine, versions=versions, table=table(rows))
    page.write_text(text, encoding="utf-8")
