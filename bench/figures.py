"""What a bench says: figures of the table, each the median of alternating runs."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

RUNS = 5
TINY_RUNS = 1
DATABASES = ("sqlite", "postgres", "mysql")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `beside` is the limit or the peer, measured in the same run; `met` says
    of each part of `goal`, which semicolons separate, whether it is reached, and is empty for a
    figure that is only stated. `database` is one of DATABASES, or empty for work that
    --databases does not choose: a part measured again on one database replaces its rows alone."""

    work: str
    goal: str
    beside: str
    measured: str
    ratio: str
    met: list[bool]
    database: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and what stands beside it, run in turns: medians, and the median of the ratios."""

    ours: float
    beside: float
    ratio: float
    spread: tuple[float, float]


def paired(ours: Callable[[], float], beside: Callable[[], float], runs: int) -> Pair:
    """Alternate both, so that what else the machine does meets them alike."""
    found = [(ours(), beside()) for _ in range(runs)]
    ratios = [mine / other for mine, other in found]
    return Pair(
        statistics.median(mine for mine, _ in found),
        statistics.median(other for _, other in found),
        statistics.median(ratios),
        (min(ratios), max(ratios)),
    )


def thousands(rate: float) -> str:
    return f"{rate:,.0f}"


def ratio_text(pair: Pair, places: int = 2) -> str:
    """A ratio with the range of its runs."""
    low, high = pair.spread
    return f"{pair.ratio:.{places}f} ({low:.{places}f}..{high:.{places}f})"


def arguments(description: str | None, given: Sequence[str] | None) -> argparse.Namespace:
    """`--tiny` runs everything once on sizes that prove nothing but that it runs."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="smallest sizes, one run")
    parser.add_argument("--rows", type=int, help="rows of the filled ledgers")
    parser.add_argument("--databases", default=",".join(DATABASES), help="which to measure")
    parser.add_argument("--runs", type=int, help=f"runs of each pair (default {RUNS})")
    chosen = parser.parse_args(given)
    chosen.runs = chosen.runs or (TINY_RUNS if chosen.tiny else RUNS)
    return chosen


def say(figures: Iterable[Figure]) -> None:
    """One JSON object a line on standard output, for `python -m bench`."""
    for figure in figures:
        sys.stdout.write(json.dumps(asdict(figure), ensure_ascii=False) + "\n")
        sys.stdout.flush()
