"""Calendar months in UTC, which are billing periods: `2026-10`, in whose order texts compare."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from llm_cost_ops.core.focus.periods import billing_month
from llm_cost_ops.core.instant import FIRST_YEAR, LAST_YEAR, from_micros, to_micros
from llm_cost_ops.core.period import PeriodError, Window

MONTH_PATTERN = "^[0-9]{4}-(0[1-9]|1[0-2])$"
_MONTH = re.compile("[0-9]{4}-(0[1-9]|1[0-2])")


def month_of(text: str, field: str = "period") -> str:
    """A month as it is written. Raises PeriodError."""
    found = _MONTH.fullmatch(text.strip())
    if found is None or not FIRST_YEAR <= int(found[0][:4]) <= LAST_YEAR:
        raise PeriodError("must be a month, such as 2026-10", field=field)
    return found[0]


def month_at(micros: int) -> str:
    """The month of an instant (microseconds since 1970)."""
    return from_micros(micros).astimezone(UTC).strftime("%Y-%m")


def window_of(month: str) -> Window:
    """From when to when a month is."""
    first = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    return Window(*billing_month(to_micros(first)))


def month_within(window: Window) -> str | None:
    """The month that a window is, to the microsecond; None when it is another."""
    month = month_at(window.start_us)
    return month if window_of(month) == window else None


def month_after(month: str) -> str:
    """The next month."""
    return month_at(window_of(month).end_us)


def month_before(month: str) -> str:
    """The month before."""
    return month_at(window_of(month).start_us - 1)


def months_between(first: str, last: str) -> list[str]:
    """The months from the first to the last, both included; none when they are the other way."""
    found: list[str] = []
    while first <= last:
        found.append(first)
        first = month_after(first)
    return found
