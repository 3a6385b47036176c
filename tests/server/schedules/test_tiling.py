"""What one run is about ends where the next one begins, over each change of the clocks in the
world: no day and no hour is delivered twice, and none never."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest

from llm_cost_ops.core.instant import format_micros, from_micros, to_micros
from llm_cost_ops.core.period import HOUR_US, Window, day_start, offset_change, time_zone
from llm_cost_ops.server.schedules.plan import WEEKDAYS, Recurrence
from llm_cost_ops.server.schedules.window import DEFAULTS, PREVIOUS_HOUR, window_of

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
STEP = timedelta(days=14)
"""Shorter than what any zone keeps an offset."""
DAY = timedelta(days=1)
Change = tuple[str, datetime]


def offsets(zone: ZoneInfo) -> Iterator[timedelta | None]:
    at = FIRST
    while at <= LAST:
        yield at.astimezone(zone).utcoffset()
        at += STEP


@cache
def changes() -> list[Change]:
    """Zones with instants at which their clocks change, one of each kind: of a time of the day by
    a duration. Zones that change alike are one."""
    found: dict[tuple[datetime, timedelta, timedelta], Change] = {}
    alike: dict[tuple[timedelta | None, ...], str] = {}
    for name in sorted(available_timezones()):
        alike.setdefault(tuple(offsets(ZoneInfo(name))), name)
    for shifts, name in alike.items():
        for n, (before, after) in enumerate(pairwise(shifts)):
            if before is None or after is None or before == after:
                continue
            begin = to_micros(FIRST + n * STEP)
            end = begin + STEP // timedelta(microseconds=1)
            at = from_micros(offset_change(begin, end, ZoneInfo(name), after))
            clock = (at + before).replace(year=2000, month=1, day=1)
            found.setdefault((clock, before % timedelta(hours=1), after - before), (name, at))
    return list(found.values())


def period_of(recurrence: Recurrence) -> str:
    cron = recurrence.frequency == "cron"
    return PREVIOUS_HOUR if cron else DEFAULTS[recurrence.frequency]


def windows(recurrence: Recurrence, begin: datetime, end: datetime) -> list[Window]:
    plan, zone = recurrence.slots(), time_zone(recurrence.timezone)
    found: list[Window] = []
    slot = plan.next_after(to_micros(begin))
    while slot < to_micros(end):
        window = window_of(period_of(recurrence), slot, zone, plan)
        assert window.start_us < window.end_us <= slot, (recurrence, format_micros(slot))
        found.append(window)
        slot = plan.next_after(slot)
    return found


def tiled(recurrence: Recurrence, begin: datetime, end: datetime) -> list[Window]:
    found = windows(recurrence, begin, end)
    assert len(found) > 2
    for one, following in pairwise(found):
        assert one.end_us == following.start_us, (recurrence, format_micros(one.end_us))
    return found


def times_of_day() -> Iterator[str]:
    for hour in range(24):
        yield f"{hour:02}:{(0, 30, 59)[hour % 3]:02}"
    yield from ("00:30", "23:00")


def test_the_changes_of_the_world_are_looked_at() -> None:
    assert len(changes()) >= 15
    before = [local_before(name, at) for name, at in changes()]
    after = [at.astimezone(ZoneInfo(name)) for name, at in changes()]
    over_midnight = [a for b, a in zip(before, after, strict=True) if a.date() != b.date()]
    assert [at for at in over_midnight if at.hour == 0], "as in Nuuk"
    assert {at.minute for at in after} >= {0, 30, 45}, "as at Lord Howe and Chatham"


def local_before(name: str, at: datetime) -> datetime:
    return (at - timedelta(microseconds=1)).astimezone(ZoneInfo(name))


def test_each_day_is_delivered_once() -> None:
    for name, at in changes():
        for time in times_of_day():
            found = tiled(Recurrence("daily", name, time), at - 2 * DAY, at + 2 * DAY)
            zone = ZoneInfo(name)
            days = [from_micros(window.start_us).astimezone(zone).date() for window in found]
            assert all(later - earlier == DAY for earlier, later in pairwise(days)), (name, time)
            first: date = days[0]
            assert [window.start_us for window in found] == [
                day_start(first + n * DAY, zone) for n in range(len(found))
            ]


def test_each_week_and_month_is_delivered_once() -> None:
    for name, at in changes():
        before = local_before(name, at)
        for time in (f"{before.hour:02}:59", f"{(before.hour + 1) % 24:02}:30", "00:00"):
            for near in (before.date(), before.date() + DAY):
                weekday = WEEKDAYS[near.weekday()]
                tiled(Recurrence("weekly", name, time, weekday), at - 18 * DAY, at + 14 * DAY)
                monthly = Recurrence("monthly", name, time, str(near.day))
                tiled(monthly, at - 63 * DAY, at + 33 * DAY)


def test_each_hour_is_delivered_once() -> None:
    around = timedelta(hours=3)
    for name, at in changes():
        for minute in (0, 14, 15, 29, 30, 44, 45, 59):
            tiled(Recurrence("hourly", name, f"00:{minute:02}"), at - around, at + around)
            if minute % 15 == 0:
                cron = Recurrence("cron", name, cron=f"{minute} * * * *")
                tiled(cron, at - around, at + around)
    for name in ("Asia/Kathmandu", "Asia/Kolkata", "Australia/Eucla", "UTC"):
        found = tiled(Recurrence("hourly", name, "00:15"), FIRST, FIRST + DAY)
        assert {window.end_us - window.start_us for window in found} == {HOUR_US}


@pytest.mark.parametrize(
    ("begin", "count"),
    [("2024-03-29T12:00", 4), ("2024-10-25T12:00", 4)],
)
def test_in_nuuk_a_daily_run_before_midnight_is_about_each_day(begin: str, count: int) -> None:
    start = datetime.fromisoformat(f"{begin}+00:00")
    zone = ZoneInfo("America/Nuuk")
    found = windows(Recurrence("daily", "America/Nuuk", "23:30"), start, start + count * DAY)
    days = [from_micros(each.start_us).astimezone(zone).date() for each in found]
    assert days == [start.date() + n * DAY for n in range(-1, count - 1)]


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("today", "2024-03-30", "2024-03-30"),
        ("last-3-days", "2024-03-28", "2024-03-30"),
        ("month-to-date", "2024-03-01", "2024-03-30"),
        ("last-month", "2024-02-01", "2024-02-29"),
    ],
)
def test_a_skipped_time_names_its_own_date(period: str, first: str, last: str) -> None:
    zone = ZoneInfo("America/Nuuk")
    plan = Recurrence("daily", "America/Nuuk", "23:30").slots()
    slot = to_micros(datetime(2024, 3, 31, 1, tzinfo=UTC))
    found = window_of(period, slot, zone, plan)
    days = [from_micros(at).astimezone(zone).date() for at in (found.start_us, found.end_us - 1)]
    assert [day.isoformat() for day in days] == [first, last]
