"""Schedules: each slot makes one job, however many workers look and whatever their clocks do.

A slot fires in the transaction that advances its schedule's row, which it holds locked, and leaves
a row in `schedule_runs` whose key is schedule and slot. Slots that were missed while no worker ran
are made up for by one job, for the last of them. When the clock is found to have been set back, the
next slot is planned again; slots that have fired already do not fire again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue_all
from llm_cost_ops.server.queue.slots import SlotsError, slots
from llm_cost_ops.server.queue.tables import schedule_runs, schedules
from llm_cost_ops.server.queue.work import Kind, SystemSchedule

FIRE_LIMIT = 50
SET_BACK_US = 60 * 1_000_000
"""Clocks of several workers differ by less; what differs by more was set back."""
SLOT = "scheduled_for"
SYSTEM = "sch_"
_ENTROPY_BITS = 80
_ROW = schedules.c
_RUN = schedule_runs.c


def add_schedule(
    session: WriteSession,
    kind: Kind,
    *,
    organization_id: str,
    name: str,
    expression: str,
    timezone: str,
    payload: Mapping[str, object],
    now_us: int,
) -> str:
    """The id of a new schedule of an organization; its first slot is later than now.

    Raises SlotsError.
    """
    schedule_id = single_id("sch", now_us // 1_000, secrets.randbits(_ENTROPY_BITS))
    row = _row(schedule_id, organization_id, name, kind, expression, timezone, now_us)
    session.execute(insert(schedules), {**row, "payload": dumps(payload)})
    return schedule_id


def change_schedule(
    session: WriteSession,
    organization_id: str,
    schedule_id: str,
    *,
    expression: str,
    timezone: str,
    enabled: bool,
    now_us: int,
) -> bool:
    """Plan a schedule anew from now on; whether there is one. Raises SlotsError."""
    changed = session.execute(
        update(schedules)
        .where(_ROW.organization_id == organization_id, _ROW.id == schedule_id)
        .values(
            expression=expression,
            timezone=timezone,
            starts_at=now_us,
            next_at=slots(expression, timezone, now_us).next_after(now_us),
            planned_at=now_us,
            enabled=int(enabled),
        )
    )
    return changed.rowcount == 1


def remove_schedule(session: WriteSession, organization_id: str, schedule_id: str) -> bool:
    """Whether there was one. Jobs that it has made already are kept."""
    gone = session.execute(
        delete(schedules).where(_ROW.organization_id == organization_id, _ROW.id == schedule_id)
    )
    return gone.rowcount == 1


def keep_system_schedules(
    session: WriteSession, wanted: Sequence[SystemSchedule], *, now_us: int
) -> None:
    """Make the schedules of this release as they should be. Older releases' are left alone: a
    worker of one may still run."""
    for each in wanted:
        schedule_id = SYSTEM + each.name
        row = _row(schedule_id, None, each.name, each.kind, each.expression, each.timezone, now_us)
        session.execute(insert_ignore(session.kind, schedules, ["id"]), {**row, "payload": "{}"})
        session.execute(
            update(schedules)
            .where(
                _ROW.id == schedule_id,
                or_(
                    _ROW.expression != each.expression,
                    _ROW.timezone != each.timezone,
                    _ROW.kind != each.kind.name,
                    _ROW.max_attempts != each.kind.max_attempts,
                ),
            )
            .values({name: value for name, value in row.items() if name != "created_at"})
        )


def _row(
    schedule_id: str,
    organization_id: str | None,
    name: str,
    kind: Kind,
    expression: str,
    timezone: str,
    now_us: int,
) -> dict[str, Any]:
    return {
        "id": schedule_id,
        "organization_id": organization_id,
        "name": name,
        "kind": kind.name,
        "max_attempts": kind.max_attempts,
        "expression": expression,
        "timezone": timezone,
        "starts_at": now_us,
        "next_at": slots(expression, timezone, now_us).next_after(now_us),
        "planned_at": now_us,
        "enabled": 1,
        "created_at": now_us,
    }


def fire_due(session: WriteSession, *, now_us: int) -> int:
    """Fire the schedules that are due, at most FIRE_LIMIT; how many were looked at. One that
    another worker is firing is left to it."""
    set_back = _ROW.planned_at > now_us + SET_BACK_US
    due = (
        select(schedules)
        .where(_ROW.enabled == 1, or_(_ROW.next_at <= now_us, set_back))
        .order_by(_ROW.next_at, _ROW.id)
        .limit(FIRE_LIMIT)
    )
    rows = session.execute(lock_rows(due, skip_locked=True)).all()
    for row in rows:
        session.execute(
            update(schedules)
            .where(_ROW.id == row.id)
            .values(next_at=_fire(session, row, now_us), planned_at=now_us)
        )
    return len(rows)


# lint: allow tenant-scope: the program's own schedules belong to nobody
def fired_before(session: ReadSession, name: str, slot_us: int) -> int | None:
    """The last slot before this one in which a schedule of the program fired, as far as known."""
    own = and_(_ROW.id == _RUN.schedule_id, _ROW.name == name, _ROW.organization_id.is_(None))
    query = select(func.max(_RUN.fire_at)).select_from(schedule_runs).join(schedules, own)
    found = session.scalar(query.where(_RUN.fire_at < slot_us))
    return None if found is None else int(found)


def _fire(session: WriteSession, row: Any, now_us: int) -> int | None:
    """The slot after this one; None for a schedule that cannot fire any more."""
    try:
        plan = slots(row.expression, row.timezone, int(row.starts_at))
        if row.next_at is not None and row.next_at <= now_us:
            _make_job(session, row, plan.latest(int(row.next_at), now_us), now_us)
        return plan.next_after(now_us)
    except SlotsError as error:
        logger("schedule").error("schedule stopped", schedule=row.id, reason=error.message)
        return None


def _make_job(session: WriteSession, row: Any, slot: int, now_us: int) -> None:
    run = and_(_RUN.schedule_id == row.id, _RUN.fire_at == slot)
    if session.scalar(select(exists().where(run))):
        return
    job = NewJob(
        Kind(row.kind, int(row.max_attempts)),
        {**loads(row.payload), SLOT: slot},
        row.organization_id,
        lane=f"schedule/{row.id}",
    )
    (job_id,) = enqueue_all(session, [job], now_us=now_us)
    session.execute(
        insert(schedule_runs),
        {"schedule_id": row.id, "fire_at": slot, "job_id": job_id, "fired_at": now_us},
    )
