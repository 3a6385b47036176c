"""Intervals from the errors of the back-test.

The half-width at step j of the horizon is `size * j ** growth`. `growth` is fitted to how errors
grew with the step; `size` is the mean of the wanted quantile of the scaled errors and of what their
root mean square gives for normal errors, times a factor for their small number. The factor was
found on public series; bench/forecasting.py prints the coverage that it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, sqrt
from statistics import NormalDist, fmean

MAX_GROWTH = 0.75
_USUAL_GROWTH = 0.3
_USUAL_WEIGHT = 4
"""The usual growth counts as much as this many origins."""


def half_widths(errors: Sequence[Sequence[float]], horizon: int, confidence: float) -> list[float]:
    """Half the width of the interval for each step: never negative, never falling.

    `errors` are actual minus forecast, a row for each origin, all of one length of at least one.
    """
    growth = _growth(errors)
    reach = [step**growth for step in range(1, max(horizon, len(errors[0])) + 1)]
    scaled = sorted(
        [abs(error) / by for row in errors for error, by in zip(row, reach, strict=False)]
    )
    ordinary = NormalDist().inv_cdf((1 + confidence) / 2)
    by_square = ordinary * sqrt(fmean([value * value for value in scaled]))
    size = (quantile(scaled, confidence) + by_square) / 2
    size *= inflation(len(errors), confidence)
    return [size * by for by in reach[:horizon]]


def inflation(origins: int, confidence: float) -> float:
    """The factor for errors of few, overlapping origins: the spread that they show is not yet the
    spread of the future, and the less so the further out the wanted quantile lies."""
    ordinary = NormalDist().inv_cdf((1 + confidence) / 2)
    return 1 + 0.20 * max(ordinary - 1, 0.0) * (1 + 2 / origins)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that a share of the ordered ones do not exceed, with the usual correction of
    conformal prediction for one more value to come."""
    rank = ceil(share * (len(ordered) + 1))
    return ordered[min(rank, len(ordered)) - 1]


def _growth(errors: Sequence[Sequence[float]]) -> float:
    """The exponent of the horizon by which the errors grew, least squares on logarithms."""
    squares = [fmean([error * error for error in column]) for column in zip(*errors, strict=True)]
    steps = [step for step, square in enumerate(squares, 1) if square > 0]
    if len(steps) < 4:
        return _USUAL_GROWTH
    xs = [log(step) for step in steps]
    ys = [log(squares[step - 1]) / 2 for step in steps]
    middle = fmean(xs)
    slope = sum((x - middle) * y for x, y in zip(xs, ys, strict=True)) / sum(
        (x - middle) ** 2 for x in xs
    )
    origins = len(errors)
    mixed = (slope * origins + _USUAL_GROWTH * _USUAL_WEIGHT) / (origins + _USUAL_WEIGHT)
    return min(max(mixed, 0.0), MAX_GROWTH)
