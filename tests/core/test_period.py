from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.instant import InstantError, from_micros, to_micros
from llm_cost_ops.core.period import (
    ALL_TIME,
    PERIODS,
    DateRangeError,
    PeriodError,
    Window,
    day_start,
    days_window,
    last_days,
    local_day,
    named_period,
    time_zone,
    window_between,
)

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
NOW = datetime(2025, 3, 12, 15, 30, tzinfo=UTC)  # a Wednesday


def instants(first_year: int, last_year: int) -> st.SearchStrategy[datetime]:
    first, last = (to_micros(datetime(y, 1, 1, tzinfo=UTC)) for y in (first_year, last_year))
    return st.integers(first, last).map(from_micros)


def span(window: Window) -> tuple[str, str]:
    start, end = from_micros(window.start_us), from_micros(window.end_us)
    return start.isoformat().replace("+00:00", "Z"), end.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("today", "2025-03-12T00:00:00Z", "2025-03-13T00:00:00Z"),
        ("yesterday", "2025-03-11T00:00:00Z", "2025-03-12T00:00:00Z"),
        ("last-hour", "2025-03-12T14:30:00Z", "2025-03-12T15:30:00Z"),
        ("last-24-hours", "2025-03-11T15:30:00Z", "2025-03-12T15:30:00Z"),
        ("24h", "2025-03-11T15:30:00Z", "2025-03-12T15:30:00Z"),
        ("last-7-days", "2025-03-06T00:00:00Z", "2025-03-13T00:00:00Z"),
        ("7d", "2025-03-06T00:00:00Z", "2025-03-13T00:00:00Z"),
        ("last_30_days", "2025-02-11T00:00:00Z", "2025-03-13T00:00:00Z"),
        ("last-1-days", "2025-03-12T00:00:00Z", "2025-03-13T00:00:00Z"),
        ("this-week", "2025-03-10T00:00:00Z", "2025-03-17T00:00:00Z"),
        ("last-week", "2025-03-03T00:00:00Z", "2025-03-10T00:00:00Z"),
        ("THIS_MONTH", "2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"),
        ("current-month", "2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"),
        ("last-month", "2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z"),
        ("this-quarter", "2025-01-01T00:00:00Z", "2025-04-01T00:00:00Z"),
        ("last-quarter", "2024-10-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("this-year", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("previous year", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("week-to-date", "2025-03-10T00:00:00Z", "2025-03-12T15:30:00Z"),
        ("month-to-date", "2025-03-01T00:00:00Z", "2025-03-12T15:30:00Z"),
        ("year-to-date", "2025-01-01T00:00:00Z", "2025-03-12T15:30:00Z"),
    ],
)
def test_named_periods_in_utc(name: str, start: str, end: str) -> None:
    assert span(named_period(name, NOW, UTC_ZONE)) == (start, end)


def test_a_period_follows_the_local_date_and_not_the_utc_one() -> None:
    late = datetime(2025, 6, 30, 22, 30, tzinfo=UTC)  # 1 July, 00:30 in Berlin
    assert span(named_period("today", late, BERLIN)) == (
        "2025-06-30T22:00:00Z",
        "2025-07-01T22:00:00Z",
    )
    assert span(named_period("this-month", late, BERLIN))[0] == "2025-06-30T22:00:00Z"
    assert span(named_period("this-month", late, UTC_ZONE))[0] == "2025-06-01T00:00:00Z"


def test_days_of_a_clock_change_have_23_and_25_hours() -> None:
    hours = [
        days_window(day, day, NEW_YORK)
        for day in (date(2025, 3, 8), date(2025, 3, 9), date(2025, 11, 2))
    ]
    assert [(w.end_us - w.start_us) // 3_600_000_000 for w in hours] == [24, 23, 25]


def test_a_skipped_midnight_begins_the_day_after_the_gap() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2023-04-28 00:00 became 01:00
    start = day_start(date(2023, 4, 28), cairo)
    assert from_micros(start).astimezone(cairo).isoformat() == "2023-04-28T01:00:00+03:00"
    assert from_micros(start - 1).astimezone(cairo).date() == date(2023, 4, 27)


def test_a_gap_around_midnight_begins_the_day_at_the_change() -> None:
    toronto = ZoneInfo("America/Toronto")  # 1919-03-30 23:30 became 1919-03-31 00:30
    start = day_start(date(1919, 3, 31), toronto)
    assert from_micros(start).astimezone(toronto).isoformat() == "1919-03-31T00:30:00-04:00"
    assert from_micros(start - 1).astimezone(toronto).date() == date(1919, 3, 30)


def test_a_repeated_midnight_begins_the_day_at_its_first() -> None:
    havana = ZoneInfo("America/Havana")  # 2024-11-03 01:00 became 00:00
    window = days_window(date(2024, 11, 3), date(2024, 11, 3), havana)
    assert span(window) == ("2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z")


def test_a_date_that_a_zone_skipped_is_empty() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert days_window(date(2011, 12, 30), date(2011, 12, 30), apia).is_empty


@given(
    st.dates(date(1972, 1, 2), date(2040, 12, 31)),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe",
                     "Africa/Cairo", "America/Havana", "Pacific/Apia", "Asia/Kolkata"]),
)  # fmt: skip
def test_a_day_starts_exactly_where_its_date_first_shows(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    start = day_start(day, zone)
    assert local_day(start, zone) >= day
    assert local_day(start - 1, zone) < day


def test_bare_dates_are_whole_days_in_the_zone_and_the_end_is_included() -> None:
    assert span(window_between("2025-01-01", "2025-01-31", UTC_ZONE)) == (
        "2025-01-01T00:00:00Z",
        "2025-02-01T00:00:00Z",
    )
    assert span(window_between("2025-01-01", "2025-01-01", KATHMANDU)) == (
        "2024-12-31T18:15:00Z",
        "2025-01-01T18:15:00Z",
    )


def test_instants_are_exact_and_without_an_offset_they_are_utc() -> None:
    window = window_between("2025-01-01T10:00:00", "2025-01-01T12:00:00+01:00", BERLIN)
    assert span(window) == ("2025-01-01T10:00:00Z", "2025-01-01T11:00:00Z")


def test_a_missing_bound_is_open() -> None:
    assert window_between(None, None, UTC_ZONE) == ALL_TIME
    assert window_between("2025-01-01", None, UTC_ZONE).end_us == ALL_TIME.end_us
    assert window_between(None, "2025-01-01", UTC_ZONE).start_us == ALL_TIME.start_us
    assert window_between(None, "2100-12-31", UTC_ZONE) == ALL_TIME


def test_a_period_that_ends_before_it_begins_is_refused_by_name() -> None:
    for start, end in (
        ("2025-02-01", "2025-01-31"),
        ("2025-01-02T00:00:01Z", "2025-01-02T00:00:00Z"),
    ):
        with pytest.raises(DateRangeError) as caught:
            window_between(start, end, UTC_ZONE)
        assert caught.value.code == "INVALID_DATE_RANGE"
        assert caught.value.field_errors == {"start_date": "must not be after end_date"}
    same = window_between("2025-01-02T00:00:00Z", "2025-01-02T00:00:00Z", UTC_ZONE)
    assert same.is_empty


@pytest.mark.parametrize(
    "text", ["01/02/2025", "2025-02-30", "2025-1-1", "", "yesterday", "1969-12-31"]
)
@pytest.mark.parametrize("field", ["start_date", "end_date"])
def test_a_bad_date_is_named(text: str, field: str) -> None:
    values = {"start_date": None, "end_date": None, field: text}
    with pytest.raises(InstantError) as caught:
        window_between(values["start_date"], values["end_date"], UTC_ZONE)
    assert list(caught.value.field_errors) == [field]


@pytest.mark.parametrize(
    "name",
    ["", "last-0-days", "last-10001-hours", "last-99999-days", "next-week", "this-decade", "last",
     "to-date", "-to-date", "day-to-date", "٧d"],
)  # fmt: skip
def test_an_unknown_period_is_refused(name: str) -> None:
    with pytest.raises(PeriodError) as caught:
        named_period(name, NOW, UTC_ZONE)
    assert "period" in caught.value.field_errors


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe/Atlantis",
        "../etc/passwd",
        "/etc/localtime",
        "America",
        "A" * 65,
        "+02:00",
        "Ünited",
    ],
)
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(PeriodError) as caught:
        time_zone(name)
    assert caught.value.field_errors == {
        "timezone": "must be an IANA time zone such as Europe/Berlin"
    }


def test_known_time_zones() -> None:
    names = ["UTC", "Z", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"]
    assert [time_zone(name).key for name in names] == ["UTC", *["UTC"], *names[2:]]


@given(
    st.sampled_from(PERIODS),
    instants(1975, 2090),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Kiritimati"]),
)
def test_every_named_period_is_a_window_around_or_before_now(
    name: str, now: datetime, zone_name: str
) -> None:
    window = named_period(name, now, ZoneInfo(zone_name))
    now_us = to_micros(now)
    assert window.start_us <= now_us
    assert window.end_us >= window.start_us
    if name.startswith("this") or name == "today":
        assert window.start_us <= now_us < window.end_us
    if name.endswith("to-date") or name in ("last-hour", "last-24-hours"):
        assert window.end_us == now_us
    if name in ("last-week", "last-month", "last-quarter", "last-year", "yesterday"):
        assert window.end_us <= now_us


@given(
    st.integers(1, 500),
    instants(2000, 2060),
)
def test_last_days_are_as_many_local_dates(count: int, now: datetime) -> None:
    window = last_days(count, now, NEW_YORK)
    first, last = local_day(window.start_us, NEW_YORK), local_day(window.end_us - 1, NEW_YORK)
    assert last - first == timedelta(days=count - 1)
    assert last == local_day(to_micros(now), NEW_YORK)


def test_clip_keeps_the_common_part() -> None:
    assert Window(0, 10).clip(Window(5, 20)) == Window(5, 10)
    assert Window(0, 10).clip(Window(10, 20)).is_empty
