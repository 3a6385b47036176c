"""Months in UTC as billing periods."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.months import (
    month_after,
    month_at,
    month_before,
    month_of,
    month_within,
    months_between,
    window_of,
)
from llm_cost_ops.core.period import PeriodError, Window


def micros(year: int, month: int, day: int = 1) -> int:
    return to_micros(datetime(year, month, day, tzinfo=UTC))


def test_a_month_is_read_as_it_is_written() -> None:
    assert month_of(" 2026-10 ") == "2026-10"


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "", "0000-01"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(PeriodError) as caught:
        month_of(text, "billing_period")
    assert caught.value.field == "billing_period"


def test_its_window_begins_and_ends_at_midnight_utc() -> None:
    assert window_of("2026-12") == Window(micros(2026, 12), micros(2027, 1))
    assert window_of("2028-02") == Window(micros(2028, 2), micros(2028, 3))


def test_an_instant_is_in_the_month_that_it_begins() -> None:
    assert month_at(micros(2026, 11)) == "2026-11"
    assert month_at(micros(2026, 11) - 1) == "2026-10"


def test_a_window_is_a_month_to_the_microsecond() -> None:
    october = window_of("2026-10")
    assert month_within(october) == "2026-10"
    assert month_within(Window(october.start_us, october.end_us - 1)) is None
    assert month_within(Window(october.start_us + 1, october.end_us)) is None


def test_months_follow_each_other_over_the_year() -> None:
    assert (month_after("2026-12"), month_before("2027-01")) == ("2027-01", "2026-12")
    assert months_between("2026-11", "2027-02") == ["2026-11", "2026-12", "2027-01", "2027-02"]
    assert months_between("2026-11", "2026-11") == ["2026-11"]
    assert months_between("2026-12", "2026-11") == []
