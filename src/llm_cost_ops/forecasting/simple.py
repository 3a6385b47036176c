"""The three models that are named by their arithmetic: no library, no season, no randomness.

Each takes the values of the past, oldest first, and returns `horizon` values after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WINDOWS = {"hour": 24, "day": 7, "week": 4, "month": 3}
"""How many of the last steps `moving_average` is the mean of."""
_WEIGHTS = tuple(index / 20 for index in range(1, 21))


def linear(past: Sequence[float], horizon: int) -> list[float]:
    """The straight line of least squares through all values, drawn on."""
    count = len(past)
    middle = (count - 1) / 2
    mean = sum(past) / count
    moment = sum(index * value for index, value in enumerate(past)) - middle * count * mean
    slope = moment / (count * (count * count - 1) / 12) if count > 1 else 0.0
    return [mean + slope * (count + step - middle) for step in range(horizon)]


def moving_average(past: Sequence[float], horizon: int, window: int) -> list[float]:
    """The mean of the last `window` values."""
    last = past[-window:]
    return [sum(last) / len(last)] * horizon


def exponential_smoothing(past: Sequence[float], horizon: int, weight: float) -> list[float]:
    """The level of simple exponential smoothing; `weight` (alpha) is the newest value's share."""
    level = past[0]
    for value in past:
        level += weight * (value - level)
    return [level] * horizon


def smoothing_weights(past: Sequence[float], counts: Sequence[int]) -> list[float]:
    """For each count the weight, of 0.05 to 1, whose forecasts of one step within so many first
    values have the least squared error: one that knows nothing of what comes after them."""
    until = sorted(set(counts))
    least = dict.fromkeys(until, (float("inf"), _WEIGHTS[0]))
    for weight in _WEIGHTS:
        for count, error in zip(until, _squared_errors(past, weight, until), strict=True):
            if error < least[count][0]:
                least[count] = error, weight
    return [least[count][1] for count in counts]


def _squared_errors(past: Sequence[float], weight: float, until: Sequence[int]) -> Iterator[float]:
    level, total, first = past[0], 0.0, 0
    for count in until:
        for value in past[first:count]:
            error = value - level
            total += error * error
            level += weight * error
        first = count
        yield total
