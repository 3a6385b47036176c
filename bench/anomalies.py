"""How well each method of `cost-ops forecast anomalies` finds labelled anomalies, by the hour.

    python -m bench.anomalies [FOLDER] [--seed N]

FOLDER has the layout of the Numenta Anomaly Benchmark (`bench/labelled.py`); without it the series
are made. A window is hit by a flag inside it. Flags outside windows are false alarms; those within
24 hours of the first of them are one. Precision is hits over hits and false alarms, recall hits
over windows; a month of a series is 720 hours. `auto` and `seasonal` judge by what came before;
the other rules are shown over the whole series and trailing.

The goal of `auto`: F1 of 1.2 times z-score's at 3 and 1.5 times IQR's at 1.5, whole series both,
with at most one false alarm a series-month. The table of all methods goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bench.figures import DATABASES, Figure, say
from bench.labelled import HOUR, Labelled, made, read_folder
from llm_cost_ops.anomalies import Options, Stream, detect
from llm_cost_ops.core.series import Series

ALARM = timedelta(hours=24)
ABOVE = {"zscore (whole)": 1.2, "iqr (whole)": 1.5}
FALSE_ALARMS = 1.0
OURS = "auto"
Flags = Callable[[Labelled], list[datetime]]


@dataclass(slots=True)
class Score:
    """Windows hit, windows there are, false alarms, and the months of all series."""

    hits: int = 0
    windows: int = 0
    alarms: int = 0
    months: float = 0.0

    def add(self, series: Labelled, flags: Sequence[datetime]) -> None:
        windows = series.windows
        inside = [any(a <= flag <= b for a, b in windows) for flag in flags]
        self.hits += sum(any(a <= flag <= b for flag in flags) for a, b in windows)
        self.windows += len(windows)
        self.months += series.months
        last: datetime | None = None
        for flag, is_hit in zip(flags, inside, strict=True):
            if not is_hit and (last is None or flag - last > ALARM):
                self.alarms += 1
                last = flag

    @property
    def precision(self) -> float:
        return self.hits / max(1, self.hits + self.alarms)

    @property
    def recall(self) -> float:
        return self.hits / max(1, self.windows)

    @property
    def f1(self) -> float:
        return 2 * self.hits / max(1, self.hits + self.alarms + self.windows)

    @property
    def rate(self) -> float:
        """False alarms a series-month."""
        return self.alarms / self.months


def whole(method: str) -> Flags:
    """The method as the command runs it, on a series of hours."""

    def flags(series: Labelled) -> list[datetime]:
        start = series.points[0][0]
        count = (series.points[-1][0] - start) // HOUR + 1
        values: list[Decimal | None] = [None] * count
        for moment, value in series.points:
            values[(moment - start) // HOUR] = Decimal(repr(value))
        found = detect(Series("hour", start, tuple(values), "naive"), Options(method))
        return [datetime.fromisoformat(anomaly.date) for anomaly in found]

    return flags


def trailing(method: str) -> Flags:
    def flags(series: Labelled) -> list[datetime]:
        stream = Stream("hour", Options(method))
        return [
            moment
            for moment, value in series.points
            if stream.push(moment, moment.isoformat(), Decimal(repr(value)))
        ]

    return flags


METHODS: dict[str, Flags] = {
    **{f"{name} (whole)": whole(name) for name in ("zscore", "iqr", "mad")},
    **{f"{name} (trailing)": trailing(name) for name in ("zscore", "iqr", "mad")},
    "seasonal": whole("seasonal"),
    "auto": whole("auto"),
}


def row(name: str, score: Score) -> str:
    numbers = (score.precision, score.recall, score.f1, score.rate)
    shown = "".join(f"{number:>11.3f}" for number in numbers)
    return f"{name:<20}{shown}{score.hits:>6}/{score.windows}"


def scored(series: Sequence[Labelled], *, each: bool) -> tuple[dict[str, Score], float]:
    """The score of each method, and the CPU seconds of `auto` for all series."""
    scores: dict[str, Score] = {}
    seconds = 0.0
    tell(f"{'method':<20}{'precision':>11}{'recall':>11}{'F1':>11}{'false/mo':>11}  hits")
    for name, flags in METHODS.items():
        scores[name] = Score()
        began = time.process_time()
        for one in series:
            found = flags(one)
            scores[name].add(one, found)
            if each and name == OURS:
                single = Score()
                single.add(one, found)
                tell(row(f"  {one.name[-40:]}", single))
        if name == OURS:
            seconds = time.process_time() - began
        tell(row(name, scores[name]))
    return scores, seconds


def figure(
    series: Sequence[Labelled], scores: Mapping[str, Score], seconds: float, of: str
) -> Figure:
    """The row of `auto` beside the plain rules."""
    ours = scores[OURS]
    ratios = {name: ours.f1 / max(scores[name].f1, 1e-9) for name in ABOVE}
    hours = sum(len(one.points) for one in series)
    return Figure(
        f"`auto` of anomalies, {len(series)} {of} labelled series of hours, "
        f"{ours.months:.0f} series-months",
        "F1 1.2 times z-score's at 3; 1.5 times IQR's at 1.5; at most 1 false alarm a series-month",
        "; ".join(f"{name} F1 {scores[name].f1:.3f}" for name in ABOVE),
        f"F1 {ours.f1:.3f} (precision {ours.precision:.2f}, recall {ours.recall:.2f}), "
        f"{ours.rate:.2f} false alarms a series-month, {seconds * 1000 / hours:.2f} CPU ms an hour",
        "; ".join(f"{ratio:.2f}" for ratio in (*ratios.values(), ours.rate / FALSE_ALARMS)),
        [
            *(ratios[name] >= factor for name, factor in ABOVE.items()),
            ours.rate <= FALSE_ALARMS,
        ],
    )


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.anomalies")
    parser.add_argument("folder", nargs="?", type=Path, help="labelled series; made when left out")
    parser.add_argument("--seed", type=int, default=5000, help="of the made series")
    parser.add_argument("--tiny", action="store_true", help="one made series of each kind")
    parser.add_argument("--each", action="store_true", help="show auto's score of each series")
    parser.add_argument("--rows", type=int, help="(of other parts)")
    parser.add_argument("--runs", type=int, help="(of other parts)")
    parser.add_argument("--databases", default=",".join(DATABASES), help="(of other parts)")
    chosen = parser.parse_args(given)
    if chosen.folder:
        series, of = read_folder(chosen.folder), "public"
    else:
        series, of = [*made(chosen.seed, tiny=chosen.tiny)], "made"
    scores, seconds = scored(series, each=chosen.each)
    say([figure(series, scores, seconds, of)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
