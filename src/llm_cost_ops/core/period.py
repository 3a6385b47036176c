"""Periods of time: half-open windows in UTC microseconds, from dates, instants and names.

A day begins at the first instant of its date in a time zone, so a day with a clock change has 23
or 25 hours and a midnight that the clock skips is the instant after the gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import (
    FIRST_YEAR,
    LAST_YEAR,
    from_micros,
    is_bare_date,
    parse_day,
    parse_instant,
    to_micros,
)

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MAX_LAST = 10_000
_ONE_DAY = timedelta(days=1)
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
_LAST_MANY = re.compile(r"(?:last-)?(\d{1,5})-?(h|hour|hours|d|day|days)", re.ASCII)


class PeriodError(DomainError):
    """A period name, a time zone or a bucket size that is not known or not possible."""


class DateRangeError(DomainError):
    """A period that ends before it begins."""

    code = "INVALID_DATE_RANGE"


@dataclass(frozen=True, slots=True)
class Window:
    """`start_us <= t < end_us` in microseconds since 1970 UTC."""

    start_us: int
    end_us: int

    @property
    def is_empty(self) -> bool:
        return self.end_us <= self.start_us

    def clip(self, other: Window) -> Window:
        """The part of this window that is inside the other; empty when they do not meet."""
        start = max(self.start_us, other.start_us)
        return Window(start, max(start, min(self.end_us, other.end_us)))


ALL_TIME = Window(
    to_micros(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)),
    to_micros(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)),
)
"""Every instant that a record may carry: what a missing start or end stands for."""


def time_zone(name: str, field: str = "timezone") -> ZoneInfo:
    """The IANA time zone of this name. Raises PeriodError."""
    known = "UTC" if name in ("Z", "utc") else name
    try:
        if len(known) <= 64 and _ZONE_NAME.fullmatch(known):
            return ZoneInfo(known)
    except (KeyError, ValueError, OSError):
        pass
    raise PeriodError("must be an IANA time zone such as Europe/Berlin", field=field)


def day_start(day: date, zone: ZoneInfo) -> int:
    """The first instant, in microseconds, at which the zone shows this date or a later one."""
    return first_instant(datetime.combine(day, time()), zone)


def first_instant(local: datetime, zone: ZoneInfo) -> int:
    """The first instant, in microseconds, at which the clocks of the zone show this local time or,
    where they skip it, a later one."""
    early = local.replace(tzinfo=zone, fold=0)
    micros = to_micros(early.astimezone(UTC))
    shown = from_micros(micros).astimezone(zone)
    if shown.replace(tzinfo=None) == local.replace(tzinfo=None, fold=0):
        return micros
    after_gap = early.replace(fold=1).utcoffset()
    before = to_micros(early.replace(fold=1).astimezone(UTC))
    return offset_change(before, micros, zone, after_gap)


def offset_change(before_us: int, after_us: int, zone: ZoneInfo, offset: timedelta | None) -> int:
    """The first instant in (before, after] with this UTC offset, to the second."""
    low, high = before_us // 1_000_000, after_us // 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if from_micros(middle * 1_000_000).astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high * 1_000_000


def local_day(micros: int, zone: ZoneInfo) -> date:
    """The date that the clocks of the zone show at this instant."""
    return from_micros(micros).astimezone(zone).date()


def days_window(first: date, last: date, zone: ZoneInfo) -> Window:
    """The whole days from the first to the last, both included."""
    return Window(day_start(first, zone), day_start(last + _ONE_DAY, zone))


def window_between(start: str | None, end: str | None, zone: ZoneInfo) -> Window:
    """ISO texts to a window: a bare date is a whole day in the zone (the end date included), an
    instant is exact and the end excluded, an instant without an offset is UTC; None is open.

    Raises InstantError and DateRangeError with the field `start_date` or `end_date`.
    """
    start_us, end_us = ALL_TIME.start_us, ALL_TIME.end_us
    if start is not None:
        if is_bare_date(start):
            start_us = day_start(parse_day(start, "start_date"), zone)
        else:
            start_us = to_micros(parse_instant(start, "start_date"))
    if end is not None:
        if is_bare_date(end):
            end_us = day_start(parse_day(end, "end_date") + _ONE_DAY, zone)
        else:
            end_us = to_micros(parse_instant(end, "end_date"))
    if start is not None and end is not None and is_bare_date(start) and is_bare_date(end):
        backwards = start > end  # by date: a day that the zone skipped is a period, if an empty one
    else:
        backwards = start_us > end_us
    if backwards:
        raise DateRangeError("must not be after end_date", field="start_date")
    return Window(start_us, end_us)


def named_period(
    name: str,
    now: datetime,
    zone: ZoneInfo,
    field: str = "period",
    *,
    today: date | None = None,
) -> Window:
    """The window of a period name such as `last-7-days`; underscores may stand for hyphens.

    `last-N-hours` ends now; `last-N-days` is N whole days of which the last is today; `this-` and
    `last-` week (ISO, from Monday), month, quarter and year are whole; `month-to-date` and its
    kin end now. `today` is another date than that of now. Raises PeriodError.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    now_us = to_micros(now)
    if key == "last-hour":
        key = "last-1-hours"
    if many := _LAST_MANY.fullmatch(key):
        day = today or local_day(now_us, zone)
        return _last_many(int(many[1]), many[2][0], now_us, day, zone, field)
    if key in ("all", "all-time"):
        return ALL_TIME
    today = today or local_day(now_us, zone)
    if key.endswith("-to-date") and (first := _FIRST_DAY.get(key.removesuffix("-to-date"))):
        return Window(day_start(first(today), zone), now_us)
    days = _whole_days(key, today)
    if days is None:
        raise PeriodError(f"must be one of: {', '.join(PERIODS)}, last-N-days", field=field)
    return days_window(*days, zone)


def last_days(count: int, now: datetime, zone: ZoneInfo) -> Window:
    """The whole days of which the last is today."""
    return _days_to(local_day(to_micros(now), zone), count, zone)


def _days_to(today: date, count: int, zone: ZoneInfo) -> Window:
    return days_window(today - timedelta(days=count - 1), today, zone)


def _last_many(
    count: int, unit: str, now_us: int, today: date, zone: ZoneInfo, field: str
) -> Window:
    if not 1 <= count <= MAX_LAST:
        raise PeriodError(f"must count from 1 to {MAX_LAST}", field=field)
    if unit == "h":
        return Window(now_us - count * HOUR_US, now_us)
    return _days_to(today, count, zone)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _quarter(day: date) -> date:
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)


_FIRST_DAY: dict[str, Callable[[date], date]] = {
    "week": _monday,
    "month": lambda day: day.replace(day=1),
    "quarter": _quarter,
    "year": lambda day: day.replace(month=1, day=1),
}
_PAST_ITS_END = {
    unit: timedelta(days=days)
    for unit, days in (("week", 7), ("month", 32), ("quarter", 95), ("year", 370))
}
"""From the first day of a unit into the next one."""
PERIODS = (
    "today", "yesterday", "last-hour", "last-24-hours", "last-7-days", "last-30-days",
    *(f"{which}-{unit}" for unit in _FIRST_DAY for which in ("this", "last")),
    *(f"{unit}-to-date" for unit in _FIRST_DAY), "all-time",
)  # fmt: skip
"""The names that `named_period` knows, beside any other `last-N-hours` and `last-N-days`."""


def _whole_days(key: str, today: date) -> tuple[date, date] | None:
    if key in ("today", "yesterday"):
        day = today if key == "today" else today - _ONE_DAY
        return day, day
    which, _, unit = key.partition("-")
    first = _FIRST_DAY.get(unit)
    if first is None or which not in ("this", "last", "current", "previous"):
        return None
    begin = first(today)
    if which in ("last", "previous"):
        return first(begin - _ONE_DAY), begin - _ONE_DAY
    beyond = first(begin + _PAST_ITS_END[unit])
    return begin, beyond - _ONE_DAY
