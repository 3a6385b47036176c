"""Exports as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.exports.tables import exports

PENDING, PROCESSING, COMPLETED = "pending", "processing", "completed"
FAILED, CANCELLED, EXPIRED = "failed", "cancelled", "expired"
UNFINISHED = (PENDING, PROCESSING)
ENDED = (FAILED, CANCELLED, EXPIRED)
STATUSES = (*UNFINISHED, COMPLETED, *ENDED)
PREFIX = "exp"
_ROW = exports.c


def add(session: WriteSession, organization_id: str, row: Mapping[str, Any]) -> None:
    """Store a new export."""
    session.execute(insert(exports), {**row, "organization_id": organization_id})


def change(
    session: WriteSession,
    organization_id: str,
    export_id: str,
    values: Mapping[str, Any],
    *,
    among: Sequence[str] = STATUSES,
) -> bool:
    """Change columns of an export whose status is one of these; whether it was."""
    changed = session.execute(
        update(exports)
        .where(
            _ROW.organization_id == organization_id,
            _ROW.id == export_id,
            _ROW.status.in_(among),
        )
        .values(**values)
    )
    return changed.rowcount == 1


def row(
    session: ReadSession, organization_id: str, export_id: str, *, lock: bool = False
) -> dict[str, Any] | None:
    """One export, held until the end of the transaction if `lock`."""
    query = select(exports).where(_ROW.organization_id == organization_id, _ROW.id == export_id)
    found = session.execute(lock_rows(query) if lock else query).mappings().first()
    return None if found is None else dict(found)


def rows(
    session: ReadSession,
    organization_id: str,
    below: str | None,
    limit: int,
    status: str | None = None,
) -> list[dict[str, Any]]:
    """Exports, the newest first, with ids below one."""
    query = select(exports).where(_ROW.organization_id == organization_id)
    if below is not None:
        query = query.where(_ROW.id < below)
    if status is not None:
        query = query.where(_ROW.status == status)
    query = query.order_by(_ROW.id.desc()).limit(limit)
    return [dict(found) for found in session.execute(query).mappings()]


def unfinished(session: ReadSession, organization_id: str) -> int:
    """How many exports wait or are being made."""
    query = select(func.count()).where(
        _ROW.organization_id == organization_id, _ROW.status.in_(UNFINISHED)
    )
    return int(session.scalar(query) or 0)


# lint: allow tenant-scope: the sweep attends to all organizations
def swept(session: ReadSession, now_us: int, limit: int) -> list[dict[str, Any]]:
    """Exports whose file is to be removed: they expired, or ended without needing it."""
    query = (
        select(_ROW.id, _ROW.organization_id, _ROW.status, _ROW.file_key, _ROW.kind)
        .where(
            or_(
                (_ROW.status == COMPLETED) & (_ROW.expires_at <= now_us),
                _ROW.status.in_(ENDED) & _ROW.file_key.is_not(None),
            )
        )
        .order_by(_ROW.id)
        .limit(limit)
    )
    return [dict(found) for found in session.execute(query).mappings()]


# lint: allow tenant-scope: what is old is removed of all organizations
def purge(session: WriteSession, before_us: int, limit: int) -> int:
    """Remove exports that were ordered before an instant, are over and have no file; how many."""
    query = (
        select(_ROW.id)
        .where(
            _ROW.id < single_id(PREFIX, before_us // 1_000, 0),  # ids go by time
            _ROW.status.in_(ENDED),
            _ROW.file_key.is_(None),
        )
        .limit(limit)
    )
    ids = session.execute(query).scalars().all()
    if ids:
        session.execute(delete(exports).where(_ROW.id.in_(ids)))
    return len(ids)
