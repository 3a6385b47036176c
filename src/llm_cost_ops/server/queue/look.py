"""What there is to do, in one statement that reads the first row of each index; and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.queue.enqueue import DEAD, READY, RUNNING, Priority
from llm_cost_ops.server.queue.leases import TOO_LONG_US
from llm_cost_ops.server.queue.schedule import SET_BACK_US
from llm_cost_ops.server.queue.tables import jobs, outbox, schedules

_JOB = jobs.c
_SCHEDULE = schedules.c
_READY = [
    select(func.min(_JOB.run_at))
    .where(_JOB.state == READY, _JOB.priority == int(priority))
    .scalar_subquery()
    for priority in Priority
]
_LOOK = select(
    select(func.min(_JOB.leased_until)).where(_JOB.state == RUNNING).scalar_subquery(),
    select(func.max(_JOB.leased_until)).where(_JOB.state == RUNNING).scalar_subquery(),
    select(func.min(_SCHEDULE.next_at)).where(_SCHEDULE.enabled == 1).scalar_subquery(),
    select(func.max(_SCHEDULE.planned_at)).where(_SCHEDULE.enabled == 1).scalar_subquery(),
    select(func.min(outbox.c.id)).where(outbox.c.delivered_at.is_(None)).scalar_subquery(),
    *_READY,
)
_COUNTS = (
    select(_JOB.state, func.count())
    .where(_JOB.state.in_((READY, RUNNING, DEAD)))
    .group_by(_JOB.state)
)
_OLDEST_EVENT = (
    select(outbox.c.created_at)
    .where(outbox.c.delivered_at.is_(None))
    .order_by(outbox.c.id)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is due now, and when the next thing is (None: nothing is planned)."""

    jobs: bool
    schedules: bool
    leases: bool
    events: bool
    next_us: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits. Ages in microseconds, of the job that has been due for longest and of the
    oldest event that was not relayed; 0 when there is none."""

    ready: int
    running: int
    dead: int
    oldest_job_us: int
    oldest_event_us: int


def look(session: ReadSession, now_us: int) -> Seen:
    """What is to be done."""
    found: tuple[Any, ...] = tuple(session.execute(_LOOK).one())
    lease, last_lease, slot, planned, event, *ready = found
    moments = [int(at) for at in (lease, slot, *ready) if at is not None]
    set_back = planned is not None and planned > now_us + SET_BACK_US
    return Seen(
        jobs=any(at is not None and at <= now_us for at in ready),
        schedules=set_back or (slot is not None and slot <= now_us),
        leases=lease is not None and (lease <= now_us or last_lease > now_us + TOO_LONG_US),
        events=event is not None,
        next_us=min((at for at in moments if at > now_us), default=None),
    )


def backlog(session: ReadSession, now_us: int) -> Backlog:
    """How much is to be done, and for how long it has waited."""
    rows: Sequence[Any] = session.execute(_COUNTS).all()
    counts: dict[str, int] = {row[0]: int(row[1]) for row in rows}
    earliest: tuple[Any, ...] = tuple(session.execute(select(*_READY)).one())
    due = [int(at) for at in earliest if at is not None]
    event = session.scalar(_OLDEST_EVENT)
    return Backlog(
        ready=counts.get(READY, 0),
        running=counts.get(RUNNING, 0),
        dead=counts.get(DEAD, 0),
        oldest_job_us=max(0, now_us - min(due, default=now_us)),
        oldest_event_us=0 if event is None else max(0, now_us - int(event)),
    )
