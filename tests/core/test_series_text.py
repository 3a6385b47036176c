from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from llm_cost_ops.core.series import Series, SeriesError
from llm_cost_ops.core.seriestext import read_series


def read(*lines: str, interval: str | None = None, gaps: str = "missing") -> Series:
    return read_series([f"{line}\n" for line in lines], interval=interval, gaps=gaps)


def days(first: str, count: int, by: int = 1) -> list[str]:
    start = datetime.fromisoformat(first)
    return [f"{(start + timedelta(days=i * by)).date()},{i}" for i in range(count)]


def hours(first: str, count: int, minutes: int = 60) -> list[str]:
    start = datetime.fromisoformat(first)
    return [f"{start + timedelta(minutes=i * minutes)},1" for i in range(count)]


@pytest.mark.parametrize("header", [[], ["date,value"], ["ds,y"], ["Timestamp, Cost"], ["day,usd"]])
def test_the_header_is_optional(header: list[str]) -> None:
    series = read(*header, "", *days("2025-01-01", 3))
    assert (series.step, series.values, series.label(0)) == ("day", (0, 1, 2), "2025-01-01")


def test_a_header_finds_its_columns_among_others() -> None:
    series = read("unique_id,y,ds", "a,1.50,2025-01-01", 'a,"2",2025-01-02')
    assert series.values == (Decimal("1.50"), 2)


def test_values_are_read_exactly() -> None:
    series = read("2025-01-01,0.1234567890123456789", "2025-01-02,-1e-7", "2025-01-03,+.5")
    assert series.values == (Decimal("0.1234567890123456789"), Decimal("-1e-7"), Decimal("0.5"))


@pytest.mark.parametrize(
    ("lines", "step"),
    [
        (["2025-01-01T00:00,1", "2025-01-01T01:00,1"], "hour"),
        (["2025-01-01T00:30:00Z,1", "2025-01-01T01:30:00Z,1"], "hour"),
        (days("2025-01-01", 3), "day"),
        (["2025-01-01T09:00,1", "2025-01-02T09:00,1"], "day"),
        (days("2025-01-05", 3, 7), "week"),
        (["2025-01-31,1", "2025-02-28,1", "2025-03-31,1"], "month"),
        (["2025-01-30,1", "2025-02-28,1", "2025-03-30,1"], "month"),
        (["2024-01-30,1", "2024-02-28,1", "2024-03-30,1"], "month"),
        (["2024-01-30,1", "2024-02-29,1", "2024-03-30,1"], "month"),
        (["2025-02,1", "2025-03,1"], "month"),
        (["2025-02-28,1", "2025-03-28,1"], "month"),
        (["2025-02-28,1", "2025-03-28,1", "2025-04-25,1", "2025-05-30,1"], "week"),
        (["2025-01-01,1"], "day"),
        (["2025-01-01 00:00:00,1"], "hour"),
        (["2025-01,1"], "month"),
    ],
)
def test_the_step_is_read_off_the_dates(lines: list[str], step: str) -> None:
    assert read(*lines).step == step


def test_month_ends_go_on_as_month_ends() -> None:
    series = read("2025-02-28,1", "2025-03-31,2", "2025-05-31,3")
    assert series.labels_after(2) == ["2025-06-30", "2025-07-31"]
    assert series.missing() == [2]


@pytest.mark.parametrize(
    "lines",
    [
        days("2025-01-01", 4, 2),
        hours("2025-01-01", 4, 90),
        hours("2025-01-01", 4, 360),
        ["2025-01-31,1", "2025-04-30,2", "2025-07-31,3"],
        ["2024-01-27,1", "2024-02-28,1", "2024-03-27,1"],
        ["2024-01-30,1", "2024-02-27,1", "2024-03-30,1"],
    ],
)
def test_other_steps_need_an_interval(lines: list[str]) -> None:
    with pytest.raises(SeriesError, match="name the interval") as caught:
        read(*lines)
    assert caught.value.field == "interval"


@pytest.mark.parametrize(
    ("lines", "line", "text"),
    [
        (["2025-01-01,1", "2025-01-01,2"], 2, "has the same date as line 1"),
        (["2025-01-02,1", "2025-01-01,1", "2025-01-02,2"], 3, "has the same date as line 1"),
        (["date,value", "2025-01-01,nan"], 2, "'nan' is not a finite decimal number"),
        (["2025-01-01,1", "2025-01-02,inf"], 2, "'inf' is not a finite"),
        (["2025-01-01,1", "2025-01-02,1_0"], 2, "is not a finite"),
        (["2025-01-01,1", "2025-01-02,1e31"], 2, "beyond 1e30"),
        (["2025-01-01,1", "2025-01-02,1e-31"], 2, "beyond 1e30"),
        (["2025-13-01,1"], 1, "not a date of the calendar"),
        (["0001-01-01T00:00+01:00,1"], 1, "not a date of the calendar"),
        (["time,", "2025-01-01,1"], 1, "'time' is not an ISO 8601 date"),
        (["01/02/2025,1"], 1, "not an ISO 8601 date"),
        (["2025-01-01,1", f"{'x' * 50},1"], 2, "x...' is not"),
        (["2025-01-01,1", "2025-01-02"], 2, "has no value"),
        (["a,b,c"], 1, "two columns"),
        (["date,value", "2026-03-01,9.7", "2026-03-02,9,74"], 3, "has 3 fields where 2 are"),
        (["2026-03-01,9.7", "2026-03-02,9,74"], 2, "has 3 fields where 2 are expected"),
        (["id,y,ds", "a,1,2025-01-01", "a,1,2025-01-02,5"], 2 + 1, "has 4 fields where 3 are"),
        (["date,value,cost", "2026-03-01,1,2"], 1, "more than one column of values: value and c"),
        (["date,y,y", "2026-03-01,1,2"], 1, "more than one column of values: y and y; keep one"),
        (["date;value", "2026-03-01;1"], 1, "or a header with them; separate .* not by semicolons"),
        (["date\tvalue", "2026-03-01\t1"], 1, "separate columns by commas, not by tabs"),
        (["date,value", "2026-03-01;1"], 2, "has no value: .* not by semicolons"),
        (["2026-03-01;9,74"], 1, "is not an ISO 8601 date or instant; separate .* by semicolons"),
        (["2025-01-01,1", "2025-01-02T00:00,1"], 2, "another form of date than line 1"),
        (["2025-10-26T02:00,1", "2025-10-26T02:00,1"], 2, "need their UTC offset"),
        (["2025-01-01,1", '"2025-01-02\x00"x,1', "2,"], 2, "is not"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(lines: list[str], line: int, text: str) -> None:
    with pytest.raises(SeriesError, match=text) as caught:
        read(*lines)
    assert (caught.value.line, caught.value.code) == (line, "VALIDATION_ERROR")
    assert caught.value.field == f"line {line}"


def test_what_is_not_csv_is_refused() -> None:
    with pytest.raises(SeriesError, match="is not CSV"):
        read("2025-01-01,1", "2025-01-02\r,1")


@pytest.mark.parametrize("lines", [[], [""], ["date,value"]])
def test_a_file_without_rows_is_refused(lines: list[str]) -> None:
    with pytest.raises(SeriesError, match="no rows"):
        read(*lines)
    with pytest.raises(SeriesError, match="no number"):
        read("2025-01-01,")


def test_unknown_intervals_are_refused() -> None:
    with pytest.raises(SeriesError, match="one of: hour, day, week, month"):
        read("2025-01-01,1", interval="year")


def test_an_empty_value_is_missing_and_an_absent_row_is_what_the_caller_says() -> None:
    lines = ["2025-01-01,1", "2025-01-02,", "2025-01-04,4", "2025-01-05,"]
    assert read(*lines).values == (1, None, None, 4)
    assert read(*lines, gaps="zero").values == (1, None, 0, 4)


def test_rows_may_come_in_any_order() -> None:
    lines = days("2025-01-01", 9)
    assert read("date,value", *reversed(lines)) == read(*lines)
    mixed = ["2025-10-26T02:00+01:00,3", "2025-10-26T02:00+02:00,2", "2025-10-26T01:00+02:00,1"]
    assert read(*mixed).values == (1, 2, 3)


def test_dates_are_written_as_they_were_read() -> None:
    spaced = read("2025-01-01 00:00:00,1", "2025-01-01 01:00:00,2")
    assert [spaced.label(0), *spaced.labels_after(1)] == [
        "2025-01-01 00:00:00", "2025-01-01 02:00:00"
    ]  # fmt: skip
    zoned = read("2025-01-01 00:00+01:00,1", "2025-01-01 01:00+01:00,2")
    assert zoned.label(1) == "2025-01-01 01:00:00+01:00"
    assert read(*hours("2025-01-01", 8, 15), interval="hour").label(1) == "2025-01-01 01:00:00"
    assert read("2025-01-01T00:00,1", "2025-01-01T01:00,2").label(0) == "2025-01-01T00:00:00"


def test_dst_in_instants_with_offsets() -> None:
    series = read(
        "2025-10-26T01:00+02:00,1", "2025-10-26T02:00+02:00,2",
        "2025-10-26T02:00+01:00,3", "2025-10-26T03:00+01:00,4",
    )  # fmt: skip
    assert series.values == (1, 2, 3, 4)
    assert series.labels_after(1) == ["2025-10-26T04:00:00+01:00"]
    local = read("2025-10-25T00:00+02:00,1", "2025-10-26T00:00+02:00,2", "2025-10-27T00:00+01:00,3")
    assert (local.step, local.values) == ("day", (1, 2, 3))
    assert local.labels_after(1) == ["2025-10-28T00:00:00+01:00"]


def test_hours_of_a_long_day_add_up_to_the_local_day() -> None:
    start = datetime.fromisoformat("2025-10-24T22:00+00:00")
    change = datetime.fromisoformat("2025-10-26T01:00+00:00")
    rows: list[str] = []
    for index in range(24 + 25 + 24):
        utc = start + timedelta(hours=index)
        offset = 2 if utc < change else 1
        local = (utc + timedelta(hours=offset)).replace(tzinfo=None)
        rows.append(f"{local.isoformat()}+0{offset}:00,1")
    series = read(*rows, interval="day")
    assert (series.label(0), series.values) == ("2025-10-25", (24, 25, 24))
    assert read(*rows[:30], *rows[31:], interval="day").values == (24, None, 24)
    assert read(*rows[:30], *rows[31:], interval="day", gaps="zero").values == (24, 24, 24)


def test_rows_closer_than_the_interval_are_added_up_over_whole_steps() -> None:
    quarters = hours("2025-01-01 00:15", 4 * 4, 15)
    series = read(*quarters, interval="hour")
    # Without a step of their own, rows cannot show that an hour is only begun.
    assert (series.label(0), series.values) == ("2025-01-01 00:00:00", (3, 4, 4, 4, 1))
    weeks = read(*days("2025-01-07", 6 + 7 + 7 + 3), interval="week")
    assert weeks.label(0) == "2025-01-13"
    assert len(weeks) == 2
    with pytest.raises(SeriesError, match="one whole month"):
        read(*days("2025-01-07", 30), interval="month")


def test_bins_without_a_row_are_gaps_too() -> None:
    events = ["2025-01-01T10:05,1", "2025-01-01T12:15,2", "2025-01-01T12:20,2"]
    assert read(*events, interval="hour").values == (1, None, 4)
    assert read(*events, interval="hour", gaps="zero").values == (1, 0, 4)


@pytest.mark.parametrize(
    ("lines", "interval", "gaps", "text"),
    [
        (days("2025-01-01", 3), "hour", "missing", "its dates are days, .* into hours"),
        (days("2025-01-01", 3), "hour", "zero", "its dates are days"),
        (days("2025-01-01", 3, 2), "hour", "missing", "its dates are days"),
        (days("2025-01-01", 3, 7), "day", "missing", "its dates are weeks, .* into days"),
        (["2025-01-15,1", "2025-02-15,2"], "week", "missing", "its dates are months"),
        (["2025-01,1", "2025-02,2"], "day", "zero", "its dates are months"),
        (["2025-01-01T00:00,1", "2025-01-02T00:00,2"], "hour", "missing", "its dates are days"),
    ],
)
def test_an_interval_finer_than_the_dates_is_refused(
    lines: list[str], interval: str, gaps: str, text: str
) -> None:
    with pytest.raises(SeriesError, match=f"is finer than the series: {text}") as caught:
        read(*lines, interval=interval, gaps=gaps)
    assert caught.value.field == "interval"


def test_days_of_spending_a_week_apart_are_days_where_absent_rows_are_zero() -> None:
    series = read(*days("2025-01-01", 3, 7), interval="day", gaps="zero")
    assert series.step == "day"
    assert series.values == (0, *[0] * 6, 1, *[0] * 6, 2)
    hours = read("2025-01-01T00:00,1", "2025-01-02T00:00,2", interval="hour", gaps="zero")
    assert (hours.step, len(hours)) == ("hour", 25)


def test_one_row_a_month_is_months_when_they_are_asked_for() -> None:
    lines = ["2024-01-30,1", "2024-02-28,2", "2024-03-30,3"]
    assert read(*lines, interval="month") == read(*lines)
    assert read(*lines).labels_after(2) == ["2024-04-30", "2024-05-30"]
    uneven = read("2025-01-29,1", "2025-02-27,2", "2025-04-30,4", interval="month")
    assert (uneven.label(0), uneven.values) == ("2025-01-01", (1, 2, None, 4))


def test_two_days_far_apart_in_one_month_are_added_up() -> None:
    assert read("2025-01-01,1", "2025-01-31,2", interval="month").values == (3,)


def test_absurd_spans_are_refused_before_memory_is_taken() -> None:
    with pytest.raises(SeriesError, match="more than 200000 steps"):
        read("0001-01-01,1", "0001-01-02,1", "9000-01-01,1")
    with pytest.raises(SeriesError, match="more than 200000 steps"):
        read("0001-01-01,1", "0001-01-02,1", "9000-01-01,1", interval="week")


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_cost_ops.core.seriestext.MAX_ROWS", 3)
    assert len(read(*days("2025-01-01", 3))) == 3
    with pytest.raises(SeriesError, match="more than 3 rows") as caught:
        read(*days("2025-01-01", 4))
    assert caught.value.line == 4
