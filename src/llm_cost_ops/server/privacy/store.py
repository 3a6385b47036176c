"""Requests of persons as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update

from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import users
from llm_cost_ops.server.privacy.tables import privacy_requests

_ROW = privacy_requests.c


def add(session: WriteSession, organization_id: str, row: Mapping[str, Any]) -> None:
    """Store a new request."""
    session.execute(insert(privacy_requests), {**row, "organization_id": organization_id})


def change(
    session: WriteSession, organization_id: str, request_id: str, values: Mapping[str, Any]
) -> None:
    """Change columns of a request."""
    session.execute(
        update(privacy_requests)
        .where(_ROW.organization_id == organization_id, _ROW.id == request_id)
        .values(**values)
    )


def row(
    session: ReadSession, organization_id: str, request_id: str, *, lock: bool = False
) -> dict[str, Any] | None:
    """One request, held until the end of the transaction if `lock`."""
    query = select(privacy_requests).where(
        _ROW.organization_id == organization_id, _ROW.id == request_id
    )
    found = session.execute(lock_rows(query) if lock else query).mappings().first()
    return None if found is None else dict(found)


def rows(
    session: ReadSession, organization_id: str, below: str | None, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Requests, the newest first, with ids below one."""
    query = select(privacy_requests).where(_ROW.organization_id == organization_id)
    if below is not None:
        query = query.where(_ROW.id < below)
    query = query.order_by(_ROW.id.desc()).offset(offset).limit(limit)
    return [dict(found) for found in session.execute(query).mappings()]


def made_user(session: ReadSession, organization_id: str, user_ids: Sequence[str]) -> str | None:
    """The one of these users who is not only named by calls."""
    query = select(users.c.id).where(
        users.c.organization_id == organization_id,
        users.c.id.in_(list(user_ids)),
        users.c.kind != "seen",
    )
    return session.execute(query.order_by(users.c.id)).scalars().first()
