"""Periods that recur: every instant lies in one, neighbours touch, calendars and clocks agree."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import DAY_US, HOUR_US
from llm_cost_ops.core.recurrence import (
    DAYS_OF,
    MONTHS_OF,
    PERIODS,
    SLIDES,
    Recurrence,
    Slide,
    add_months,
    default_anchor,
)

UTC_ZONE = ZoneInfo("UTC")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe",
         "Pacific/Apia")  # fmt: skip
instants = st.integers(
    to_micros(datetime(1975, 1, 1, tzinfo=UTC)), to_micros(datetime(2090, 1, 1, tzinfo=UTC))
)


def micros(text: str, zone: ZoneInfo = UTC_ZONE) -> int:
    return to_micros(datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC))


def shown(recurrence: Recurrence, text: str) -> tuple[str, str]:
    window = recurrence.at(micros(text, recurrence.zone))
    ends = (window.start_us, window.end_us)
    start, end = (from_micros(edge).astimezone(recurrence.zone) for edge in ends)
    return start.isoformat()[:16], end.isoformat()[:16]


@given(
    instants,
    st.sampled_from(PERIODS),
    st.integers(1, 5),
    st.sampled_from(ZONES),
    st.dates(date(2000, 1, 1), date(2030, 12, 31)),
)
def test_periods_cover_all_of_time(at: int, name: str, every: int, zone: str, anchor: date) -> None:
    found = Recurrence(name, ZoneInfo(zone), anchor, 1 if name == "hourly" else every)
    window = found.at(at)
    assert window.start_us <= at < window.end_us
    assert found.at(window.start_us) == found.at(window.end_us - 1) == window
    assert found.at(window.end_us).start_us == window.end_us
    assert found.at(window.start_us - 1).end_us == window.start_us


@pytest.mark.parametrize(
    ("name", "at", "start", "end"),
    [
        ("hourly", "2025-03-14T15:59:59", "2025-03-14T15:00", "2025-03-14T16:00"),
        ("daily", "2025-03-14T15:59:59", "2025-03-14T00:00", "2025-03-15T00:00"),
        ("weekly", "2025-03-16T23:59:59", "2025-03-10T00:00", "2025-03-17T00:00"),
        ("monthly", "2024-02-29T12:00:00", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("quarterly", "2025-03-31T12:00:00", "2025-01-01T00:00", "2025-04-01T00:00"),
        ("annual", "2025-12-31T23:59:59", "2025-01-01T00:00", "2026-01-01T00:00"),
    ],
)
def test_the_calendar(name: str, at: str, start: str, end: str) -> None:
    assert shown(Recurrence(name, UTC_ZONE, default_anchor(name)), at) == (start, end)


def test_the_fiscal_year_begins_where_it_is_said_to() -> None:
    quarters = Recurrence("quarterly", UTC_ZONE, default_anchor("quarterly", 2))
    assert shown(quarters, "2025-01-31T12:00:00") == ("2024-11-01T00:00", "2025-02-01T00:00")
    assert shown(quarters, "2025-02-01T00:00:00") == ("2025-02-01T00:00", "2025-05-01T00:00")
    years = Recurrence("annual", UTC_ZONE, default_anchor("annual", 4))
    assert shown(years, "2025-03-31T12:00:00") == ("2024-04-01T00:00", "2025-04-01T00:00")
    assert default_anchor("monthly", 4) == date(2001, 1, 1)


def test_months_from_the_31st_end_with_shorter_months() -> None:
    found = Recurrence("monthly", UTC_ZONE, date(2024, 1, 31))
    assert shown(found, "2024-02-29T00:00:00") == ("2024-02-29T00:00", "2024-03-31T00:00")
    assert shown(found, "2024-02-28T12:00:00") == ("2024-01-31T00:00", "2024-02-29T00:00")
    assert shown(found, "2025-02-28T12:00:00") == ("2025-02-28T00:00", "2025-03-31T00:00")
    assert shown(found, "2025-04-30T12:00:00") == ("2025-04-30T00:00", "2025-05-31T00:00")


def test_a_year_from_29_february() -> None:
    found = Recurrence("annual", UTC_ZONE, date(2024, 2, 29))
    assert shown(found, "2026-02-28T00:00:00") == ("2026-02-28T00:00", "2027-02-28T00:00")
    assert shown(found, "2028-02-28T12:00:00") == ("2027-02-28T00:00", "2028-02-29T00:00")
    assert shown(found, "2028-02-29T00:00:00") == ("2028-02-29T00:00", "2029-02-28T00:00")


def test_days_of_a_clock_change_have_23_and_25_hours() -> None:
    days = Recurrence("daily", NEW_YORK, default_anchor("daily"))
    gap = days.at(micros("2025-03-09T12:00", NEW_YORK))
    overlap = days.at(micros("2025-11-02T12:00", NEW_YORK))
    assert gap.end_us - gap.start_us == 23 * HOUR_US
    assert overlap.end_us - overlap.start_us == 25 * HOUR_US
    hours = Recurrence("hourly", NEW_YORK, default_anchor("hourly"))
    first = hours.at(micros("2025-11-02T05:30"))
    second = hours.at(micros("2025-11-02T06:30"))
    assert (first.end_us, first.end_us - first.start_us) == (second.start_us, HOUR_US)


def test_every_other_week_counts_from_its_anchor() -> None:
    found = Recurrence("weekly", UTC_ZONE, date(2025, 1, 6), 2)
    assert shown(found, "2025-01-05T12:00:00") == ("2024-12-23T00:00", "2025-01-06T00:00")
    assert shown(found, "2025-01-19T12:00:00") == ("2025-01-06T00:00", "2025-01-20T00:00")


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(-500, 500))
def test_adding_months_keeps_or_clamps_the_day(day: date, months: int) -> None:
    found = add_months(day, months)
    assert (found.year - day.year) * 12 + found.month - day.month == months
    assert found.day == day.day or (found.day < day.day and add_months(found, 0) == found)


@given(instants, st.sampled_from(sorted(SLIDES)))
def test_a_slide_holds_its_length_and_the_step_under_way(at: int, name: str) -> None:
    length, step = SLIDES[name]
    assert length % step == 0
    slide = Slide(length, step)
    window, own = slide.at(at), slide.step(at)
    assert own.start_us <= at < own.end_us == window.end_us
    assert own.start_us - window.start_us == length
    assert at - window.start_us >= length


def test_every_named_period_slides_or_has_a_calendar() -> None:
    assert set(SLIDES) == set(PERIODS) == {"hourly", *DAYS_OF, *MONTHS_OF}
    assert SLIDES["weekly"][0] == 7 * DAY_US
