"""Instants as other people's files write them: with or without offset, epochs, relative."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from llm_cost_ops.core.instant import (
    FIRST_YEAR,
    LAST_YEAR,
    InstantError,
    format_instant,
    from_micros,
    parse_instant,
    to_micros,
)
from llm_cost_ops.importers.problem import ImportFormatError

MICROS = {"s": Decimal(10**6), "ms": Decimal(1000), "us": Decimal(1), "ns": Decimal("0.001")}
_OFFSET = re.compile(r"(?:[Zz]|UTC|[+-]\d{2}(?::?\d{2})?)$", re.ASCII)
_SHORT_OFFSET = re.compile(r"[+-]\d{2}$", re.ASCII)
_BARE_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH_TEXT = re.compile(r"\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_FIRST = to_micros(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
_LAST = to_micros(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))


def zone_of(name: str) -> tzinfo:
    """The IANA zone of this name. Raises ImportFormatError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ImportFormatError(f"{name!r} is not an IANA time zone", field="time_zone") from None


def stamp(
    value: object,
    field: str,
    *,
    unit: str | None = None,
    start: datetime | None = None,
    zone: tzinfo = UTC,
) -> str | None:
    """The instant in RFC 3339 UTC, cut to microseconds; None where the value is empty.

    `unit` (s, ms, us or ns) says that the value is a number of these since 1970, or since `start`.
    Without it the value is a datetime or ISO 8601 text; a stamp without an offset is in `zone`,
    and of two equal local times in autumn it is the earlier. Raises InstantError.
    """
    if value is None or value == "":
        return None
    if unit is not None:
        return format_instant(_counted(value, field, MICROS[unit], start))
    if isinstance(value, datetime):
        return format_instant(_located(value, field, zone))
    if isinstance(value, date):
        return format_instant(
            _located(datetime(value.year, value.month, value.day, tzinfo=zone), field, zone)
        )
    if isinstance(value, str) and not _EPOCH_TEXT.fullmatch(value.strip()):
        return format_instant(_parsed(value.strip(), field, zone))
    raise InstantError(
        "is a number without a unit: map it as column@s, column@ms, column@us or column@ns",
        field=field,
    )


def _counted(value: object, field: str, micros: Decimal, start: datetime | None) -> datetime:
    text = str(value).strip() if isinstance(value, int | float | Decimal | str) else ""
    if not _EPOCH_TEXT.fullmatch(text):
        raise InstantError("must be a number of time units", field=field)
    total = int(Decimal(text) * micros) + (to_micros(start) if start else 0)
    if not _FIRST <= total < _LAST:
        raise InstantError(f"must be between {FIRST_YEAR} and {LAST_YEAR}", field=field)
    return from_micros(total)


def _parsed(text: str, field: str, zone: tzinfo) -> datetime:
    if _OFFSET.search(text) and not _BARE_DATE.fullmatch(text):
        text = text.removesuffix("UTC").rstrip() + "Z" if text.endswith("UTC") else text
        return parse_instant(f"{text}:00" if _SHORT_OFFSET.search(text) else text, field)
    return _located(parse_instant(text, field).replace(tzinfo=None), field, zone)


def _located(value: datetime, field: str, zone: tzinfo) -> datetime:
    if value.tzinfo is not None and value.tzinfo is not zone:
        return _bounded(value.astimezone(UTC), field)
    local = value.replace(tzinfo=zone, fold=0)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise InstantError(f"does not exist in {zone}: clocks went forward", field=field)
    return _bounded(instant, field)


def _bounded(instant: datetime, field: str) -> datetime:
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise InstantError(f"must be between {FIRST_YEAR} and {LAST_YEAR}", field=field)
    return instant


def elapsed_ms(begin: object, end: object, zone: tzinfo = UTC) -> int | None:
    """Milliseconds between two stamps; None where one is missing or they run backwards."""
    first, last = stamp(begin, "start", zone=zone), stamp(end, "end", zone=zone)
    if first is None or last is None:
        return None
    span = to_micros(parse_instant(last)) - to_micros(parse_instant(first))
    return span // 1000 if span >= 0 else None
