"""Rolling-origin back-test: forecast from points of the past, compare with what came after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

SHARE_KEPT = 0.4
"""The part of a series that stays before its earliest origin."""
LEAST_BEFORE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """`horizon` steps are forecast from each of `origins` (how many values lie before), the latest
    first; consecutive ones overlap by half a horizon."""

    origins: tuple[int, ...]
    horizon: int


def plan_of(count: int, horizon: int, most: int) -> Plan:
    """At most `most` origins in a series of `count` values; at least one from five values on.

    Where the series is short for the horizon, a quarter of it is forecast each time.
    """
    length = max(1, min(horizon, count // 4))
    earliest = max(LEAST_BEFORE, int(count * SHARE_KEPT))
    stride = max(1, length // 2)
    origins = range(count - length, earliest - 1, -stride)[:most]
    return Plan(tuple(origins), length)


def absolute_error(actual: Sequence[float], forecast: Sequence[float]) -> float:
    """Mean absolute error."""
    return fmean([abs(a - f) for a, f in zip(actual, forecast, strict=True)])


def symmetric_error(actual: Sequence[float], forecast: Sequence[float]) -> float:
    """sMAPE as in the M4 competition, 0 to 2: the mean of 2|a - f| / (|a| + |f|), 0 for 0/0."""
    return fmean(
        [
            2 * abs(a - f) / (abs(a) + abs(f)) if a or f else 0.0
            for a, f in zip(actual, forecast, strict=True)
        ]
    )


def relative_error(
    actual: Sequence[Sequence[float]], forecast: Sequence[Sequence[float]]
) -> float | None:
    """MAPE as a share: the mean of |a - f| / |a| where a is not 0; None where it always is."""
    parts = [
        abs((a - f) / a)
        for row, made in zip(actual, forecast, strict=True)
        for a, f in zip(row, made, strict=True)
        if a
    ]
    return fmean(parts) if parts else None


def season_scale(values: Sequence[float], season: int) -> float:
    """What MASE divides by: the mean absolute change over one season (Hyndman and Koehler 2006).

    Over one step where the series is not longer than the season; 0 for a constant series.
    """
    lag = season if len(values) > season else 1
    pairs = zip(values, values[lag:], strict=False)
    return fmean(abs(after - before) for before, after in pairs) if len(values) > lag else 0.0
