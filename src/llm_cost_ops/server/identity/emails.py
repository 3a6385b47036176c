"""The addresses of users, for rooms that show who did something."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.tables import users

_CHUNK = 400


def emails_of(
    session: ReadSession, organization_id: str, user_ids: Collection[str]
) -> dict[str, str]:
    """The address of each of these users that has one."""
    ids = sorted(user_ids)
    found: dict[str, str] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(users.c.id, users.c.email).where(
            users.c.organization_id == organization_id,
            users.c.id.in_(ids[start : start + _CHUNK]),
            users.c.email.is_not(None),
        )
        found.update((row.id, row.email) for row in session.execute(query))
    return found
