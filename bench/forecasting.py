"""Forecasts by `auto` beside naive ones and every single model it chooses from, and their speed.

The last 13 weeks or 48 hours of each series are held out. The error is scaled as in M4 (MASE, a
season of 24 hours, 1 week). `--folder` takes public series: `hour/*.csv` and `week/*.csv` of
date,value, or the files of M4 (`Hourly-train.csv`, `Hourly-test.csv`, `Weekly-..`); without it,
series are made, of many kinds, from fixed seeds.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import numpy as np

from bench.figures import DATABASES, Figure, say
from bench.machine import installed
from bench.series import made_series
from llm_cost_ops.core.series import Series
from llm_cost_ops.core.seriestext import read_series
from llm_cost_ops.forecasting.backtest import season_scale
from llm_cost_ops.forecasting.forecast import MODELS, generate
from llm_cost_ops.forecasting.library import families, quiet
from llm_cost_ops.forecasting.seasons import MAIN, PERIODS

HORIZONS = {"week": 13, "hour": 48}
M4 = {"week": "Weekly", "hour": "Hourly"}
GOAL_BEATEN, GOAL_NEAR, GOAL_COVERED = 0.90, 1.05, (0.93, 0.97)
GOAL_AUTO_SECONDS, GOAL_SIMPLE_SECONDS, GOAL_COUNT = 300, 10, 1000
PROCESSES = 2
YEAR = 365
Case = tuple[list[float], list[float]]
"""What is known, and what came after."""


def cases(step: str, folder: Path | None, count: int) -> list[Case]:
    """Series of a step with their held-out ends, at most `count`."""
    horizon = HORIZONS[step]
    if folder is None:
        every: Iterator[Case] = (
            (values[:-horizon], values[-horizon:]) for values in made_series(step, count)
        )
    elif (folder / f"{M4[step]}-train.csv").exists():
        every = _of_m4(folder, M4[step])
    else:
        every = (
            (values[:-horizon], values[-horizon:]) for values in _of_files(folder / step, step)
        )
    return [case for case, _ in zip(every, range(count), strict=False)]


def _of_m4(folder: Path, name: str) -> Iterator[Case]:
    rows = [
        [list(map(float, filter(None, row[1:]))) for row in list(csv.reader(lines))[1:]]
        for lines in (
            (folder / f"{name}-{part}.csv").read_text().splitlines() for part in ("train", "test")
        )
    ]
    yield from zip(*rows, strict=True)


def _of_files(folder: Path, step: str) -> Iterator[list[float]]:
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8") as lines:
            values = read_series(lines, interval=step).values
        if None not in values:
            yield [float(value) for value in values if value is not None]


def series_of(values: Sequence[float], step: str) -> Series:
    """Values as a series from some date on."""
    numbers = tuple(Decimal(repr(float(value))) for value in values)
    form = "naive" if step == "hour" else "date"
    return Series(step, datetime.fromisoformat("2000-01-01"), numbers, form)


def singles(known: list[float], step: str, horizon: int) -> dict[str, list[float]]:
    """The forecast of every model that `auto` chooses from; none below zero."""
    past = np.asarray(known)
    found: dict[str, list[float]] = {}
    with quiet():
        for family in families(past, step):
            with suppress(Exception):  # whatever the library raises: the model has no forecast
                found |= {name: list(np.maximum(f, 0)) for name, f in family(past, horizon).items()}
    for period in PERIODS[step]:  # a seasonal naive forecast is asked for, however short the series
        last = known[-period:]
        name = f"seasonal_naive_{period}"
        found.setdefault(name, [last[i % len(last)] for i in range(horizon)])
    return found


def scored(step: str, held: Sequence[Case]) -> tuple[dict[str, list[float]], list[float], float]:
    """MASE of each model for each series (nan where it cannot be had), the share of the values
    inside the 95 % interval of `auto`, and its CPU seconds for one series."""
    horizon, errors, inside, seconds = HORIZONS[step], dict[str, list[float]](), list[float](), 0.0
    for place, (known, after) in enumerate(held):
        scale = season_scale(known, MAIN[step]) or 1.0
        began = time.process_time()
        made = generate(series_of(known, step), horizon).predictions
        seconds += time.process_time() - began
        inside.append(
            fmean(p.lower <= value <= p.upper for p, value in zip(made, after, strict=True))
        )
        every = singles(known, step, horizon) | {"auto": [each.value for each in made]}
        for name, forecast in every.items():
            error = fmean(abs(f - value) for f, value in zip(forecast, after, strict=True))
            row = errors.setdefault(name, [float("nan")] * len(held))
            row[place] = error / scale
    return errors, inside, seconds / len(held)


def accuracy(step: str, held: Sequence[Case], source: str) -> Figure:
    """One row: `auto` beside the better naive forecast and the best single model."""
    errors, inside, seconds = scored(step, held)
    means = {name: float(np.mean(row)) for name, row in errors.items()}
    own, nearest = np.asarray(errors["auto"]), ("", 0.0, 0.0)
    for name, row in sorted(errors.items(), key=lambda item: float(np.nanmean(item[1]))):
        each = np.asarray(row)
        on = ~np.isnan(each)
        single, ratio = float(each[on].mean()), float(own[on].mean() / each[on].mean())
        sys.stderr.write(
            f"  {step} {name:24} MASE {single:.4f}, auto {ratio:.3f} of it, on {on.sum()} series\n"
        )
        if name != "auto" and ratio > nearest[1] and on.mean() >= 0.5:
            nearest = name, ratio, single
    naive = min(means[name] for name in means if name.startswith(("naive", "seasonal_naive")))
    covered, auto = fmean(inside), means["auto"]
    return Figure(
        f"`auto`, {HORIZONS[step]} {step}s ahead, {len(held)} {source} series",
        f"MASE at most {GOAL_BEATEN} of the better naive; at most {GOAL_NEAR} of the best single "
        f"model; {GOAL_COVERED[0]:.0%} to {GOAL_COVERED[1]:.0%} covered at 95 %",
        f"naive {naive:.3f}; {nearest[0]} {nearest[2]:.3f}, on the series that it can forecast "
        f"(statsforecast {installed('statsforecast')})",
        f"MASE {auto:.3f}, {covered:.1%} covered, {seconds:.2f} CPU s a series",
        f"{auto / naive:.2f}; {nearest[1]:.2f}",
        [
            auto <= GOAL_BEATEN * naive,
            nearest[1] <= GOAL_NEAR,
            GOAL_COVERED[0] <= covered <= GOAL_COVERED[1],
        ],
    )


def speed(count: int) -> Iterator[Figure]:
    """Daily series of a year, 30 days ahead, by two processes: elapsed time, with all models
    loaded."""
    every = [series_of(values[-YEAR:], "day") for values in made_series("day", count)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        list(pool.map(timed, [every[:1]] * PROCESSES, [MODELS] * PROCESSES))
        for names, goal in (((MODELS[0],), GOAL_AUTO_SECONDS), (MODELS[1:], GOAL_SIMPLE_SECONDS)):
            began = time.perf_counter()
            cpu = sum(pool.map(timed, [[each] for each in every], [names] * count))
            seconds = time.perf_counter() - began
            allowed = goal * count / GOAL_COUNT
            yield Figure(
                f"{count:,} daily series of a year, 30 days ahead, two cores: "
                + ", ".join(f"`{name}`" for name in names),
                f"{allowed:.3g} s ({goal} s for {GOAL_COUNT:,})",
                "-",
                f"{seconds:.3g} s, {cpu * 1000 / count:.3g} CPU ms a series",
                f"{seconds / allowed:.2f} of the goal",
                [seconds <= allowed],
            )


def timed(every: Sequence[Series], names: Sequence[str]) -> float:
    """The CPU seconds that forecasts of these series by these models take here."""
    began = time.process_time()
    for series in every:
        for name in names:
            generate(series, 30, model=name)
    return time.process_time() - began


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="smallest sizes")
    parser.add_argument("--rows", type=int, help="(of other parts)")
    parser.add_argument("--runs", type=int, help="(of other parts)")
    parser.add_argument("--databases", default=",".join(DATABASES), help="(of other parts)")
    parser.add_argument("--folder", type=Path, help="public series, see above")
    parser.add_argument("--count", type=int, default=60, help="series of each step")
    parser.add_argument("--step", choices=sorted(HORIZONS), help="one step only, without speed")
    chosen = parser.parse_args(given)
    count = 2 if chosen.tiny else chosen.count
    source = "made" if chosen.folder is None else "public"
    for step in [chosen.step] if chosen.step else HORIZONS:
        say([accuracy(step, cases(step, chosen.folder, count), source)])
    if chosen.step is None:
        say(speed(4 if chosen.tiny else GOAL_COUNT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
