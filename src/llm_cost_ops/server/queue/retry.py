"""How long a failed job waits before its next attempt."""

from __future__ import annotations

from collections.abc import Callable

Retry = Callable[[int, float], float]
"""Seconds to wait after an attempt, counted from 1; the second argument is random in [0, 1)."""


def exponential(first_s: float = 5.0, most_s: float = 3600.0, factor: float = 2.0) -> Retry:
    """`first_s`, then `factor` times as long each time, at most `most_s`; each wait is between half
    of that and the whole, so that what failed together does not come back together."""

    def delay_s(attempt: int, random: float) -> float:
        return min(first_s * factor ** min(attempt - 1, 64), most_s) * (0.5 + random / 2)

    return delay_s


def listed(*delays_s: float, spread: float = 0.1) -> Retry:
    """The given waits in order, the last one again and again; each up to `spread` longer."""
    if not delays_s:
        raise ValueError("at least one delay is needed")

    def delay_s(attempt: int, random: float) -> float:
        return delays_s[min(attempt, len(delays_s)) - 1] * (1 + spread * random)

    return delay_s
