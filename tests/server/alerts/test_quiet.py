"""Quiet hours on the wall clock, also on the days on which it is changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_micros, to_micros
from llm_cost_ops.server.alerts.quiet import Quiet, read_quiet


def quiet(start: str = "22:00", end: str = "07:00", **fields: object) -> Quiet:
    given = {"start": start, "end": end, "timezone": "America/New_York", **fields}
    made = read_quiet(given)
    assert made is not None
    return made


def due(hours: Quiet, text: str, *, critical: bool = False) -> str:
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return format_micros(hours.due(to_micros(at), critical=critical))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2027-01-12T02:59:59", "2027-01-12T02:59:59Z"),  # 21:59:59 in New York
        ("2027-01-12T03:00:00", "2027-01-12T12:00:00Z"),
        ("2027-01-12T11:59:59", "2027-01-12T12:00:00Z"),
        ("2027-01-12T12:00:00", "2027-01-12T12:00:00Z"),
    ],
)
def test_edges(now: str, expected: str) -> None:
    assert due(quiet(), now) == expected


def test_hours_of_the_night_in_which_the_clock_is_put_forward_and_back() -> None:
    # 2027-03-14: 07:00 is EDT already; 2027-11-07: EST again.
    assert due(quiet(), "2027-03-14T03:00:00") == "2027-03-14T11:00:00Z"
    assert due(quiet(), "2027-11-07T02:00:00") == "2027-11-07T12:00:00Z"


def test_an_edge_that_the_clock_skips_comes_as_much_later() -> None:
    hours = quiet("00:00", "02:30")
    assert due(hours, "2027-03-14T05:00:00") == "2027-03-14T07:30:00Z"  # 03:30 EDT
    assert due(hours, "2027-03-14T07:30:00") == "2027-03-14T07:30:00Z"


def test_an_edge_that_comes_twice_holds_the_first_time() -> None:
    hours = quiet("00:00", "01:30")
    assert due(hours, "2027-11-07T04:00:00") == "2027-11-07T05:30:00Z"  # 01:30 EDT
    assert due(hours, "2027-11-07T06:00:00") == "2027-11-07T06:00:00Z"  # 01:00 EST


def test_days_are_those_on_which_the_hours_begin() -> None:
    weekend = quiet("12:00", "06:00", days=["sat", "Sunday"], timezone="UTC")
    assert due(weekend, "2027-03-13T11:59:00") == "2027-03-13T11:59:00Z"
    assert due(weekend, "2027-03-13T12:00:00") == "2027-03-14T06:00:00Z"
    assert due(weekend, "2027-03-15T05:00:00") == "2027-03-15T06:00:00Z"  # Monday, of Sunday
    assert due(weekend, "2027-03-15T12:00:00") == "2027-03-15T12:00:00Z"


def test_critical_passes_unless_held() -> None:
    assert due(quiet(), "2027-01-12T03:00:00", critical=True) == "2027-01-12T03:00:00Z"
    held = quiet(hold_critical=True)
    assert due(held, "2027-01-12T03:00:00", critical=True) == "2027-01-12T12:00:00Z"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"end": "07:00"}, "quiet_hours.start"),
        ({"start": "22:00"}, "quiet_hours.end"),
        ({"start": "22:00", "end": "22:00"}, "quiet_hours.end"),
        ({"start": "24:00", "end": "22:00"}, "quiet_hours.start"),
        ({"start": "7:00", "end": "22:00"}, "quiet_hours.start"),
        ({"start": "22:00", "end": "07:00", "timezone": "Mars/Base"}, "quiet_hours.timezone"),
        ({"start": "22:00", "end": "07:00", "days": ["someday"]}, "quiet_hours.days"),
        ({"start": "22:00", "end": "07:00", "colour": "red"}, "quiet_hours.colour"),
    ],
)
def test_hours_that_cannot_be(given: dict[str, object], field: str) -> None:
    with pytest.raises(DomainError) as caught:
        read_quiet(given)
    assert caught.value.field == field


def test_none_are_none() -> None:
    assert read_quiet(None) is None
