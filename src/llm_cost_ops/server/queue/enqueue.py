"""Enqueue jobs in the caller's transaction: they exist if and only if it commits."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select

from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.queue.work import Kind

READY = "ready"
RUNNING = "running"
DONE = "done"
DEAD = "dead"
DISCARDED = "discarded"
UNFINISHED = (READY, RUNNING)
MAX_KEY = 255
MAX_LANE = 160
_ENTROPY_BITS = 60
_ROW = jobs.c


class Priority(IntEnum):
    """Which of the jobs that are due goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class NewJob(NamedTuple):
    """A job to be. Jobs in one `lane` run one at a time in the order in which they were enqueued;
    a dead one does not hold up those behind it. `run_at` in microseconds, None is at once."""

    kind: Kind
    payload: Mapping[str, object]
    organization_id: str | None
    run_at: int | None = None
    priority: Priority = Priority.NORMAL
    lane: str | None = None


def enqueue(
    session: WriteSession,
    job: NewJob,
    *,
    now_us: int,
    once: str | None = None,
) -> str:
    """The id of the new job.

    `once` names it within its organization and kind: while a job of that name is kept, finished or
    not, another is not made and the id is the first one's. Raises ValueError for a name or lane
    that is too long, TypeError for a payload with a float.
    """
    (row,) = _rows(session, [job], now_us)
    if once is None:
        session.execute(insert(jobs), row)
    else:
        key = row["dedupe_key"] = _key(job, once)
        session.execute(insert_ignore(session.kind, jobs, ["dedupe_key"]), row)
        found = session.scalar(select(_ROW.id).where(_ROW.dedupe_key == key))
        if found != row["id"]:
            return str(found)
    if row["run_at"] <= now_us:
        session.announce()
    return str(row["id"])


def enqueue_all(session: WriteSession, new: Sequence[NewJob], *, now_us: int) -> list[str]:
    """The ids of the new jobs, in order; one statement, and one more when there are lanes."""
    rows = _rows(session, new, now_us)
    if rows:
        session.execute(insert(jobs), rows)
    if any(row["run_at"] <= now_us for row in rows):
        session.announce()
    return [row["id"] for row in rows]


def held_ready(session: WriteSession, lanes: Iterable[str]) -> set[str]:
    """Those of the lanes in which a job waits, which is held back until the transaction ends: it
    will see what the transaction writes, so who only wants to be looked at needs no further job."""
    wanted = sorted(lanes)
    if not wanted:
        return set()
    ready = select(_ROW.lane).where(_ROW.lane.in_(wanted), _ROW.state == READY)
    return {row[0] for row in session.execute(lock_rows(ready, skip_locked=True))}


def runs_in(session: ReadSession, lane: str) -> bool:
    """Whether a job of the lane is under way."""
    found = select(_ROW.id).where(_ROW.lane == lane, _ROW.state == RUNNING)
    return session.execute(found.limit(1)).first() is not None


def _rows(session: WriteSession, new: Sequence[NewJob], now_us: int) -> list[dict[str, Any]]:
    ids = batch_ids(batch_stem("job", now_us // 1_000, secrets.randbits(_ENTROPY_BITS)), len(new))
    positions = _Positions(session, {job.lane for job in new if job.lane is not None})
    return [
        {
            "id": job_id,
            "organization_id": job.organization_id,
            "kind": job.kind.name,
            "payload": dumps(job.payload),
            "state": READY,
            "priority": int(job.priority),
            "run_at": now_us if job.run_at is None else job.run_at,
            "attempts": 0,
            "max_attempts": job.kind.max_attempts,
            "lane": job.lane,
            "lane_position": positions.next(job.lane),
            "dedupe_key": None,
            "created_at": now_us,
        }
        for job_id, job in zip(ids, new, strict=True)
    ]


def _key(job: NewJob, once: str) -> str:
    key = f"{job.organization_id or ''}/{job.kind.name}/{once}"
    if len(key) > MAX_KEY:
        raise ValueError(f"organization, kind and name have together at most {MAX_KEY} characters")
    return key


class _Positions:
    """The next position in each of some lanes."""

    def __init__(self, session: ReadSession, lanes: Iterable[str]) -> None:
        wanted = sorted(lanes)
        if any(not 0 < len(lane) <= MAX_LANE for lane in wanted):
            raise ValueError(f"a lane's name has 1 to {MAX_LANE} characters")
        self._last: Counter[str] = Counter()
        if wanted:
            self._last.update(last_positions(session, wanted))

    def next(self, lane: str | None) -> int | None:
        if lane is None:
            return None
        self._last[lane] += 1
        return self._last[lane]


def last_positions(session: ReadSession, lanes: Sequence[str]) -> dict[str, int]:
    """The position of the last unfinished job in each lane that has one."""
    found = session.execute(
        select(_ROW.lane, func.max(_ROW.lane_position))
        .where(_ROW.lane.in_(lanes), _ROW.state.in_(UNFINISHED))
        .group_by(_ROW.lane)
    )
    rows: Sequence[Any] = found.all()
    return {row[0]: int(row[1]) for row in rows}


# lint: allow tenant-scope: asked by work that is spread over all organizations
def organizations_of(session: ReadSession, kind: Kind) -> set[str]:
    """The organizations that have an unfinished job of a kind."""
    found = session.execute(
        select(_ROW.organization_id)
        .where(
            _ROW.kind == kind.name, _ROW.state.in_(UNFINISHED), _ROW.organization_id.is_not(None)
        )
        .distinct()
    )
    return set(found.scalars())
