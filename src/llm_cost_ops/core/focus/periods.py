"""Charge and billing periods in UTC: hours, days, calendar months; microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from llm_cost_ops.core.focus.columns import FocusError
from llm_cost_ops.core.instant import from_micros, to_micros

HOUR = "hour"
DAY = "day"
_SECONDS = {HOUR: 3600, DAY: 86_400}
GRAINS = tuple(_SECONDS)
_MICROS = 1_000_000


def charge_period(occurred_us: int, grain: str = HOUR) -> tuple[int, int]:
    """The hour or day of an instant: start included, end excluded. Raises FocusError."""
    if grain not in _SECONDS:
        raise FocusError(f"must be one of {', '.join(GRAINS)}", field="grain")
    length = _SECONDS[grain] * _MICROS
    start = occurred_us - occurred_us % length
    return start, start + length


def billing_month(occurred_us: int) -> tuple[int, int]:
    """The calendar month (UTC) of an instant: start included, end excluded."""
    return _month(occurred_us // (_SECONDS[DAY] * _MICROS))


@lru_cache(maxsize=4096)
def _month(day: int) -> tuple[int, int]:
    first = from_micros(day * _SECONDS[DAY] * _MICROS).replace(day=1)
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return to_micros(first), to_micros(datetime(year, month, 1, tzinfo=UTC))
