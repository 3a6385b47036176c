"""When schedules fire: clocks that skip and repeat hours, leap days, ends of months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.instant import format_micros, from_micros, parse_instant, to_micros
from llm_cost_ops.server.queue.slots import MINUTE_US, SlotsError, slots

NEW_YORK = "America/New_York"


def at(text: str) -> int:
    return to_micros(parse_instant(text))


def following(expression: str, zone: str, after: str, count: int) -> list[str]:
    plan, found, shown = slots(expression, zone, at(after)), at(after), []
    for _ in range(count):
        found = plan.next_after(found)
        shown.append(format_micros(found))
    return shown


def test_a_skipped_local_time_fires_once_as_if_the_clock_had_gone_on() -> None:
    expected = ["2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"]
    assert following("30 2 * * *", NEW_YORK, "2026-03-07T12:00:00Z", 3) == expected


@pytest.mark.parametrize("after", ["2026-03-08T07:00:00Z", "2026-03-08T07:29:59Z"])
def test_a_skipped_time_is_still_ahead_after_the_gap(after: str) -> None:
    assert following("30 2 * * *", NEW_YORK, after, 1) == ["2026-03-08T07:30:00Z"]
    assert following("30 2,3 * * *", NEW_YORK, "2026-03-08T07:30:00Z", 1) == [
        "2026-03-09T06:30:00Z"
    ]


def test_what_follows_a_skipped_time_comes_before_it() -> None:
    found = following("40 2 8 3 *", NEW_YORK, "2026-03-01T00:00:00Z", 1)
    assert found == ["2026-03-08T07:40:00Z"]
    found = following("10,40 2,3 * * *", NEW_YORK, "2026-03-08T06:59:00Z", 3)
    assert found == ["2026-03-08T07:10:00Z", "2026-03-08T07:40:00Z", "2026-03-09T06:10:00Z"]
    found = following("0 2,3,4 * * *", NEW_YORK, "2026-03-08T06:59:00Z", 3)
    assert found == ["2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z", "2026-03-09T06:00:00Z"]


def test_a_repeated_local_time_fires_the_first_time_only() -> None:
    expected = ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
    assert following("30 1 * * *", NEW_YORK, "2026-10-31T12:00:00Z", 2) == expected


@pytest.mark.parametrize("after", ["2026-11-01T06:15:00Z", "2026-11-01T05:59:59.5Z"])
def test_nothing_fires_again_in_the_second_pass_of_an_hour(after: str) -> None:
    assert following("15,30 1 * * *", NEW_YORK, after, 1) == ["2026-11-02T06:15:00Z"]


@pytest.mark.parametrize("expression", ["30 * * * *", "30 */1 * * *", "30 0-23 * * *"])
def test_an_hourly_schedule_fires_in_every_real_hour(expression: str) -> None:
    found = following(expression, NEW_YORK, "2026-11-01T04:00:00Z", 25)
    assert len(set(found)) == 25
    assert found[:3] == ["2026-11-01T04:30:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"]
    assert found[-1] == "2026-11-02T04:30:00Z"  # the day has 25 hours
    found = following(expression, NEW_YORK, "2026-03-08T05:00:00Z", 23)
    assert found[-1] == "2026-03-09T03:30:00Z"  # and the other one 23


def test_every_second_hour_is_not_hourly() -> None:
    found = following("0 */2 * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", 3)
    assert found == ["2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", "2026-10-25T05:00:00Z"]


def test_a_shift_of_half_an_hour() -> None:
    zone = "Australia/Lord_Howe"  # 02:00 +11 becomes 01:30 +10:30 on this night
    found = following("45 1 * * *", zone, "2026-04-04T00:00:00Z", 2)
    assert found == ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]


def test_a_day_that_was_skipped() -> None:
    found = following("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 3)
    assert found == ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"]


def test_leap_days() -> None:
    found = following("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2)
    assert found == ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]
    found = following("0 0 L * *", "UTC", "2028-01-31T12:00:00Z", 2)
    assert found == ["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"]


def test_monthly_from_the_31st_takes_the_last_day_of_shorter_months() -> None:
    found = following("every 1 month", NEW_YORK, "2028-01-31T07:30:00Z", 4)
    expected = ["2028-02-29T07:30:00Z", "2028-03-31T06:30:00Z", "2028-04-30T06:30:00Z"]
    assert found == [*expected, "2028-05-31T06:30:00Z"]


def test_daily_steps_keep_the_local_time_and_minutes_the_elapsed_one() -> None:
    found = following("every 1 day", NEW_YORK, "2026-03-07T07:30:00Z", 2)
    assert found == ["2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"]
    found = following("every 90 minutes", NEW_YORK, "2026-03-08T06:00:00Z", 2)
    assert found == ["2026-03-08T07:30:00Z", "2026-03-08T09:00:00Z"]
    assert following("every 2 weeks", "UTC", "2026-01-01T00:00:00Z", 1) == ["2026-01-15T00:00:00Z"]


WRONG = [
    "", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 30 2 *", "@daily",
    "every 0 days", "every 1 fortnight", "every 10000 days", "0 0 * * 1#6",
    "0 " + "1," * 80 + "1 * * *",
]  # fmt: skip


@pytest.mark.parametrize("expression", WRONG)
def test_expressions_that_are_refused(expression: str) -> None:
    with pytest.raises(SlotsError) as refused:
        slots(expression)
    assert refused.value.field == "expression"


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "x" * 65])
def test_zones_that_are_refused(zone: str) -> None:
    with pytest.raises(SlotsError) as refused:
        slots("0 0 * * *", zone)
    assert refused.value.field == "timezone"


def test_a_schedule_ends_when_nothing_matches_for_fifty_years() -> None:
    plan = slots("0 0 * 2 MON#5")  # a fifth Monday in February: 2044, 2072, ..
    assert format_micros(plan.next_after(at("2026-01-01"))) == "2044-02-29T00:00:00Z"
    with pytest.raises(SlotsError, match="never fires"):
        slots("0 0 */31 * 1#3")  # a first day of the month that is the third Monday


EXPRESSIONS = st.sampled_from(
    ["30 2 * * *", "*/15 * * * *", "0 0 1 * *", "5 1,2,3 * * 0", "0 */6 * * *", "every 7 hours",
     "every 3 days", "every 1 month", "59 23 L * *"]
)  # fmt: skip
ZONES = st.sampled_from([NEW_YORK, "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
LOCAL = st.integers(0, 60 * 365 * 24 * 60).map(
    lambda minutes: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@given(EXPRESSIONS, ZONES, LOCAL)
def test_slots_ascend_and_none_is_left_out(expression: str, zone: str, start: datetime) -> None:
    after = to_micros(start)
    plan = slots(expression, zone, at("2000-01-01"))
    found = [after]
    for _ in range(6):
        found.append(plan.next_after(found[-1]))
    assert all(first < second for first, second in pairwise(found))
    for first, second in pairwise(found):
        between = first + (second - first) // 2
        assert plan.next_after(between) == second
        assert plan.next_after(second - 1) == second
        assert plan.latest(found[1], max(second, found[1])) == max(second, found[1])
        assert plan.latest(found[1], max(second - 1, found[1])) == max(first, found[1])


@given(ZONES, LOCAL, st.integers(0, 240))
def test_the_next_slot_is_the_earliest_of_all(zone: str, start: datetime, minutes: int) -> None:
    """Also around a change of the clocks, where local times and instants differ in order."""
    place, after = ZoneInfo(zone), to_micros(start) + minutes * MINUTE_US
    day = from_micros(after).astimezone(place).replace(tzinfo=None, hour=0, minute=0)
    named = [day + timedelta(days=d, hours=h, minutes=m)
             for d in range(-2, 3) for h in (1, 2, 3) for m in (10, 40)]  # fmt: skip
    instants = (to_micros(local.replace(tzinfo=place).astimezone(UTC)) for local in named)
    expected = min(instant for instant in instants if instant > after)
    assert slots("10,40 1,2,3 * * *", zone).next_after(after) == expected


def test_the_latest_slot_of_a_long_time() -> None:
    plan = slots("* * * * *", NEW_YORK)
    now = at("2026-06-01T00:00:30Z")
    assert from_micros(plan.latest(MINUTE_US, now)) == from_micros(now - 30_000_000)


def test_ten_years_of_days_are_planned_without_waiting() -> None:
    plan, found, count = slots("30 2 * * *", NEW_YORK), at("2026-01-01"), 0
    while found < at("2036-01-01"):
        found = plan.next_after(found)
        count += 1
    assert count == 3653  # 2028 and 2032 have leap days; the last one is past the end
