"""When schedules run: across clock changes, with two workers, after a downtime."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from llm_cost_ops.core.instant import format_micros, to_micros
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.schedules.fire import fire_due
from llm_cost_ops.server.schedules.plan import (
    MAX_CAUGHT_UP,
    Due,
    PlanError,
    Recurrence,
    due,
    read_recurrence,
)
from tests.support.schedules import START, Room

NEW_YORK = "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(recurrence: Recurrence, after: str, count: int) -> list[str]:
    found, at = [], to_micros(utc(after))
    for _ in range(count):
        at = recurrence.slots().next_after(at)
        found.append(format_micros(at))
    return found


@pytest.mark.parametrize(
    ("recurrence", "after", "expected"),
    [
        # 02:30 does not come on 14 March: 03:00 EDT, the first instant after the gap.
        (Recurrence("daily", NEW_YORK, "02:30"), "2027-03-12T12:00",
         ["2027-03-13T07:30:00Z", "2027-03-14T07:00:00Z", "2027-03-15T06:30:00Z"]),
        (Recurrence("daily", NEW_YORK, "01:59"), "2027-03-13T12:00", ["2027-03-14T06:59:00Z"]),
        (Recurrence("daily", NEW_YORK, "03:00"), "2027-03-13T12:00", ["2027-03-14T07:00:00Z"]),
        # 01:30 comes twice on 7 November: the first of them.
        (Recurrence("daily", NEW_YORK, "01:30"), "2027-11-06T12:00",
         ["2027-11-07T05:30:00Z", "2027-11-08T06:30:00Z"]),
        (Recurrence("hourly", NEW_YORK, "00:15"), "2027-11-07T05:00",
         ["2027-11-07T05:15:00Z", "2027-11-07T06:15:00Z", "2027-11-07T07:15:00Z"]),
        (Recurrence("hourly", NEW_YORK, "00:15"), "2027-03-14T06:00",
         ["2027-03-14T06:15:00Z", "2027-03-14T07:15:00Z"]),
        # A day that Samoa did not have, as a day of the week and of the month.
        (Recurrence("daily", "Pacific/Apia", "09:00"), "2011-12-28T20:00",
         ["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"]),
        (Recurrence("weekly", "Europe/Berlin", "00:00", "friday"), "2027-03-24T12:00",
         ["2027-03-25T23:00:00Z", "2027-04-01T22:00:00Z"]),
        (Recurrence("monthly", "UTC", "06:00", "31"), "2027-01-31T06:00",
         ["2027-02-28T06:00:00Z", "2027-03-31T06:00:00Z", "2027-04-30T06:00:00Z"]),
        (Recurrence("cron", NEW_YORK, cron="30 2 14 3 *"), "2027-01-01T00:00",
         ["2027-03-14T07:00:00Z", "2028-03-14T06:30:00Z"]),
    ],
)  # fmt: skip
def test_slots(recurrence: Recurrence, after: str, expected: list[str]) -> None:
    assert fires(recurrence, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"frequency": "fortnightly"}, "frequency"),
        ({"frequency": "daily", "time": "24:00"}, "time"),
        ({"frequency": "daily", "day": "monday"}, "day"),
        ({"frequency": "weekly", "day": "mo"}, "day"),
        ({"frequency": "monthly", "day": 32}, "day"),
        ({"frequency": "monthly", "day": 0}, "day"),
        ({"frequency": "daily", "cron": "0 9 * * *"}, "cron"),
        ({"frequency": "cron"}, "cron"),
        ({"cron": "0 9 30 2 *"}, "cron"),
        ({"cron": "61 9 * * *"}, "cron"),
        ({"cron": "*/14 * * * *"}, "cron"),
        ({"cron": "0,14 9 * * *"}, "cron"),
    ],
)
def test_refused(fields: dict[str, object], field: str) -> None:
    with pytest.raises(PlanError) as error:
        read_recurrence(
            fields.get("frequency"),  # type: ignore[arg-type]
            "UTC",
            time_of_day=fields.get("time"),  # type: ignore[arg-type]
            day=fields.get("day"),
            cron=fields.get("cron"),  # type: ignore[arg-type]
            now_us=to_micros(START),
        )
    assert error.value.field == field


def test_a_quarter_of_an_hour_apart_is_enough() -> None:
    found = read_recurrence(
        None, "UTC", time_of_day=None, day=None, cron="*/15 * * * *", now_us=to_micros(START)
    )
    assert found.frequency == "cron"


@pytest.mark.parametrize("zone_change", ["2027-03-13", "2027-11-06"])
def test_one_delivery_a_day_across_clock_changes_with_two_workers(
    room: Room, zone_change: str
) -> None:
    """Both workers look at each instant of three days at which one could be thought to be due."""
    begin = utc(zone_change)
    room.clock.current = begin
    times = {name: room.schedule(name=name, time=name)["id"] for name in ("01:30", "02:30")}
    workers = (room.worker(), room.worker())
    for day in range(3):
        for look in ("05:29", "05:30", "06:30", "07:00", "07:30", "08:30"):
            hour, minute = (int(part) for part in look.split(":"))
            room.at(begin + timedelta(days=day, hours=hour, minutes=minute), *workers)
    for name, schedule_id in times.items():
        runs = room.runs(schedule_id)
        assert [run["status"] for run in runs] == ["completed"] * 3, name
        assert len({run["period_start"] for run in runs}) == 3, name
    slots = [run["scheduled_for"] for run in room.runs(times["02:30"])]
    if zone_change == "2027-03-13":
        assert slots[1] == "2027-03-14T07:00:00Z"
    else:
        assert [run["scheduled_for"] for run in room.runs(times["01:30"])][1] == (
            "2027-11-07T05:30:00Z"
        )


def test_workers_that_fire_at_the_same_moment_make_one_run(room: Room) -> None:
    schedules = [room.schedule(name=f"{n}")["id"] for n in range(3)]
    room.clock.current = START + timedelta(days=1)
    now_us, begin = room.clock.micros(), threading.Barrier(4)

    def fire() -> None:
        begin.wait(10)
        write_retrying(room.app.database, lambda session: fire_due(session, now_us))

    threads = [threading.Thread(target=fire) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [len(room.runs(each)) for each in schedules] == [1, 1, 1]


@pytest.mark.parametrize(
    ("catch_up", "days", "expected"),
    [("latest", 5, 1), ("all", 5, 5), ("none", 5, 0)],
)
def test_after_a_downtime(quick: Room, catch_up: str, days: int, expected: int) -> None:
    schedule_id = quick.schedule(catch_up=catch_up)["id"]
    quick.at(START + timedelta(days=days))  # noon in UTC: the slot of today is yet to come
    runs = quick.runs(schedule_id)
    assert len(runs) == expected
    assert {run["cause"] for run in runs} <= {"caught_up"}
    if runs:
        last = START + timedelta(days=days - 1)
        assert runs[-1]["scheduled_for"] == f"{last:%Y-%m-%d}T13:00:00Z"
    quick.at(START + timedelta(days=days, hours=2))
    assert quick.runs(schedule_id)[-1]["cause"] == "scheduled"
    assert len(quick.runs(schedule_id)) == expected + 1


def test_what_is_late_by_an_hour_was_not_missed() -> None:
    plan = Recurrence("daily", "UTC", "09:00").slots()
    slot = to_micros(utc("2027-03-10T09:00"))
    hour = 3_600_000_000
    next_us = slot + 24 * hour
    assert due(plan, slot, slot + hour, "none") == Due((slot,), next_us)
    assert due(plan, slot, slot + hour + 1, "none") == Due((), next_us)


def test_all_makes_up_for_the_last_ones() -> None:
    plan = Recurrence("daily", "UTC", "09:00").slots()
    slot, day = to_micros(utc("2027-03-10T09:00")), 24 * 3_600_000_000
    found = due(plan, slot, slot + 40 * day, "all").slots
    assert found == tuple(slot + n * day for n in range(41 - MAX_CAUGHT_UP, 41))


def test_a_pause_is_not_made_up_for(quick: Room) -> None:
    schedule_id = quick.schedule(catch_up="all")["id"]
    path = f"/api/v1/exports/schedules/{schedule_id}"
    assert quick.app.post(f"{path}/pause").json()["next_run_at"] is None
    quick.later(days=3)
    resumed = quick.app.post(f"{path}/resume").json()
    assert (resumed["paused"], quick.runs(schedule_id)) == (False, [])
    quick.later(hours=2)
    assert len(quick.runs(schedule_id)) == 1
