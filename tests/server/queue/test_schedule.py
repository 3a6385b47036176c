"""Schedules: one job per slot, whatever workers and clocks do; years of them in virtual time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.queue.schedule import (
    FIRE_LIMIT,
    add_schedule,
    change_schedule,
    fire_due,
    remove_schedule,
)
from llm_cost_ops.server.queue.slots import SlotsError
from llm_cost_ops.server.queue.tables import jobs, schedule_runs, schedules
from llm_cost_ops.server.queue.work import SystemSchedule
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.queue.conftest import KIND, Place

NEW_YORK = "America/New_York"
DAY_S = 86_400
HOURLY = SystemSchedule("hourly", "0 * * * *", KIND)


def fired(place: Place) -> list[datetime]:
    return sorted(from_micros(row.fire_at) for row in place.rows(schedule_runs))


def add(place: Place, expression: str = "0 * * * *", organization_id: str = "org-a") -> str:
    with write(place.database) as session:
        return add_schedule(
            session,
            KIND,
            organization_id=organization_id,
            name="report",
            expression=expression,
            timezone="UTC",
            payload={"to": "a"},
            now_us=place.now_us,
        )


def test_years_of_sundays_with_two_workers(sqlite_settings: DatabaseSettings) -> None:
    """At 02:30 and 01:30 in New York, where the clocks change on Sundays (fault row 30)."""
    database = open_database(replace(sqlite_settings, sqlite_synchronous="off"))
    place = Place(database)
    early = SystemSchedule("early", "30 1 * * 0", KIND, NEW_YORK)
    gap = SystemSchedule("gap", "30 2 * * 0", KIND, NEW_YORK)
    workers = [place.runner(schedules=[early, gap]) for _ in range(2)]
    while place.clock.current < datetime(2028, 1, 1, tzinfo=UTC):
        place.later(3.5 * DAY_S)
        for worker in workers:
            place.work_off(worker)
    database.dispose()
    found = [from_micros(int(str(job.payload["scheduled_for"]))) for job in place.ran]
    assert len(found) == 2 * 104
    for change in (
        datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
        datetime(2027, 3, 14, 7, 30, tzinfo=UTC),
    ):
        assert found.count(change) == 1  # 03:30 EDT
    for change in (
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2027, 11, 7, 5, 30, tzinfo=UTC),
    ):
        assert found.count(change) == 1
        assert found.count(change + timedelta(hours=1)) == 0


def test_a_slot_makes_one_job_with_its_payload(place: Place) -> None:
    schedule_id = add(place)
    first, second = place.runner(), place.runner()
    for worker in (first, second):
        place.work_off(worker)
    assert place.ran == []
    place.later(3600)
    for worker in (first, second):
        place.work_off(worker)
    (job,) = place.ran
    assert (job.organization_id, job.kind) == ("org-a", KIND.name)
    assert job.payload == {"to": "a", "scheduled_for": place.now_us}
    (run,) = place.rows(schedule_runs)
    assert (run.schedule_id, run.fire_at, run.job_id) == (schedule_id, place.now_us, job.id)


def test_missed_slots_are_made_up_for_by_one_job_for_the_last(place: Place) -> None:
    add(place)
    place.later(24 * 3600 + 60)
    runner = place.runner()
    place.work_off(runner)
    assert fired(place) == [datetime(2026, 1, 2, tzinfo=UTC)]
    place.later(3600)
    place.work_off(runner)
    assert len(fired(place)) == 2


def test_a_clock_that_jumps_ahead_and_back_neither_loses_nor_doubles_a_slot(place: Place) -> None:
    """Fault row 9: 25 hours ahead, then back, while an hourly schedule runs."""
    add(place)
    runner = place.runner()
    for _ in range(3):
        place.later(3600)
        place.work_off(runner)
    place.later(25 * 3600)
    place.work_off(runner)
    place.later(-25 * 3600)
    place.work_off(runner)
    for _ in range(30):
        place.later(3600)
        place.work_off(runner)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert fired(place) == [start + timedelta(hours=n) for n in range(1, 34)]
    assert len(place.ran) == 33


def test_a_clock_that_goes_back_an_hour_repeats_nothing(place: Place) -> None:
    add(place)
    runner = place.runner()
    for seconds in (3600, -3600, 1800, 1800, 3600):
        place.later(seconds)
        place.work_off(runner)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert fired(place) == [start + timedelta(hours=1), start + timedelta(hours=2)]
    assert len(place.ran) == 2


def test_a_run_waits_for_the_one_before_it(place: Place) -> None:
    add(place, "*/5 * * * *")
    waiting: list[Any] = []
    runner = place.runner(spawn=waiting.append)
    for _ in range(21):
        place.later(30)
        place.work_off(runner)
    assert len(waiting) == 1
    assert len(place.rows(jobs)) == 2
    waiting[0]()
    place.work_off(runner)
    assert len(waiting) == 2


def test_many_schedules_due_at_once_are_fired_in_portions(quick_place: Place) -> None:
    for _ in range(FIRE_LIMIT + 1):
        add(quick_place)
    quick_place.later(3600)
    with write(quick_place.database) as session:
        assert fire_due(session, now_us=quick_place.now_us) == FIRE_LIMIT
    with write(quick_place.database) as session:
        assert fire_due(session, now_us=quick_place.now_us) == 1
    assert len(quick_place.rows(jobs)) == FIRE_LIMIT + 1


def test_changing_switching_off_and_removing(place: Place) -> None:
    schedule_id = add(place)
    change = {"expression": "30 * * * *", "timezone": "UTC", "enabled": False}
    with write(place.database) as session:
        now_us = place.now_us
        assert not change_schedule(session, "org-b", schedule_id, now_us=now_us, **change)
        assert change_schedule(session, "org-a", schedule_id, now_us=now_us, **change)
        with pytest.raises(SlotsError):
            change_schedule(
                session, "org-a", schedule_id, now_us=now_us, **{**change, "timezone": "x"}
            )
    runner = place.runner()
    place.later(3600)
    place.work_off(runner)
    assert fired(place) == []
    with write(place.database) as session:
        change["enabled"] = True
        assert change_schedule(session, "org-a", schedule_id, now_us=place.now_us, **change)
    place.later(1800)
    place.work_off(runner)
    assert len(fired(place)) == 1
    with write(place.database) as session:
        assert not remove_schedule(session, "org-b", schedule_id)
        assert remove_schedule(session, "org-a", schedule_id)
        assert not remove_schedule(session, "org-a", schedule_id)


def test_a_newer_release_plans_its_system_schedules_anew(place: Place) -> None:
    place.work_off(place.runner(schedules=[HOURLY]))
    (row,) = place.rows(schedules)
    assert row.next_at == place.now_us + 3_600_000_000
    place.later(60)
    place.work_off(place.runner(schedules=[HOURLY]))
    assert place.rows(schedules) == [row]
    half = SystemSchedule("hourly", "30 * * * *", KIND)
    place.work_off(place.runner(schedules=[half]))
    (row,) = place.rows(schedules)
    assert row.next_at == to_micros(datetime(2026, 1, 1, 0, 30, tzinfo=UTC))


def test_a_schedule_that_cannot_fire_any_more_stops_alone(quick_place: Place) -> None:
    broken, sound = add(quick_place), add(quick_place)
    with write(quick_place.database) as session:
        session.execute(
            update(schedules).where(schedules.c.id == broken).values(timezone="Gone/Zone")
        )
    quick_place.later(3600)
    runner = quick_place.runner()
    quick_place.work_off(runner)
    assert {row.schedule_id for row in quick_place.rows(schedule_runs)} == {sound}
    assert [row.next_at for row in quick_place.rows(schedules) if row.id == broken] == [None]
