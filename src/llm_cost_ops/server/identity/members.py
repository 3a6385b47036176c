"""Projects and users become known when a call first names them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Table, select

from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import projects, users

MAX_KNOWN = 200_000
CHUNK = 400
_KEY = ("organization_id", "id")


class _Known:
    """Members whose rows are committed, so that a repeated one costs no query."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str, str], None] = {}
        self._lock = threading.Lock()

    def unknown(self, table: str, organization_id: str, ids: Collection[str]) -> list[str]:
        return sorted(i for i in ids if (table, organization_id, i) not in self._ids)

    def add(self, table: str, organization_id: str, ids: Collection[str]) -> None:
        with self._lock:
            for member_id in ids:
                self._ids[table, organization_id, member_id] = None
            while len(self._ids) > MAX_KNOWN:
                del self._ids[next(iter(self._ids))]


_known: WeakKeyDictionary[Engine, _Known] = WeakKeyDictionary()


def ensure_members(
    session: WriteSession,
    members: Mapping[str, tuple[Collection[str], Collection[str]]],
    *,
    now_us: int,
) -> None:
    """Insert the project and user ids (in this order, by organization) that are not there yet.

    At most once in a transaction: what the first call inserted may still be rolled back, and only
    committed rows are remembered.
    """
    engine = session.connection.engine
    known = _known.setdefault(engine, _Known())
    for organization_id, (project_ids, user_ids) in sorted(members.items()):
        for table, ids in ((projects, project_ids), (users, user_ids)):
            unknown = known.unknown(table.name, organization_id, ids)
            for start in range(0, len(unknown), CHUNK):
                chunk = unknown[start : start + CHUNK]
                present = _present(session, table, organization_id, chunk)
                known.add(table.name, organization_id, present)
                _insert(session, table, organization_id, sorted(set(chunk) - present), now_us)


def _present(
    session: ReadSession, table: Table, organization_id: str, ids: Collection[str]
) -> set[str]:
    statement = select(table.c.id).where(
        table.c.organization_id == organization_id, table.c.id.in_(ids)
    )
    return set(session.execute(statement).scalars())


def _insert(
    session: WriteSession, table: Table, organization_id: str, ids: Collection[str], now_us: int
) -> None:
    if not ids:
        return
    rows = [
        {"organization_id": organization_id, "id": member_id, "name": None, "created_at": now_us}
        for member_id in ids
    ]
    session.execute(insert_ignore(session.kind, table, _KEY), rows)
