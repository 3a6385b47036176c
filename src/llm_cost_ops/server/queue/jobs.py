"""The queue's own work: removing what nobody needs any more, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from sqlalchemy import Column, Table, and_, delete, or_, select

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http import idempotency
from llm_cost_ops.server.queue.enqueue import DEAD, DISCARDED, DONE
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.tables import jobs, outbox, schedule_runs
from llm_cost_ops.server.queue.work import Again, Kind, Running, SystemSchedule, Work
from llm_cost_ops.server.settings import WorkerSettings

RETENTION = Kind("queue.retention", max_attempts=5, retry=exponential(first_s=10, most_s=300))
CHUNK = 1_000
KEEP_SLOTS_DAYS = 35
"""How far a clock may be set back without a slot firing again."""
_HOUR_US = 3600 * 1_000_000
_DAY_US = 24 * _HOUR_US
Purge = Callable[[WriteSession], int]


def work(settings: WorkerSettings, clock: Clock) -> Work:
    """The retention of jobs, events, slots and idempotency keys, every ten minutes."""

    def retain(running: Running) -> None:
        for purge in _purges(settings, clock.micros()):
            while running.write(purge) >= CHUNK:
                if running.stopping:
                    raise Again("the worker stops", delay_s=0, counted=False)

    return Work(
        handlers={RETENTION: retain},
        schedules=[SystemSchedule("queue.retention", "*/10 * * * *", RETENTION)],
    )


def _purges(settings: WorkerSettings, now_us: int) -> Iterator[Purge]:
    """Each removes at most CHUNK rows and tells how many."""
    finished, dead = (
        now_us - settings.keep_finished_days * _DAY_US,
        now_us - settings.keep_dead_days * _DAY_US,
    )
    row = jobs.c
    yield partial(idempotency.purge, now=now_us, limit=CHUNK)
    yield partial(
        _purge,
        key=outbox.c.id,
        old=outbox.c.delivered_at <= now_us - settings.keep_events_hours * _HOUR_US,
    )
    yield partial(
        _purge,
        key=row.id,
        old=or_(
            and_(row.state.in_((DONE, DISCARDED)), row.finished_at <= finished),
            and_(row.state == DEAD, row.finished_at <= dead),
        ),
    )
    yield partial(_purge_slots, before=now_us - KEEP_SLOTS_DAYS * _DAY_US)


def _purge(session: WriteSession, key: Column[Any], old: Any) -> int:
    table = key.table
    assert isinstance(table, Table)  # noqa: S101 - a column of one of our tables
    ids = session.execute(select(key).where(old).limit(CHUNK)).scalars().all()
    if ids:
        session.execute(delete(table).where(key.in_(ids), old))
    return len(ids)


def _purge_slots(session: WriteSession, before: int) -> int:
    slot = schedule_runs.c
    old = session.execute(
        select(slot.fire_at).where(slot.fire_at < before).order_by(slot.fire_at).limit(CHUNK)
    )
    instants = old.scalars().all()
    if instants:
        session.execute(delete(schedule_runs).where(slot.fire_at <= instants[-1]))
    return len(instants)
