"""Instants: aware UTC datetimes at the doors, whole microseconds since 1970 inside tables."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from llm_cost_ops.core.errors import DomainError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_YEAR = 1970
LAST_YEAR = 2100
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s?(Z|z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
DATE_TEXT = "must be in ISO 8601 format (YYYY-MM-DD)"


class InstantError(DomainError):
    """Text that is not an ISO 8601 date or instant between 1970 and 2100."""


def parse_instant(value: object, field: str = "timestamp") -> datetime:
    """ISO 8601 to an aware UTC datetime; without an offset it is UTC, a bare date is its midnight.

    Raises InstantError.
    """
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InstantError(DATE_TEXT, field=field)
    day, clock, offset = match.groups()
    if clock and "." in clock:
        whole, _, fraction = clock.partition(".")
        clock = f"{whole}.{fraction[:6]:0<6}"
    text = f"{day}T{clock or '00:00'}{(offset or '+00:00').upper()}"
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InstantError(DATE_TEXT, field=field) from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise InstantError(f"must be between {FIRST_YEAR} and {LAST_YEAR}", field=field)
    return instant


def parse_end(value: object, field: str = "end_date") -> datetime:
    """The instant at which a period ends: a bare date is included, so its end is the next midnight
    UTC; an instant is excluded. Raises InstantError."""
    instant = parse_instant(value, field)
    return instant + _DAY if isinstance(value, str) and is_bare_date(value) else instant


def parse_day(value: object, field: str) -> date:
    """A bare ISO date. Raises InstantError."""
    if not isinstance(value, str) or len(value) != 10:
        raise InstantError(DATE_TEXT, field=field)
    return parse_instant(value, field).date()


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - EPOCH.date()).days


def day_of(number: int) -> date:
    """The day of a number of days since 1970."""
    return EPOCH.date() + timedelta(days=number)


def is_bare_date(value: str) -> bool:
    """Whether the text names a whole day rather than an instant."""
    return len(value) == 10


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime."""
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


@lru_cache(maxsize=4096)
def _format_second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def format_micros(micros: int) -> str:
    """`format_instant` of microseconds since 1970; calls of the same seconds come in crowds."""
    seconds, fraction = divmod(micros, 1_000_000)
    second = _format_second(seconds)
    return f"{second}.{fraction:06d}Z" if fraction else f"{second}Z"


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`, fractions only where there are some."""
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text}Z"


def format_minute(micros: int, zone: tzinfo = UTC) -> str:
    """For people: `2026-11-27 14:05 CET`. `micros`: microseconds since 1970."""
    local = from_micros(micros).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"
