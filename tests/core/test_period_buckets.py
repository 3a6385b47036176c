from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.buckets import GRAINS, MAX_BUCKETS, Buckets, buckets
from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import ALL_TIME, DAY_US, HOUR_US, PeriodError, Window, days_window

ZONES = [
    "UTC", "America/New_York", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe",
    "Africa/Cairo", "America/Havana", "Pacific/Apia", "America/St_Johns", "Pacific/Chatham",
]  # fmt: skip


def instants(first_year: int, last_year: int) -> st.SearchStrategy[datetime]:
    first, last = (to_micros(datetime(y, 1, 1, tzinfo=UTC)) for y in (first_year, last_year))
    return st.integers(first, last).map(from_micros)


def labels(found: Buckets) -> list[str]:
    return [found.label(index) for index in range(len(found))]


def of_days(first: date, last: date, grain: str, name: str) -> Buckets:
    zone = ZoneInfo(name)
    return buckets(days_window(first, last, zone), grain, zone)


def test_days_and_their_lengths_across_a_clock_change() -> None:
    found = of_days(date(2025, 11, 1), date(2025, 11, 3), "day", "America/New_York")
    assert labels(found) == ["2025-11-01", "2025-11-02", "2025-11-03"]
    lengths = [(b - a) // HOUR_US for a, b in zip(found.edges, found.edges[1:], strict=False)]
    assert lengths == [24, 25, 24]
    assert [run.step_us // HOUR_US for run in found.runs()] == [24, 25, 24]


def test_the_repeated_hour_is_two_buckets_and_the_skipped_one_is_none() -> None:
    autumn = labels(of_days(date(2025, 11, 2), date(2025, 11, 2), "hour", "America/New_York"))
    assert len(autumn) == 25
    assert autumn[:4] == [
        "2025-11-02T00:00:00-04:00",
        "2025-11-02T01:00:00-04:00",
        "2025-11-02T01:00:00-05:00",
        "2025-11-02T02:00:00-05:00",
    ]
    spring = labels(of_days(date(2025, 3, 9), date(2025, 3, 9), "hour", "America/New_York"))
    assert len(spring) == 23
    assert spring[1:3] == ["2025-03-09T01:00:00-05:00", "2025-03-09T03:00:00-04:00"]


def test_hours_of_kathmandu_begin_at_a_quarter_past() -> None:
    found = of_days(date(2025, 1, 1), date(2025, 1, 1), "hour", "Asia/Kathmandu")
    assert len(found) == 24
    assert found.label(0) == "2025-01-01T00:00:00+05:45"
    assert from_micros(found.edges[0]) == datetime(2024, 12, 31, 18, 15, tzinfo=UTC)


def test_hours_in_utc_are_named_with_z() -> None:
    found = of_days(date(2025, 1, 1), date(2025, 1, 1), "hour", "UTC")
    assert found.label(5) == "2025-01-01T05:00:00Z"


def test_a_half_hour_change_breaks_an_hour_in_two() -> None:
    found = labels(of_days(date(2025, 4, 6), date(2025, 4, 6), "hour", "Australia/Lord_Howe"))
    assert found[:4] == [
        "2025-04-06T00:00:00+11:00",
        "2025-04-06T01:00:00+11:00",
        "2025-04-06T01:30:00+10:30",
        "2025-04-06T02:00:00+10:30",
    ]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    weeks = of_days(date(2024, 12, 29), date(2025, 1, 6), "week", "Europe/Berlin")
    assert labels(weeks) == ["2024-12-23", "2024-12-30", "2025-01-06"]
    months = of_days(date(2024, 12, 31), date(2025, 2, 1), "month", "Europe/Berlin")
    assert labels(months) == ["2024-12", "2025-01", "2025-02"]


def test_a_window_within_one_bucket_gives_that_bucket_whole() -> None:
    noon = to_micros(datetime(2025, 5, 5, 12, 20, tzinfo=UTC))
    found = buckets(Window(noon, noon + 1), "day", ZoneInfo("UTC"))
    assert labels(found) == ["2025-05-05"]
    assert found.edges == (noon - noon % DAY_US, noon - noon % DAY_US + DAY_US)


def test_a_date_that_does_not_exist_has_no_bucket() -> None:
    found = of_days(date(2011, 12, 29), date(2011, 12, 31), "day", "Pacific/Apia")
    assert labels(found) == ["2011-12-29", "2011-12-31"]


def test_an_empty_window_has_no_buckets() -> None:
    for grain in GRAINS:
        assert len(buckets(Window(5, 5), grain, ZoneInfo("UTC"))) == 0


def test_too_many_buckets_are_refused() -> None:
    zone = ZoneInfo("UTC")
    assert len(buckets(Window(0, MAX_BUCKETS * HOUR_US), "hour", zone)) == MAX_BUCKETS
    with pytest.raises(PeriodError):
        buckets(Window(0, (MAX_BUCKETS + 1) * HOUR_US), "hour", zone)
    assert len(buckets(ALL_TIME, "month", zone)) == 131 * 12


@given(
    st.sampled_from(ZONES),
    st.sampled_from(GRAINS),
    instants(1973, 2050),
    st.integers(1, 40 * DAY_US),
    st.data(),
)
def test_buckets_cover_a_window_without_gap_and_agree_with_the_clock(
    name: str, grain: str, start: datetime, length: int, data: st.DataObject
) -> None:
    zone = ZoneInfo(name)
    window = Window(to_micros(start), to_micros(start) + length)
    found = buckets(window, grain, zone)
    assert found.edges[0] <= window.start_us < found.edges[1]
    assert found.edges[-2] < window.end_us <= found.edges[-1]
    assert list(found.edges) == sorted(set(found.edges))
    assert len(set(labels(found))) == len(found)
    micros = data.draw(st.integers(window.start_us, window.end_us - 1))
    index = found.find(micros)
    assert found.edges[index] <= micros < found.edges[index + 1]
    local = from_micros(micros).astimezone(zone)
    if grain == "hour":
        assert found.edges[index + 1] - found.edges[index] <= HOUR_US
        assert found.label(index)[:13] == local.isoformat()[:13]
    elif name != "America/St_Johns":  # its clocks fell back over midnight, at 00:01, until 2011
        month = local.date().isoformat()[:7]
        shown = {
            "day": local.date().isoformat(),
            "month": month,
            "week": date.fromordinal(local.date().toordinal() - local.weekday()).isoformat(),
        }[grain]
        assert found.label(index) == shown
    other = buckets(Window(micros, micros + 1), grain, zone)
    assert other.edges == found.edges[index : index + 2]


@given(
    st.sampled_from(ZONES), st.sampled_from(GRAINS),
    instants(1990, 2040),
    st.integers(1, 400 * DAY_US),
)  # fmt: skip
def test_runs_say_the_same_as_the_edges(
    name: str, grain: str, start: datetime, length: int
) -> None:
    window = Window(to_micros(start), to_micros(start) + length)
    found = buckets(window, grain, ZoneInfo(name))
    runs = found.runs()
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        last = following.first if following else len(found)
        for index in range(run.first, last):
            assert found.edges[index] == run.start_us + (index - run.first) * run.step_us
