"""How runs end: what is published, what is recorded, and whom a failure is told to."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.schedules import store
from llm_cost_ops.server.schedules.kinds import DEFAULT_FORMATS, DEFAULT_TYPES, EXPORT
from llm_cost_ops.server.schedules.store import COMPLETED, DELIVERED, FAILED, PENDING, Row
from llm_cost_ops.server.schedules.work import TELL

EXPORT_COMPLETED, EXPORT_FAILED = "export.completed", "export.failed"
_MAX_ERROR = 1_000


def settle(session: WriteSession, organization_id: str, run_id: str, now_us: int) -> None:
    """End a run of which nothing is on its way any more."""
    run = store.lock_run(session, organization_id, run_id)
    if run is None:
        return
    parts = store.parts(session, organization_id, [run_id])
    if any(part["state"] == PENDING for part in parts):
        return
    wrong = [f"{part['kind']}: {part['detail']}" for part in parts if part["state"] != DELIVERED]
    if wrong:
        fail(session, run, "; ".join(wrong), now_us)
        return
    if run["status"] == COMPLETED:
        return
    values = {"status": COMPLETED, "error": None, "finished_at": now_us}
    store.change_run(session, organization_id, run_id, values)
    _publish(session, EXPORT_COMPLETED, {**run, **values}, parts, now_us)
    Actor(organization_id, None, None, now_us).record(
        session, EXPORT_COMPLETED, "schedule_run", run_id, None,
        {"schedule_id": run["schedule_id"], "file": run["file"], "sha256": run["sha256"],
         "destinations": [part["kind"] for part in parts]},
    )  # fmt: skip


def fail(
    session: WriteSession,
    run: Row,
    reason: str,
    now_us: int,
    *,
    attempts: int | None = None,
    tell: bool = True,
) -> None:
    """End a run that did not succeed. Its owner is told once."""
    organization_id, run_id = run["organization_id"], run["id"]
    values = {"status": FAILED, "error": reason[:_MAX_ERROR], "finished_at": now_us}
    values |= {} if attempts is None else {"attempts": attempts}
    store.change_run(session, organization_id, run_id, values)
    parts = store.parts(session, organization_id, [run_id])
    _publish(session, EXPORT_FAILED, {**run, **values}, parts, now_us)
    Actor(organization_id, None, None, now_us).record(
        session, EXPORT_FAILED, "schedule_run", run_id, None,
        {"schedule_id": run["schedule_id"], "reason": reason[:_MAX_ERROR]},
    )  # fmt: skip
    if tell:
        tell_owner(session, run, now_us)


def tell_owner(session: WriteSession, run: Row, now_us: int) -> None:
    """Mail about a failed run, once."""
    job = NewJob(TELL, {"run_id": run["id"]}, run["organization_id"])
    enqueue(session, job, now_us=now_us, once=str(run["id"]))


def _publish(session: WriteSession, topic: str, run: Row, parts: list[Row], now_us: int) -> None:
    schedule = store.get(session, run["organization_id"], run["schedule_id"])
    parameters: dict[str, Any] = {} if schedule is None else loads(schedule["parameters"])
    kind = EXPORT if schedule is None else schedule["kind"]
    made = run["expires_at"] is not None
    data: dict[str, Any] = {
        "export_id": run["id"],
        "status": run["status"],
        "type": str(parameters.get("type", DEFAULT_TYPES[kind])),
        "format": str(parameters.get("format", DEFAULT_FORMATS[kind])),
        "rows": None,
        "size_bytes": None if run["size_bytes"] is None else int(run["size_bytes"]),
        "sha256": run["sha256"],
        "totals": [],
        "reason": run["error"],
        "download_url": f"/api/v1/exports/schedules/runs/{run['id']}/file" if made else None,
        "expires_at": _instant(run["expires_at"]),
        "schedule_id": run["schedule_id"],
        "schedule": None if schedule is None else schedule["name"],
        "file": run["file"],
        "period_start": _instant(run["start_at"]),
        "period_end": _instant(run["end_at"]),
        "facts": {} if run["facts"] is None else loads(run["facts"]),
        "deliveries": [{"type": part["kind"], "status": part["state"]} for part in parts],
    }
    publish(session, [Event(run["organization_id"], topic, data)], now_us=now_us)


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(int(micros))
