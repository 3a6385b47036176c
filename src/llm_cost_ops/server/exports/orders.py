"""Exports that somebody ordered, from being asked for to being gone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from llm_cost_ops.core.grants import Reach, conditions_wire, parse_conditions
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.exports import store
from llm_cost_ops.server.exports.allowed import allowed_or_none
from llm_cost_ops.server.exports.asked import Wanted, wanted_of
from llm_cost_ops.server.exports.wire import event_data
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Job, Kind

MAKE = Kind(
    "exports.make",
    max_attempts=6,
    time_limit_s=6 * 3600,
    retry=exponential(first_s=5.0, most_s=300.0),
)
DONE_TOPIC, FAILED_TOPIC = "export.completed", "export.failed"
MAX_ASKED = 64 * 1024
MAX_REASON = 255
RETRY_SECONDS = 30
_OWN = ("organization_id", "organization", "org_id")


def order(
    session: WriteSession,
    values: Mapping[str, object],
    wanted: Wanted,
    at: Home,
    actor: Actor,
    principal: Principal,
    most: int,
) -> dict[str, Any]:
    """A new export and its job. `values` are what `wanted` was read from. Raises Problem 422 for a
    request that is too long to be kept, 429 when the organization has `most` unfinished ones."""
    organization_id = actor.organization_id
    if store.unfinished(session, organization_id) >= most:
        raise Problem(
            429,
            "RATE_LIMIT_EXCEEDED",
            f"{most} exports of the organization are not made yet.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    asked = dumps(
        {
            "values": {name: value for name, value in values.items() if name not in _OWN},
            "currency": at.currency,
            "time_zone": at.time_zone,
        }
    )
    if len(asked) > MAX_ASKED:
        raise Problem(422, "VALIDATION_ERROR", f"The request is longer than {MAX_ASKED} bytes.")
    export_id = single_id(store.PREFIX, actor.now_us // 1_000, secrets.randbits(80))
    told = wanted.told()
    row: dict[str, Any] = {
        "id": export_id,
        "status": store.PENDING,
        "kind": wanted.kind,
        "format": told["format"],
        "asked": asked,
        "reach": dumps([conditions_wire(scope) for scope in principal.reach.scopes]),
        "file_name": f"{export_id}-{wanted.name}",
        "media_type": wanted.form.media_type,
        "created_by": actor.actor_id,
        "created_at": actor.now_us,
    }
    store.add(session, organization_id, row)
    job = NewJob(MAKE, {"export_id": export_id}, organization_id)
    enqueue(session, job, now_us=actor.now_us, once=export_id)
    actor.record(session, "export.created", "export", export_id, None, told)
    found = store.row(session, organization_id, export_id)
    return cast("dict[str, Any]", found)


def wanted_again(row: Mapping[str, Any]) -> tuple[Wanted, Home]:
    """What a stored export asks for, as it was read when it was ordered."""
    asked = _read(row["asked"])
    created: datetime = from_micros(row["created_at"])
    organization_id = str(row["organization_id"])
    at = Home(organization_id, asked["currency"], asked["time_zone"], created)
    principal = Principal(str(row["created_by"]), organization_id, frozenset(), reach=reach_of(row))
    return wanted_of(Asked(asked["values"], in_url=False), principal, at), at


def reach_of(row: Mapping[str, Any]) -> Reach:
    """The calls that are in an export at most."""
    return Reach(tuple(parse_conditions(each) for each in _read(row["reach"])))


def is_shown(row: Mapping[str, Any], principal: Principal) -> bool:
    """Whether somebody may see an export: who reaches everything, or just what it was made from;
    and what is needed to read its kind is held."""
    within = allowed_or_none(principal, str(row["kind"]))
    if within is None:
        return False
    made, held = reach_of(row), within.reach
    return held.is_everything or (not made.is_everything and set(made.scopes) == set(held.scopes))


def completed(
    session: WriteSession, row: Mapping[str, Any], values: Mapping[str, Any], now_us: int
) -> bool:
    """Mark an export as made and tell of it; False when it was cancelled meanwhile."""
    organization_id, export_id = str(row["organization_id"]), str(row["id"])
    done = {**values, "status": store.COMPLETED, "finished_at": now_us, "reason": None}
    if not store.change(session, organization_id, export_id, done, among=(store.PROCESSING,)):
        return False
    event = Event(organization_id, DONE_TOPIC, event_data({**row, **done}))
    publish(session, [event], now_us=now_us)
    return True


def failed(session: WriteSession, job: Job, reason: str, now_us: int) -> None:
    """An export whose job is dead has failed."""
    organization_id, export_id = str(job.organization_id), str(job.payload["export_id"])
    values = {"status": store.FAILED, "reason": reason[:MAX_REASON], "finished_at": now_us}
    if not store.change(session, organization_id, export_id, values, among=store.UNFINISHED):
        return
    row = store.row(session, organization_id, export_id)
    if row is not None:
        publish(session, [Event(organization_id, FAILED_TOPIC, event_data(row))], now_us=now_us)


def removed(
    session: WriteSession, export_id: str, actor: Actor, principal: Principal
) -> str | None:
    """Cancel an export that is not made yet, or end one that is; the key of its file, if any, which
    is to be deleted after the transaction. Raises Problem 404."""
    organization_id = actor.organization_id
    row = store.row(session, organization_id, export_id, lock=True)
    if row is None or not is_shown(row, principal):
        raise unknown()
    status = str(row["status"])
    if status in store.ENDED:
        return cast("str | None", row["file_key"])
    ended = store.CANCELLED if status in store.UNFINISHED else store.EXPIRED
    values: dict[str, Any] = {"status": ended}
    if ended == store.CANCELLED:
        values["finished_at"] = actor.now_us
    store.change(session, organization_id, export_id, values)
    actor.record(
        session, "export.deleted", "export", export_id, {"status": status}, {"status": ended}
    )
    return cast("str | None", row["file_key"])


def unknown() -> Problem:
    """404."""
    return Problem(404, "NOT_FOUND", "Export not found.")


def _read(stored: object) -> Any:
    """JSON that the driver has read already on PostgreSQL."""
    return loads(stored) if isinstance(stored, str) else stored
