"""Taking jobs for a while, and all that can become of a job that was taken.

Whoever takes a job writes a token into its row. Each change below is conditional on that token, in
the transaction of the job's effect: a worker that was too slow, and whose job somebody else has
taken since, changes nothing (a fencing token).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy import exists as exists_in

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.enqueue import DEAD, DONE, READY, RUNNING, Priority
from llm_cost_ops.server.queue.locks import LANES, try_lock
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.queue.work import Buried, Job, LeaseLost

TOO_LONG_US = 2 * 3600 * 1_000_000
"""No worker takes a lease of more than an hour: one that ends later is of a clock set back."""
REAP_LIMIT = 100
MAX_ERROR = 2_000
ABANDONED = "The worker that ran it ended, or stalled for longer than its lease."
_ROW = jobs.c
_FREE: Mapping[str, Any] = {"lease": None, "holder": None, "leased_until": None}


def take(
    session: WriteSession,
    kinds: Collection[str],
    count: int,
    *,
    token: str,
    holder: str,
    now_us: int,
    lease_us: int,
    without: Iterable[tuple[str, str]] = (),
) -> list[Job]:
    """At most `count` jobs that are due, now ours until `now_us + lease_us`; none of an
    organization and kind that `without` names. An attempt counts from here, so that a job that ends
    its process is counted too. Never waits for another worker."""
    allowed = [
        or_(
            _ROW.organization_id.is_(None),
            _ROW.organization_id != organization_id,
            _ROW.kind != kind,
        )
        for organization_id, kind in without
    ]
    rows: list[Any] = []
    lanes = try_lock(session, LANES)
    for priority in Priority:
        due = and_(
            _ROW.state == READY,
            _ROW.priority == int(priority),
            _ROW.run_at <= now_us,
            _ROW.kind.in_(sorted(kinds)),
            *allowed,
        )
        if len(rows) < count:
            rows += _free_of_lanes(session, due, count - len(rows))
        if lanes and len(rows) < count:
            rows += _heads_of_lanes(session, due, count - len(rows))
    if rows:
        session.execute(
            update(jobs)
            .where(_ROW.id.in_([row.id for row in rows]))
            .values(
                state=RUNNING,
                attempts=_ROW.attempts + 1,
                lease=token,
                holder=holder,
                leased_until=now_us + lease_us,
            )
        )
    return [_job(row, token) for row in rows]


def _free_of_lanes(session: WriteSession, due: ColumnElement[bool], count: int) -> Sequence[Any]:
    found = select(jobs).where(due, _ROW.lane.is_(None)).order_by(_ROW.run_at, _ROW.id)
    return session.execute(lock_rows(found.limit(count), skip_locked=True)).all()


def _heads_of_lanes(session: WriteSession, due: ColumnElement[bool], count: int) -> Sequence[Any]:
    """The first of each lane in which nothing runs. The lock of the lanes is ours, so no other
    worker starts one meanwhile; the rows are locked by id, because a locking read that skips rows
    would not see the ones that must hold a lane up."""
    other = jobs.alias("other")
    before = or_(
        other.c.lane_position < _ROW.lane_position,
        and_(other.c.lane_position == _ROW.lane_position, other.c.id < _ROW.id),
    )
    held_up = exists_in().where(
        other.c.lane == _ROW.lane,
        or_(other.c.state == RUNNING, and_(other.c.state == READY, before)),
    )
    heads = select(_ROW.id).where(due, _ROW.lane.is_not(None), ~held_up)
    ids = session.execute(heads.order_by(_ROW.run_at, _ROW.id).limit(count)).scalars().all()
    if not ids:
        return []
    found = select(jobs).where(_ROW.id.in_(ids), due).order_by(_ROW.run_at, _ROW.id)
    return session.execute(lock_rows(found, skip_locked=True)).all()


def _job(row: Any, token: str) -> Job:
    return Job(
        id=row.id,
        organization_id=row.organization_id,
        kind=row.kind,
        payload=loads(row.payload),
        attempt=int(row.attempts) + 1,
        max_attempts=int(row.max_attempts),
        lease=token,
    )


def extend(session: WriteSession, held: Iterable[Job], until_us: int) -> set[str]:
    """Keep jobs until `until_us`; the ids of those that are not ours any more."""
    tokens = {job.id: job.lease for job in held}
    ours = and_(
        _ROW.id.in_(sorted(tokens)),
        _ROW.lease.in_(sorted(set(tokens.values()))),
        _ROW.state == RUNNING,
    )
    done = session.execute(update(jobs).where(ours).values(leased_until=until_us))
    if done.rowcount == len(tokens):
        return set()
    kept = session.execute(select(_ROW.id, _ROW.lease).where(ours)).all()
    return set(tokens) - {row.id for row in kept if tokens[row.id] == row.lease}


def check(session: WriteSession, job: Job, until_us: int) -> None:
    """Raises LeaseLost unless the job is ours; keeps it until `until_us`."""
    _change(session, job, leased_until=until_us)


def finish(session: WriteSession, job: Job, *, now_us: int) -> None:
    """The job is done. Raises LeaseLost."""
    _change(session, job, **_FREE, state=DONE, finished_at=now_us)


def retry(
    session: WriteSession, job: Job, *, run_at: int, reason: str, counted: bool = True
) -> None:
    """The job waits for its next attempt. Raises LeaseLost."""
    attempts = job.attempt if counted else job.attempt - 1
    _change(
        session,
        job,
        **_FREE,
        state=READY,
        run_at=run_at,
        attempts=attempts,
        last_error=reason[:MAX_ERROR],
    )


def bury(session: WriteSession, job: Job, *, reason: str, now_us: int) -> None:
    """The job is dead: it waits for somebody who looks at it. Raises LeaseLost."""
    _change(session, job, **_FREE, state=DEAD, finished_at=now_us, last_error=reason[:MAX_ERROR])


def give_back(session: WriteSession, held: Iterable[Job]) -> None:
    """Jobs that a stopping worker did not finish are due again at once, without an attempt."""
    for job in held:
        session.execute(
            update(jobs)
            .where(_ROW.id == job.id, _ROW.lease == job.lease, _ROW.state == RUNNING)
            .values(**_FREE, state=READY, attempts=job.attempt - 1)
        )
    session.announce()


def _change(session: WriteSession, job: Job, **values: Any) -> None:
    changed = session.execute(
        update(jobs)
        .where(_ROW.id == job.id, _ROW.lease == job.lease, _ROW.state == RUNNING)
        .values(**values)
    )
    if changed.rowcount != 1:
        raise LeaseLost(job.id)


def reap(
    session: WriteSession,
    wait_us: Callable[[str, int], int],
    *,
    now_us: int,
    lease_us: int,
    buried: Mapping[str, Buried] | None = None,
) -> int:
    """Take jobs from workers whose lease has ended: ready again after `wait_us` of their kind and
    attempts, or dead after the last attempt, which is told to `buried` of their kind. How many
    there were.

    A lease that no worker could have taken ends in `lease_us`: the clock was set back meanwhile.
    """
    ended = lock_rows(
        select(jobs)
        .where(_ROW.state == RUNNING, _ROW.leased_until <= now_us)
        .order_by(_ROW.id)
        .limit(REAP_LIMIT),
        skip_locked=True,
    )
    rows = session.execute(ended).all()
    for row in rows:
        dead = row.attempts >= row.max_attempts
        session.execute(
            update(jobs)
            .where(_ROW.id == row.id)
            .values(
                **_FREE,
                state=DEAD if dead else READY,
                finished_at=now_us if dead else None,
                run_at=now_us if dead else now_us + wait_us(row.kind, row.attempts),
                last_error=ABANDONED,
            )
        )
        if dead and buried and row.kind in buried:
            buried[row.kind](session, _job(row, ""), ABANDONED)
    session.execute(
        update(jobs)
        .where(_ROW.state == RUNNING, _ROW.leased_until > now_us + TOO_LONG_US)
        .values(leased_until=now_us + lease_us)
    )
    return len(rows)
