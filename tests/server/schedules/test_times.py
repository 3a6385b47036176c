"""What is due is fired whatever else happens to it, and to other schedules."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import time_zone
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.schedules.plan import Recurrence
from llm_cost_ops.server.schedules.tables import delivery_schedules
from llm_cost_ops.server.schedules.window import window_of
from llm_cost_ops.server.schedules.work import DELIVER
from tests.support.schedules import Room

HOUR_S = 3600
_S = delivery_schedules.c


@pytest.mark.parametrize("frequency", ["monthly", "daily"])
def test_a_zone_that_is_known_no_more_stops_no_other(quick: Room, frequency: str) -> None:
    lost, other = quick.schedule(frequency=frequency), quick.schedule()
    with write(quick.app.database) as session:
        query = select(_S.recurrence).where(_S.id == lost["id"])
        recurrence = json.loads(session.execute(query).scalar_one())
        stored = json.dumps({**recurrence, "timezone": "Mars/Base"})
        session.execute(
            update(delivery_schedules)
            .where(_S.id == lost["id"])
            .values(recurrence=stored, next_fire_at=1)
        )
    quick.at(datetime(2027, 3, 10, 14, 1, tzinfo=UTC))
    assert [run["status"] for run in quick.runs(other["id"])] == ["completed"]
    shown = quick.get(lost["id"])
    assert shown["paused"]
    assert "cannot be planned" in shown["paused_reason"]


def test_a_row_that_cannot_be_read_stops_no_other(quick: Room) -> None:
    lost, other = quick.schedule(), quick.schedule()
    with write(quick.app.database) as session:
        session.execute(
            update(delivery_schedules)
            .where(_S.id == lost["id"])
            .values(recurrence="{}", next_fire_at=1)
        )
    quick.at(datetime(2027, 3, 10, 14, 1, tzinfo=UTC))
    assert [run["status"] for run in quick.runs(other["id"])] == ["completed"]


def test_a_change_of_the_name_loses_nothing_that_is_due(quick: Room) -> None:
    made = quick.schedule(catch_up="all")
    quick.clock.current = datetime(2027, 3, 12, 14, 0, 20, tzinfo=UTC)
    path = f"/api/v1/exports/schedules/{made['id']}"
    changed = quick.app.request("PATCH", path, json={"name": "new"}).json()
    assert changed["next_run_at"] == made["next_run_at"]
    quick.later(minutes=5)
    assert len(quick.runs(made["id"])) == 3
    moved = quick.app.request("PATCH", path, json={"time": "10:00"}).json()
    assert moved["next_run_at"] == "2027-03-12T15:00:00Z"


def test_a_delivery_is_tried_for_about_three_hours() -> None:
    waits = [[DELIVER.retry(n, random) for n in range(1, 8)] for random in (0.0, 0.5, 1.0)]
    least, usual, most = (sum(each) for each in waits)
    assert least >= 2 * HOUR_S
    assert 2.5 * HOUR_S < usual < 3.5 * HOUR_S
    assert most < 4.5 * HOUR_S


@pytest.mark.parametrize(
    ("period", "slot", "start", "end"),
    [
        ("month-to-date", "2027-04-01T00:00", "2027-03-01T00:00", "2027-04-01T00:00"),
        ("month-to-date", "2027-04-01T09:00", "2027-04-01T00:00", "2027-04-01T09:00"),
        ("today", "2027-04-01T00:00", "2027-03-31T00:00", "2027-04-01T00:00"),
        ("year-to-date", "2027-01-01T00:00", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("yesterday", "2027-04-01T00:00", "2027-03-31T00:00", "2027-04-01T00:00"),
        ("last-month", "2027-04-01T00:00", "2027-03-01T00:00", "2027-04-01T00:00"),
    ],
)
def test_a_period_until_now_that_begins_at_the_slot_is_the_one_before(
    period: str, slot: str, start: str, end: str
) -> None:
    at = to_micros(datetime.fromisoformat(f"{slot}:00+00:00"))
    found = window_of(period, at, time_zone("UTC"), Recurrence("hourly", "UTC").slots())
    edges = (from_micros(each) for each in (found.start_us, found.end_us))
    assert [each.strftime("%Y-%m-%dT%H:%M") for each in edges] == [start, end]
