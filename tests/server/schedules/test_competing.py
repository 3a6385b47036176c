"""Two workers that compete for the same times, on the day when the clocks change: of each schedule
each time is delivered once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from llm_cost_ops.server.schedules import deliveries
from llm_cost_ops.server.schedules.carry import carry
from llm_cost_ops.server.schedules.plan import WEEKDAYS
from tests.support.schedules import Room

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
NUUK = "America/Nuuk"
# The zone, when its clocks change, the local time that is skipped or comes twice, and its slot.
CHANGES = [
    (BERLIN, "2027-03-28T01:00", "2027-03-28T02:30", "2027-03-28T01:00"),
    (BERLIN, "2027-10-31T01:00", "2027-10-31T02:30", "2027-10-31T00:30"),
    (NEW_YORK, "2027-03-14T07:00", "2027-03-14T02:30", "2027-03-14T07:00"),
    (NEW_YORK, "2027-11-07T06:00", "2027-11-07T01:30", "2027-11-07T05:30"),
    (LORD_HOWE, "2027-10-02T15:30", "2027-10-03T02:15", "2027-10-02T15:30"),
    (LORD_HOWE, "2027-04-03T15:00", "2027-04-04T01:45", "2027-04-03T14:45"),
    (NUUK, "2027-03-28T01:00", "2027-03-27T23:30", "2027-03-28T01:00"),
]
LOOKS = (-75, -15, 0, 30, 120)
"""Minutes around the change at which both workers look."""
FOLDER = {"type": "folder", "path": "out"}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "change", "local", "slot"), CHANGES)
def test_each_time_is_delivered_once(
    room: Room, monkeypatch: pytest.MonkeyPatch, zone: str, change: str, local: str, slot: str
) -> None:
    carried: list[str] = []

    def counted(load: Any, desk: Any) -> Any:
        carried.append(str(load.run["id"]))
        return carry(load, desk)

    monkeypatch.setattr(deliveries, "carry", counted)
    at, named = utc(change), datetime.fromisoformat(local)
    room.clock.current = at + timedelta(minutes=LOOKS[0])
    weekday, time = WEEKDAYS[named.weekday()], f"{named:%H:%M}"
    when: dict[str, dict[str, Any]] = {
        "hourly": {"time": f"00:{named:%M}"},
        "daily": {"time": time},
        "weekly": {"time": time, "day": weekday},
        "monthly": {"time": time, "day": named.day},
        "cron": {"time": None, "cron": f"{named:%M} {named:%H} * * {weekday[:3].upper()}"},
    }
    made = {
        frequency: room.schedule(
            name=frequency, frequency=frequency, timezone=zone, delivery=FOLDER, **fields
        )["id"]
        for frequency, fields in when.items()
    }
    workers = (room.worker(), room.worker())
    for minutes in (*LOOKS, 25 * 60):
        room.compete(at + timedelta(minutes=minutes), *workers)
    runs = {frequency: room.runs(schedule_id) for frequency, schedule_id in made.items()}
    ids = Counter(carried)
    assert set(ids.values()) == {1}
    assert set(ids) == {run["id"] for each in runs.values() for run in each}
    assert {run["status"] for each in runs.values() for run in each} == {"completed"}
    for frequency in ("weekly", "monthly", "cron", "daily"):
        slots = [run["scheduled_for"] for run in runs[frequency]]
        assert slots[:1] == [f"{slot}:00Z"], frequency
        assert len(slots) == (2 if frequency == "daily" else 1), frequency
    until = f"{at + timedelta(minutes=LOOKS[-1]):%Y-%m-%dT%H:%M:%SZ}"
    hours = [run for run in runs["hourly"] if run["scheduled_for"] <= until]
    assert len(hours) >= 2
    for one, following in (*pairwise(hours), *pairwise(runs["daily"])):
        assert one["period_end"] == following["period_start"], local
