"""Jobs as an operator sees them: listed, shown, run again, or discarded.

`organization_id` narrows each of these to one organization; None is the operator's view of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, select, true, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.queue.enqueue import DEAD, DISCARDED, DONE, READY, RUNNING, last_positions
from llm_cost_ops.server.queue.tables import jobs

STATES = (READY, RUNNING, DONE, DEAD, DISCARDED)
REPLAYABLE = (DEAD, DISCARDED)
DISCARDABLE = (DEAD, READY)
BATCH = 500
_ROW = jobs.c


class NoSuchJob(DomainError):
    """There is no such job, or it is another organization's."""

    code = "NOT_FOUND"


class WrongState(DomainError):
    """The job is not in a state from which that is possible."""

    code = "CONFLICT"


def list_jobs(
    session: ReadSession,
    organization_id: str | None,
    *,
    state: str | None = None,
    kind: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """At most `limit` jobs, the newest first, without their payloads."""
    conditions = [_scope(organization_id)]
    if state is not None:
        conditions.append(_ROW.state == state)
    if kind is not None:
        conditions.append(_ROW.kind == kind)
    found = select(jobs).where(*conditions).order_by(_ROW.id.desc()).limit(limit)
    return [wire(row) for row in session.execute(found)]


def show_job(session: ReadSession, organization_id: str | None, job_id: str) -> dict[str, Any]:
    """One job with its payload. Raises NoSuchJob."""
    row = session.execute(_one(organization_id, job_id)).first()
    if row is None:
        raise _none(job_id)
    return {**wire(row), "payload": loads(row.payload)}


def replay(
    session: WriteSession, organization_id: str | None, job_id: str, *, now_us: int
) -> dict[str, Any]:
    """Run a dead or discarded job again, with all its attempts before it; in its lane it goes to
    the end. Raises NoSuchJob, WrongState."""
    row = _locked(session, organization_id, job_id, REPLAYABLE, "run again")
    position = row.lane_position
    if row.lane is not None:
        position = last_positions(session, [row.lane]).get(row.lane, 0) + 1
    _change(
        session,
        row,
        state=READY,
        attempts=0,
        run_at=now_us,
        finished_at=None,
        lane_position=position,
    )
    session.announce()
    return show_job(session, organization_id, job_id)


def discard(
    session: WriteSession, organization_id: str | None, job_id: str, *, now_us: int
) -> dict[str, Any]:
    """Give a dead or waiting job up. Raises NoSuchJob, WrongState."""
    row = _locked(session, organization_id, job_id, DISCARDABLE, "discarded")
    _change(session, row, state=DISCARDED, finished_at=now_us)
    return show_job(session, organization_id, job_id)


def dead_ids(
    session: ReadSession, organization_id: str | None, kind: str | None = None
) -> Sequence[str]:
    """The ids of the oldest dead jobs, at most BATCH."""
    conditions = [_scope(organization_id), _ROW.state == DEAD]
    if kind is not None:
        conditions.append(_ROW.kind == kind)
    found = select(_ROW.id).where(*conditions).order_by(_ROW.id).limit(BATCH)
    return session.execute(found).scalars().all()


def wire(row: Any) -> dict[str, Any]:
    """A job's row for people and machines."""
    times = ("run_at", "leased_until", "created_at", "finished_at")
    shown: Mapping[str, Any] = row._mapping  # the row as a mapping is SQLAlchemy's public surface
    instants = {
        name: None if shown[name] is None else format_micros(int(shown[name])) for name in times
    }
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "kind": row.kind,
        "state": row.state,
        "priority": int(row.priority),
        "attempts": int(row.attempts),
        "max_attempts": int(row.max_attempts),
        "run_at": instants["run_at"],
        "lane": row.lane,
        "holder": row.holder,
        "leased_until": instants["leased_until"],
        "last_error": row.last_error,
        "created_at": instants["created_at"],
        "finished_at": instants["finished_at"],
    }


def _scope(organization_id: str | None) -> ColumnElement[bool]:
    return true() if organization_id is None else _ROW.organization_id == organization_id


def _one(organization_id: str | None, job_id: str) -> Any:
    return select(jobs).where(and_(_ROW.id == job_id, _scope(organization_id)))


def _locked(
    session: WriteSession,
    organization_id: str | None,
    job_id: str,
    states: Sequence[str],
    done: str,
) -> Any:
    row = session.execute(lock_rows(_one(organization_id, job_id))).first()
    if row is None:
        raise _none(job_id)
    if row.state not in states:
        raise WrongState(f"{job_id} is {row.state}: only {' or '.join(states)} jobs can be {done}")
    return row


def _change(session: WriteSession, row: Any, **values: Any) -> None:
    session.execute(update(jobs).where(_ROW.id == row.id).values(**values))


def _none(job_id: str) -> NoSuchJob:
    return NoSuchJob(f"there is no job {job_id!r}")
