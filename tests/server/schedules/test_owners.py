"""A schedule shows what its owner may see when it runs, and rests when that one may not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.tables import user_roles, users
from tests.support.calls import accepted, send
from tests.support.mailsink import mail_sink
from tests.support.roles import make_role, make_user, make_user_key, set_disabled
from tests.support.schedules import START, Room

BODY = {"frequency": "daily", "time": "09:00", "format": "jsonl", "delivery": "download"}


def person(room: Room, *roles: str, email: str | None = None) -> tuple[str, str]:
    """A user with roles, and a key of that user."""
    organization_id, database = room.app.organization_id, room.app.database
    user_id = make_user(database, room.clock, organization_id, "ann", *roles)
    if email is not None:
        with write(database) as session:
            session.execute(update(users).where(users.c.id == user_id).values(email=email))
    return user_id, make_user_key(database, room.clock, organization_id, user_id)[1]


def scheduled(room: Room, key: str, **fields: Any) -> str:
    return accepted(send(room.app, "/exports/schedules", {**BODY, **fields}, key=key), 201)["id"]


def test_a_disabled_owner_pauses_it_and_is_not_told(quick: Room) -> None:
    user_id, key = person(quick, "analyst", email="ann@example.com")
    schedule_id = scheduled(quick, key)
    set_disabled(quick.app.database, quick.app.organization_id, user_id, START_US)
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        quick.later(days=1)
    (run,) = quick.runs(schedule_id)
    assert (run["status"], run["file"]) == ("failed", None)
    shown = quick.get(schedule_id)
    assert (shown["paused"], shown["next_run_at"]) == (True, None)
    assert "disabled" in shown["paused_reason"]
    assert sink.taken == []
    resumed = quick.app.post(f"/api/v1/exports/schedules/{schedule_id}/resume").json()
    assert resumed["owner"]["user_id"] is None  # it is the administrator's key now
    asked = {"action": "schedules.resume"}
    (entry,) = quick.app.get("/api/v1/audit/logs", params=asked).json()["data"]
    before, after = entry["before"], entry["after"]
    assert (before["paused"], before["owner"]) == (True, user_id)
    assert (after["paused"], after["owner"]) == (False, entry["actor_id"])
    quick.later(days=1)
    assert quick.runs(schedule_id)[-1]["status"] == "completed"


def test_an_owner_who_lost_the_permission_is_told(quick: Room) -> None:
    user_id, key = person(quick, "analyst", email="ann@example.com")
    schedule_id = scheduled(quick, key)
    with write(quick.app.database) as session:
        session.execute(
            update(user_roles).where(user_roles.c.user_id == user_id).values(role="viewer")
        )
    with mail_sink() as sink:
        quick.mail_to(sink.port)
        quick.later(days=1)
    assert "export:data" in quick.get(schedule_id)["paused_reason"]
    (taken,) = sink.taken
    assert taken.recipients == ("ann@example.com",)
    body = taken.mail.get_body(("plain",))
    assert body is not None
    assert f"cost-ops schedules resume {schedule_id}" in " ".join(body.get_content().split())


@pytest.mark.parametrize("how", ["revoked_at", "expires_at"])
def test_a_key_that_ended_pauses_it(quick: Room, how: str) -> None:
    key = quick.app.new_key("read:costs", "export:data")
    schedule_id = scheduled(quick, key)
    key_id = quick.get(schedule_id)["owner"]["key_id"]
    with write(quick.app.database) as session:
        values = {how: START_US + 1}
        session.execute(update(api_keys).where(api_keys.c.id == key_id).values(**values))
    quick.later(days=1)
    assert "revoked or has expired" in quick.get(schedule_id)["paused_reason"]


def test_who_is_limited_exports_and_sees_own_things_alone(quick: Room) -> None:
    organization_id, database = quick.app.organization_id, quick.app.database
    quick.spend("1", START - timedelta(days=1), project_id="mine")
    quick.spend("2", START - timedelta(days=1), project_id="theirs")
    role = make_role(
        database, quick.clock, organization_id, "of-mine", ["read:costs", "export:data"],
        conditions={"projects": ["mine"]},
    )  # fmt: skip
    _, key = person(quick, role)
    own, others = scheduled(quick, key), quick.schedule(format="jsonl")["id"]
    assert [row["total_cost"] for row in rows(quick, quick.run(own))] == [1]
    whole = quick.run(others)
    assert sorted(row["total_cost"] for row in rows(quick, whole)) == [1, 2]
    root = "/api/v1/exports/schedules"
    assert [each["id"] for each in quick.app.get(root, key=key).json()["data"]] == [own]
    for path in (f"{others}", f"{others}/runs", f"runs/{whole['id']}", f"runs/{whole['id']}/file"):
        assert quick.app.get(f"{root}/{path}", key=key).status_code == 404, path
    for verb in ("pause", "resume", "run"):
        assert quick.app.post(f"{root}/{others}/{verb}", key=key).status_code == 404, verb
    changed = quick.app.request("PATCH", f"{root}/{others}", json={"delivery": "download"}, key=key)
    assert changed.status_code == 404


def test_who_changes_it_owns_it(quick: Room) -> None:
    user_id, key = person(quick, "analyst")
    made = quick.schedule()
    path = f"/api/v1/exports/schedules/{made['id']}"
    changed = quick.app.request("PATCH", path, json={"time": "10:00"}, key=key).json()
    assert changed["owner"]["user_id"] == user_id
    assert changed["destinations"] == made["destinations"]
    assert changed["next_run_at"] == "2027-03-10T15:00:00Z"


def rows(room: Room, run: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in room.file(run).splitlines()]


START_US = int(START.timestamp()) * 1_000_000
