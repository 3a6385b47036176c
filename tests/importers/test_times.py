"""Stamps of other people's files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.instant import InstantError
from llm_cost_ops.importers.problem import ImportFormatError
from llm_cost_ops.importers.times import elapsed_ms, stamp, zone_of

BERLIN = zone_of("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"),
        ("2026-11-01T10:00:00.5+02:00", "2026-11-01T08:00:00.500000Z"),
        ("2026-11-01 10:00:00+00", "2026-11-01T10:00:00Z"),
        ("2026-11-01 10:00:00 UTC", "2026-11-01T10:00:00Z"),
        ("2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.979960Z"),
        ("2023-11-16 18:17:03.9799609", "2023-11-16T18:17:03.979960Z"),
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        (" 2026-11-01T10:00 ", "2026-11-01T10:00:00Z"),
        (datetime(2026, 11, 1, 10, tzinfo=UTC), "2026-11-01T10:00:00Z"),
        (datetime(2026, 11, 1, 10), "2026-11-01T10:00:00Z"),  # noqa: DTZ001
        (
            datetime(2026, 11, 1, 10, tzinfo=timezone(timedelta(hours=-5))),
            "2026-11-01T15:00:00Z",
        ),
        (date(2026, 11, 1), "2026-11-01T00:00:00Z"),
        (None, None),
        ("", None),
    ],
)
def test_instants(value: object, expected: str | None) -> None:
    assert stamp(value, "t") == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1793527200, "s", "2026-11-01T10:00:00Z"),
        ("1793527200.25", "s", "2026-11-01T10:00:00.250000Z"),
        (Decimal("1793527200.1234569"), "s", "2026-11-01T10:00:00.123456Z"),
        (1793527200000, "ms", "2026-11-01T10:00:00Z"),
        (1793527200000.5, "ms", "2026-11-01T10:00:00.000500Z"),
        (1793527200000001, "us", "2026-11-01T10:00:00.000001Z"),
        ("1793527200000001999", "ns", "2026-11-01T10:00:00.000001Z"),
        (0, "s", "1970-01-01T00:00:00Z"),
        (4133980799, "s", "2100-12-31T23:59:59Z"),
    ],
)
def test_epochs_with_a_unit(value: object, unit: str, expected: str) -> None:
    assert stamp(value, "t", unit=unit) == expected


def test_relative_stamps_count_from_their_start() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    assert stamp(27482, "t", unit="ms", start=start) == "2026-11-01T00:00:27.482000Z"


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1793527200, None),
        ("1793527200", None),
        ("yesterday", None),
        ("2026-13-01", None),
        ("11/01/2026", None),
        (True, "s"),
        (-1, "s"),
        ("1e9", "s"),
        (4133980800, "s"),
        ("1969-12-31T23:59:59Z", None),
        ([], None),
    ],
)
def test_what_is_no_instant_is_refused_with_its_field(value: object, unit: str | None) -> None:
    with pytest.raises(InstantError) as caught:
        stamp(value, "timestamp", unit=unit)
    assert caught.value.field == "timestamp"


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-07-01 12:00:00", "2026-07-01T10:00:00Z"),
        ("2026-12-01 12:00:00", "2026-12-01T11:00:00Z"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),  # twice in autumn: the earlier
        ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
        ("2026-12-01 12:00:00Z", "2026-12-01T12:00:00Z"),
    ],
)
def test_stamps_without_an_offset_are_in_the_zone(local: str, expected: str) -> None:
    assert stamp(local, "t", zone=BERLIN) == expected


def test_a_local_time_that_never_was_is_refused() -> None:
    with pytest.raises(InstantError, match="does not exist"):
        stamp("2026-03-29 02:30:00", "t", zone=BERLIN)


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ImportFormatError):
            zone_of(name)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_form_of_an_instant_is_that_instant(moment: datetime) -> None:
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    expected = stamp(moment, "t")
    assert stamp(micros, "t", unit="us") == expected
    assert stamp(moment.isoformat(), "t") == expected
    assert stamp(moment.astimezone(timezone(timedelta(hours=9))).isoformat(), "t") == expected
    assert stamp(Decimal(micros) / 10**6, "t", unit="s") == expected


def test_elapsed_milliseconds() -> None:
    assert elapsed_ms("2026-11-01T10:00:00Z", "2026-11-01T10:00:01.2509Z") == 1250
    assert elapsed_ms("2026-11-01T10:00:01Z", "2026-11-01T10:00:00Z") is None
    assert elapsed_ms("2026-11-01T10:00:00Z", None) is None
