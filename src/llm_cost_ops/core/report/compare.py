"""The period that another one is compared with: of the same length, a month or a year earlier."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import (
    ALL_TIME,
    PeriodError,
    Window,
    day_start,
    days_window,
    local_day,
)

PREVIOUS, MONTH, YEAR, NONE = "previous", "month", "year", "none"
COMPARISONS = (PREVIOUS, MONTH, YEAR, NONE)
_MONTHS = {MONTH: 1, YEAR: 12}
_ONE_DAY = timedelta(days=1)


def earlier(window: Window, zone: ZoneInfo, how: str) -> Window | None:
    """The window compared with: `previous` ends where this one begins and has as many days, or is
    as long where it is not of whole days; `month` and `year` are the same dates a month or a year
    earlier, whole months for whole months. None for `none`, and where there is no start or end.

    Raises PeriodError of `compare` for anything else.
    """
    if how not in COMPARISONS:
        raise PeriodError(f"must be one of: {', '.join(COMPARISONS)}", field="compare")
    if how == NONE or window.is_empty:
        return None
    if window.start_us <= ALL_TIME.start_us or window.end_us >= ALL_TIME.end_us:
        return None
    days = whole_days(window, zone)
    if how == PREVIOUS:
        if days is None:
            return Window(2 * window.start_us - window.end_us, window.start_us)
        first, last = days
        return Window(day_start(first - (last - first) - _ONE_DAY, zone), window.start_us)
    months = _MONTHS[how]
    if days is None:
        return Window(_moved(window.start_us, zone, months), _moved(window.end_us, zone, months))
    first, last = days
    whole = first.day == 1 and (last + _ONE_DAY).day == 1
    end = _end_of_month(months_before(last, months)) if whole else months_before(last, months)
    return days_window(months_before(first, months), end, zone)


def whole_days(window: Window, zone: ZoneInfo) -> tuple[date, date] | None:
    """The first and the last day of a window that is made of whole ones, else None."""
    first, last = local_day(window.start_us, zone), local_day(window.end_us - 1, zone)
    return (first, last) if days_window(first, last, zone) == window else None


def months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or its last one where it is shorter."""
    place = day.year * 12 + day.month - 1 - months
    year, month = divmod(place, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _end_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _moved(micros: int, zone: ZoneInfo, months: int) -> int:
    local = from_micros(micros).astimezone(zone)
    moved = datetime.combine(months_before(local.date(), months), local.timetz())
    return to_micros(moved.astimezone(UTC))
