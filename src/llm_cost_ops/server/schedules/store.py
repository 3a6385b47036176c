"""Queries on schedules, their runs and deliveries."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, tuple_, update

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.schedules.tables import (
    delivery_parts,
    delivery_runs,
    delivery_schedules,
)

Row = dict[str, Any]
SCHEDULED, CAUGHT_UP, REQUESTED = "scheduled", "caught_up", "requested"
"""Why there is a run."""
PENDING, DELIVERING, COMPLETED, FAILED = "pending", "delivering", "completed", "failed"
STATUSES = (PENDING, DELIVERING, COMPLETED, FAILED)
DELIVERED = "delivered"
FIRE_LIMIT = 50
_S, _R, _P = delivery_schedules.c, delivery_runs.c, delivery_parts.c


def new_id(prefix: str, now_us: int) -> str:
    return single_id(prefix, now_us // 1_000, secrets.randbits(80))


def count(session: ReadSession, organization_id: str) -> int:
    query = select(func.count()).where(_S.organization_id == organization_id)
    return int(session.scalar(query) or 0)


def add(session: WriteSession, row: Mapping[str, Any]) -> None:
    session.execute(insert(delivery_schedules).values(**row))


def change(
    session: WriteSession, organization_id: str, schedule_id: str, values: Mapping[str, Any]
) -> None:
    session.execute(
        update(delivery_schedules)
        .where(_S.organization_id == organization_id, _S.id == schedule_id)
        .values(**values, version=_S.version + 1)
    )


def remove(session: WriteSession, organization_id: str, schedule_id: str) -> None:
    """The schedule alone: runs are kept as long as others are."""
    session.execute(
        delete(delivery_schedules).where(
            _S.organization_id == organization_id, _S.id == schedule_id
        )
    )


def get(
    session: ReadSession, organization_id: str, schedule_id: str, *, lock: bool = False
) -> Row | None:
    query = select(delivery_schedules).where(
        _S.organization_id == organization_id, _S.id == schedule_id
    )
    row = session.execute(lock_rows(query) if lock else query).mappings().first()
    return None if row is None else dict(row)


def schedules(
    session: ReadSession,
    organization_id: str,
    *,
    kind: str | None,
    own: tuple[str, str | None] | None,
    before: str | None,
    limit: int,
    offset: int,
) -> list[Row]:
    """The newest first; with `own` (credential, person) those of that owner alone."""
    query = select(delivery_schedules).where(_S.organization_id == organization_id)
    if kind is not None:
        query = query.where(_S.kind == kind)
    if own is not None:
        key_id, user_id = own
        query = query.where(
            and_(_S.user_id.is_(None), _S.key_id == key_id)
            if user_id is None
            else _S.user_id == user_id
        )
    if before is not None:
        query = query.where(_S.id < before)
    query = query.order_by(_S.id.desc()).limit(limit).offset(offset)
    return [dict(row) for row in session.execute(query).mappings()]


# lint: allow tenant-scope: the worker fires the schedules of all organizations
def due(session: WriteSession, now_us: int) -> list[Row]:
    """Schedules to fire, locked; one that another worker holds is left to it."""
    query = (
        select(delivery_schedules)
        .where(_S.paused == 0, _S.next_fire_at <= now_us)
        .order_by(_S.next_fire_at, _S.id)
        .limit(FIRE_LIMIT)
    )
    found = session.execute(lock_rows(query, skip_locked=True))
    return [dict(row) for row in found.mappings()]


def add_run(session: WriteSession, organization_id: str, row: Mapping[str, Any]) -> bool:
    """Whether the slot had no run before."""
    statement = insert_ignore(session.kind, delivery_runs, ["schedule_id", "fire_at"])
    session.execute(statement, {**row, "organization_id": organization_id})
    query = select(_R.id).where(
        _R.organization_id == organization_id,
        _R.schedule_id == row["schedule_id"],
        _R.fire_at == row["fire_at"],
    )
    return session.scalar(query) == row["id"]


def unfinished(session: ReadSession, organization_id: str, schedule_id: str) -> int:
    """How many runs of a schedule are not over."""
    query = select(func.count()).where(
        _R.organization_id == organization_id,
        _R.schedule_id == schedule_id,
        _R.status.in_((PENDING, DELIVERING)),
    )
    return int(session.scalar(query) or 0)


def run(session: ReadSession, organization_id: str, run_id: str) -> Row | None:
    query = select(delivery_runs).where(_R.organization_id == organization_id, _R.id == run_id)
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def runs(
    session: ReadSession,
    organization_id: str,
    schedule_id: str,
    *,
    status: str | None,
    before_us: int | None,
    limit: int,
    offset: int,
) -> list[Row]:
    """Those of the last slots first."""
    query = select(delivery_runs).where(
        _R.organization_id == organization_id, _R.schedule_id == schedule_id
    )
    if status is not None:
        query = query.where(_R.status == status)
    if before_us is not None:
        query = query.where(_R.fire_at < before_us)
    query = query.order_by(_R.fire_at.desc()).limit(limit).offset(offset)
    return [dict(row) for row in session.execute(query).mappings()]


def last_runs(
    session: ReadSession, organization_id: str, schedule_ids: Sequence[str]
) -> dict[str, Row]:
    """The run of the last slot of each of these schedules that has one."""
    if not schedule_ids:
        return {}
    last = (
        select(_R.schedule_id, func.max(_R.fire_at))
        .where(_R.organization_id == organization_id, _R.schedule_id.in_(schedule_ids))
        .group_by(_R.schedule_id)
    )
    query = select(delivery_runs).where(
        _R.organization_id == organization_id, tuple_(_R.schedule_id, _R.fire_at).in_(last)
    )
    return {row["schedule_id"]: dict(row) for row in session.execute(query).mappings()}


def change_run(
    session: WriteSession, organization_id: str, run_id: str, values: Mapping[str, Any]
) -> None:
    session.execute(
        update(delivery_runs)
        .where(_R.organization_id == organization_id, _R.id == run_id)
        .values(**values)
    )


def note_file(
    session: WriteSession, organization_id: str, run_id: str, values: Mapping[str, Any]
) -> bool:
    """Begin an attempt at a run whose file is not made yet; whether it is not."""
    changed = session.execute(
        update(delivery_runs)
        .where(
            _R.organization_id == organization_id,
            _R.id == run_id,
            _R.status.in_((PENDING, FAILED)),
            _R.file.is_(None),
        )
        .values(**values, status=PENDING, finished_at=None)
    )
    return changed.rowcount == 1


def forget_file(session: WriteSession, organization_id: str, run_id: str, key: str) -> None:
    """The file under a key is gone; of a run that has another one by now nothing changes."""
    session.execute(
        update(delivery_runs)
        .where(_R.organization_id == organization_id, _R.id == run_id, _R.file_key == key)
        .values(file_key=None, expires_at=None)
    )


def add_parts(session: WriteSession, rows: Iterable[Mapping[str, Any]]) -> None:
    listed = [dict(row) for row in rows]
    if listed:
        session.execute(insert(delivery_parts), listed)


def part(session: ReadSession, organization_id: str, part_id: str) -> Row | None:
    query = select(delivery_parts).where(_P.organization_id == organization_id, _P.id == part_id)
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def parts(session: ReadSession, organization_id: str, run_ids: Sequence[str]) -> list[Row]:
    """The deliveries of some runs, in order."""
    if not run_ids:
        return []
    query = (
        select(delivery_parts)
        .where(_P.organization_id == organization_id, _P.run_id.in_(run_ids))
        .order_by(_P.run_id, _P.place)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def change_part(
    session: WriteSession, organization_id: str, part_id: str, values: Mapping[str, Any]
) -> None:
    session.execute(
        update(delivery_parts)
        .where(_P.organization_id == organization_id, _P.id == part_id)
        .values(**values)
    )


def lock_run(session: WriteSession, organization_id: str, run_id: str) -> Row | None:
    """The run, held until the transaction ends: of its deliveries the last one ends it."""
    query = select(delivery_runs).where(_R.organization_id == organization_id, _R.id == run_id)
    row = session.execute(lock_rows(query)).mappings().first()
    return None if row is None else dict(row)


# lint: allow tenant-scope: files of all organizations expire
def expired(session: ReadSession, now_us: int, limit: int) -> list[tuple[str, str, str]]:
    """Organization, id and key of runs whose file is kept no longer, or was never finished."""
    left = and_(_R.status == FAILED, _R.file.is_(None), _R.expires_at.is_(None))
    query = (
        select(_R.organization_id, _R.id, _R.file_key)
        .where(_R.file_key.is_not(None), or_(_R.expires_at <= now_us, left))
        .order_by(_R.id)
        .limit(limit)
    )
    rows: Sequence[Any] = session.execute(query).all()
    return [(str(row[0]), str(row[1]), str(row[2])) for row in rows]


# lint: allow tenant-scope: old runs of all organizations are removed
def purge(session: WriteSession, before_us: int, limit: int) -> int:
    """Remove runs that ended before an instant and whose file is gone; how many there were."""
    query = select(_R.id).where(_R.finished_at < before_us, _R.file_key.is_(None)).limit(limit)
    ids = session.execute(query).scalars().all()
    if ids:
        session.execute(delete(delivery_parts).where(_P.run_id.in_(ids)))
        session.execute(delete(delivery_runs).where(_R.id.in_(ids)))
    return len(ids)
