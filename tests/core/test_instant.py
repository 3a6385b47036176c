"""Instants: strict ISO 8601, UTC inside, both ends of the accepted range."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import instant
from llm_cost_ops.core.instant import InstantError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-15", datetime(2026, 11, 15, tzinfo=UTC)),
        ("2026-11-15T12:00:00Z", datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ("2026-11-15t12:00z", datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ("2026-11-15 12:00:00", datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ("2026-11-15T12:00:00+05:45", datetime(2026, 11, 15, 6, 15, tzinfo=UTC)),
        ("2026-11-15T12:00:00-0330", datetime(2026, 11, 15, 15, 30, tzinfo=UTC)),
        ("2026-11-15T12:00:00.5Z", datetime(2026, 11, 15, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-15T12:00:00.123456789Z", datetime(2026, 11, 15, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2100-12-31T23:59:59Z", datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_reads(text: str, expected: datetime) -> None:
    assert instant.parse_instant(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", "15/11/2026", "2026-13-01", "2026-02-30", "20261115", "2026-W01",
        "2026-11-15T25:00:00Z",
        "1969-12-31T23:59:59Z", "2101-01-01", "2026-11-15T12", "2026-11-15Z", "２０２６-11-15", 5,
        None,
        "1970-01-01T00:00:00+14:00",
    ],
)  # fmt: skip
def test_refuses(value: object) -> None:
    with pytest.raises(InstantError) as refused:
        instant.parse_instant(value, "start_date")
    assert refused.value.field == "start_date"


def test_a_day_is_a_bare_date() -> None:
    assert instant.parse_day("2026-11-15", "day") == date(2026, 11, 15)
    assert instant.is_bare_date("2026-11-15")
    assert not instant.is_bare_date("2026-11-15T00:00:00Z")
    with pytest.raises(InstantError):
        instant.parse_day("2026-11-15T00:00:00Z", "day")


@given(st.integers(0, instant.to_micros(datetime(2100, 12, 31, tzinfo=UTC))))
def test_micros_and_text_round_trip(micros: int) -> None:
    aware = instant.from_micros(micros)
    assert instant.from_micros(instant.to_micros(aware)) == aware
    assert instant.parse_instant(instant.format_instant(aware)) == aware
    assert instant.format_micros(micros) == instant.format_instant(aware)


def test_an_instant_of_another_zone_is_written_in_utc() -> None:
    shown = instant.format_instant(datetime.fromisoformat("2026-11-15T12:00:00+02:00"))
    assert shown == "2026-11-15T10:00:00Z"
    assert timedelta(0) == timedelta(microseconds=instant.to_micros(instant.EPOCH))


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-11-15", datetime(2026, 11, 16, tzinfo=UTC)),
        ("2026-11-15T00:00:00Z", datetime(2026, 11, 15, tzinfo=UTC)),
    ],
)
def test_a_bare_date_ends_a_period_at_its_own_end(text: str, end: datetime) -> None:
    assert instant.parse_end(text) == end


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("UTC", "2026-11-27 13:05 UTC"), ("Europe/Berlin", "2026-11-27 14:05 CET")],
)
def test_a_minute_for_people(zone: str, shown: str) -> None:
    micros = instant.to_micros(datetime(2026, 11, 27, 13, 5, 59, tzinfo=UTC))
    assert instant.format_minute(micros, ZoneInfo(zone)) == shown


def test_days_are_counted_from_1970() -> None:
    days = (date(1970, 1, 1), date(1970, 2, 1), date(1969, 12, 31))
    assert [instant.day_number(day) for day in days] == [0, 31, -1]
    assert [instant.day_of(instant.day_number(day)) for day in days] == list(days)
