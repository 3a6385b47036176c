"""Fire what is due: a run and its job for each slot, in the transaction that plans the next one.

The schedule's row is held while it fires, and a run's key is schedule and slot: however many
workers look, and whatever their clocks do, a slot is delivered once.
"""

from __future__ import annotations

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.schedules import store
from llm_cost_ops.server.schedules.plan import ON_TIME_US, due, stored_recurrence
from llm_cost_ops.server.schedules.store import CAUGHT_UP, PENDING, SCHEDULED, Row
from llm_cost_ops.server.schedules.work import PRODUCE

_UNPLANNED = (DomainError, LookupError, ValueError, TypeError, ArithmeticError, OSError)
"""What reading a stored recurrence may raise; none of it comes from the database."""


def fire_due(session: WriteSession, now_us: int) -> int:
    """Fire schedules that are due, at most `FIRE_LIMIT`; how many were looked at."""
    rows = store.due(session, now_us)
    for row in rows:
        _fire(session, row, now_us)
    return len(rows)


def _fire(session: WriteSession, row: Row, now_us: int) -> None:
    organization_id = row["organization_id"]
    try:
        plan = stored_recurrence(loads(row["recurrence"])).slots()
        found = due(plan, int(row["next_fire_at"]), now_us, row["catch_up"])
    except _UNPLANNED as error:  # a zone that the machine's database has no more, or worse
        # Whatever is wrong with one row, it holds up no other.
        told = error.message if isinstance(error, DomainError) else type(error).__name__
        pause(session, row, f"it cannot be planned: {told}", now_us)
        return
    for slot in found.slots:
        cause = SCHEDULED if now_us - slot <= ON_TIME_US else CAUGHT_UP
        add_run(session, row, slot, cause, now_us)
    store.change(session, organization_id, row["id"], {"next_fire_at": found.next_us})


def add_run(
    session: WriteSession, schedule: Row, slot_us: int, cause: str, now_us: int
) -> str | None:
    """The id of a new run with its job; None for a slot that has one. Runs of one schedule are made
    one after the other."""
    run_id = store.new_id("drn", now_us)
    new = store.add_run(
        session,
        schedule["organization_id"],
        {
            "id": run_id,
            "schedule_id": schedule["id"],
            "fire_at": slot_us,
            "cause": cause,
            "status": PENDING,
            "attempts": 0,
            "created_at": now_us,
        },
    )
    if not new:
        return None
    job = NewJob(
        PRODUCE, {"run_id": run_id}, schedule["organization_id"],
        lane=f"delivery/{schedule['id']}",
    )  # fmt: skip
    enqueue(session, job, now_us=now_us)
    return run_id


def pause(session: WriteSession, schedule: Row, reason: str, now_us: int) -> None:
    """Let a schedule rest until somebody resumes it, by the program."""
    organization_id, schedule_id = schedule["organization_id"], schedule["id"]
    values = {"paused": 1, "paused_reason": reason, "next_fire_at": None}
    store.change(session, organization_id, schedule_id, values)
    Actor(organization_id, None, None, now_us).record(
        session, "schedules.pause", "schedule", schedule_id, None, {"reason": reason}
    )
