from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.series import (
    MONTH_END,
    STEPS,
    Series,
    SeriesError,
    aggregate,
    finished,
    trimmed,
)


def made(step: str, start: str, *values: int | None, **more: object) -> Series:
    numbers = tuple(None if value is None else Decimal(value) for value in values)
    return Series(step, datetime.fromisoformat(start), numbers, **more)  # type: ignore[arg-type]


def test_dates_after_the_end_by_hour_day_and_week() -> None:
    hours = made("hour", "2025-12-31T22:00", 1, 2, form="naive")
    assert hours.labels_after(2) == ["2026-01-01T00:00:00", "2026-01-01T01:00:00"]
    days = made("day", "2024-02-27", 1, 2)
    assert days.labels_after(2) == ["2024-02-29", "2024-03-01"]
    weeks = made("week", "2025-12-21", 1)  # a Sunday
    assert weeks.labels_after(2) == ["2025-12-28", "2026-01-04"]


def test_months_stay_on_their_day_and_on_month_ends() -> None:
    ends = made("month", "2024-01-31", 1, anchor=MONTH_END)
    assert ends.labels_after(3) == ["2024-02-29", "2024-03-31", "2024-04-30"]
    thirtieth = made("month", "2025-01-30", 1, anchor=30)
    assert thirtieth.labels_after(2) == ["2025-02-28", "2025-03-30"]
    named = made("month", "2025-12-01", 1, form="month")
    assert named.labels_after(1) == ["2026-01"]


def test_hours_with_an_offset_are_utc_inside_and_written_with_it() -> None:
    hours = made("hour", "2025-01-01T22:00", 1, form="offset", offset=timedelta(hours=1))
    assert hours.label(0) == "2025-01-01T23:00:00+01:00"
    assert hours.labels_after(1) == ["2025-01-02T00:00:00+01:00"]
    days = made("day", "2025-01-01", 1, form="offset", offset=timedelta(hours=-5))
    assert days.labels_after(1) == ["2025-01-02T00:00:00-05:00"]
    assert made("hour", "2025-01-01", 1, form="offset").label(0) == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("step", STEPS)
def test_dates_beyond_the_calendar_are_refused(step: str) -> None:
    series = made(step, "9999-12-31T23:00", 1)
    with pytest.raises(SeriesError, match="leave the years 1 to 9999"):
        series.labels_after(1)


def test_missing_is_not_zero() -> None:
    series = made("day", "2025-01-01", 1, None, 0)
    assert len(series) == 3
    assert series.missing() == [1]


def test_trimmed_keeps_what_lies_between_the_first_and_last_number() -> None:
    series = trimmed(made("month", "2025-01-31", None, 1, None, 2, None, anchor=31))
    assert series.label(0) == "2025-02-28"
    assert series.values == (1, None, 2)
    with pytest.raises(SeriesError, match="no number"):
        trimmed(made("day", "2025-01-01", None))


def test_a_step_is_finished_at_its_end_and_not_a_microsecond_before() -> None:
    series = made("day", "2025-01-01", 1, 2)
    end = datetime(2025, 1, 3, tzinfo=UTC)
    assert len(finished(series, end)) == 2
    assert len(finished(series, end - timedelta(microseconds=1))) == 1
    with pytest.raises(SeriesError, match="no whole day"):
        finished(series, datetime(2025, 1, 1, 23, tzinfo=UTC))


def test_the_clock_that_finishes_a_step_is_the_series_own() -> None:
    series = made("day", "2025-03-30", 1, 2)
    berlin = ZoneInfo("Europe/Berlin")
    assert len(finished(series, datetime(2025, 3, 30, 22, tzinfo=UTC), berlin)) == 1
    assert len(finished(series, datetime(2025, 3, 31, 22, tzinfo=UTC), berlin)) == 2
    west = made("day", "2025-01-01", 1, 2, form="offset", offset=timedelta(hours=-5))
    assert len(finished(west, datetime(2025, 1, 3, 4, 59, tzinfo=UTC))) == 1
    assert len(finished(west, datetime(2025, 1, 3, 5, tzinfo=UTC))) == 2
    hours = made("hour", "2025-01-01T04:00", 1, form="offset", offset=timedelta(hours=-5))
    assert len(finished(hours, datetime(2025, 1, 1, 5, tzinfo=UTC))) == 1


def test_hours_add_up_to_whole_days_only() -> None:
    hours = made("hour", "2025-01-01T01:00", *[1] * (23 + 24 + 24 + 5), form="naive")
    days = aggregate(hours, "day")
    assert (days.label(0), days.values, days.form) == ("2025-01-02", (24, 24), "date")
    whole = made("hour", "2025-01-01", *[1] * 48, form="naive")
    assert aggregate(whole, "day").values == (24, 24)


def test_a_sum_of_an_unknown_is_unknown() -> None:
    days = made("day", "2025-01-06", *[1] * 7, 1, None, *[1] * 5, *[2] * 7)
    assert aggregate(days, "week").values == (7, None, 14)
    assert aggregate(days, "day") is days


def test_hours_with_an_offset_add_up_to_days_of_that_offset() -> None:
    offset = timedelta(hours=2)
    hours = made("hour", "2024-12-31T22:00", *[1] * 24, form="offset", offset=offset)
    assert aggregate(hours, "day").label(0) == "2025-01-01"
    assert aggregate(hours, "day").values == (24,)


def test_days_add_up_to_months() -> None:
    days = made("day", "2025-01-31", *[1] * (1 + 28 + 31))
    months = aggregate(days, "month")
    assert [months.label(index) for index in range(len(months))] == ["2025-02-01", "2025-03-01"]
    assert months.values == (28, 31)


def test_half_hours_past_add_up_by_the_calendar_hour() -> None:
    with pytest.raises(SeriesError, match="one whole week"):
        aggregate(made("day", "2025-01-07", *[1] * 12), "week")
    with pytest.raises(SeriesError, match="cannot be split from week to day"):
        aggregate(made("week", "2025-01-06", 1), "day")


@given(
    st.sampled_from(STEPS[1:]),
    st.lists(st.integers(0, 9), min_size=24, max_size=24 * 70),
    st.integers(0, 10_000),
)
def test_a_sum_over_coarser_steps_is_that_of_the_hours_inside(
    step: str, values: list[int], hours_on: int
) -> None:
    start = datetime.fromisoformat("2024-01-01") + timedelta(hours=hours_on)
    series = made("hour", start.isoformat(), *values, form="naive")
    try:
        coarse = aggregate(series, step)
    except SeriesError:
        return
    first, last = coarse.moment(0), coarse.moment(len(coarse))
    inside = [v for i, v in enumerate(series.values) if first <= series.moment(i) < last]
    assert sum(v or 0 for v in coarse.values) == sum(v or 0 for v in inside)
    assert start <= first < last <= series.moment(len(series))
