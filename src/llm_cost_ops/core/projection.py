"""Burn rate and projection of what is spent in a period, from what earlier days cost.

Days are taken as independent with one mean and variance, so the rest of a period of d days has d
times both; its interval is the normal one. Amounts are whole units of 1e-10; only the probability,
which is no amount, is a binary float.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from statistics import NormalDist

from llm_cost_ops.core.money import round_ratio
from llm_cost_ops.core.period import DAY_US

FEWEST_DAYS = 3
"""Complete days from which a spread can be told."""
_Z95 = (1_959_964, 1_000_000)
"""The two-sided 95 % quantile of the normal distribution, as a ratio."""


@dataclass(frozen=True, slots=True)
class Projection:
    """`rate_e10` a day; `projected_e10` at the end of the period with its 95 % interval, None where
    too few days are known; `breach_us` when the limit is reached at this rate, if within the
    period; `probability` that it is reached within the period, None where unknown."""

    rate_e10: int
    projected_e10: int
    lower_e10: int | None
    upper_e10: int | None
    breach_us: int | None
    probability: float | None


def project(
    used_e10: int,
    limit_e10: int | None,
    days_e10: Sequence[int],
    *,
    now_us: int,
    start_us: int,
    end_us: int,
) -> Projection:
    """From what is used so far in [start, end) and what earlier complete days cost."""
    left_us = max(0, end_us - now_us)
    if days_e10:
        rate = round_ratio(sum(days_e10), len(days_e10))
    else:
        rate = round_ratio(used_e10 * DAY_US, max(now_us - start_us, 1))
    rate = max(rate, 0)
    projected = used_e10 + round_ratio(rate * left_us, DAY_US)
    spread: int | None = None
    if len(days_e10) >= FEWEST_DAYS:
        spread = _spread(days_e10, left_us)
    margin = None if spread is None else round_ratio(spread * _Z95[0], _Z95[1])
    return Projection(
        rate,
        projected,
        None if margin is None else max(used_e10, projected - margin),
        None if margin is None else projected + margin,
        _breach(used_e10, limit_e10, rate, now_us, end_us),
        None if limit_e10 is None or spread is None else _chance(limit_e10 - projected, spread),
    )


def _spread(days_e10: Sequence[int], left_us: int) -> int:
    """The standard deviation of what is left: of a day, times the root of the days left."""
    count, total = len(days_e10), sum(days_e10)
    squares = sum(day * day for day in days_e10)
    # n * sum(x^2) - sum(x)^2 over n (n - 1) is the sample variance.
    return isqrt((count * squares - total * total) * left_us // (count * (count - 1) * DAY_US))


def _breach(
    used_e10: int, limit_e10: int | None, rate_e10: int, now_us: int, end_us: int
) -> int | None:
    if limit_e10 is None:
        return None
    room = limit_e10 - used_e10
    if room <= 0:
        return now_us
    if rate_e10 == 0:
        return None
    at = now_us + round_ratio(room * DAY_US, rate_e10)
    return at if at < end_us else None


def _chance(room_e10: int, spread_e10: int) -> float:
    if spread_e10 == 0:
        return 1.0 if room_e10 < 0 else 0.0
    deviations = room_e10 / spread_e10
    return round(1 - NormalDist().cdf(deviations), 4)
