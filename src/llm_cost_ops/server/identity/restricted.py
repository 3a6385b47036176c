"""Users whose calls are counted without them: processing was restricted, objected to, or they were
erased. What is kept of each is a digest, so that the list itself names nobody."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, delete, select

from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import restricted_users

RESTRICTED, OBJECTED, ERASED = "restricted", "objected", "erased"
REMEMBERED_SECONDS = 0.9
MAX_ORGANIZATIONS = 10_000
_ROW = restricted_users.c


class Named(Protocol):
    """A call that may name its user."""

    organization_id: str
    user_id: str | None


class _Memory:
    """The digests of each organization, as they were read a moment ago."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def get(self, organization_id: str) -> frozenset[str] | None:
        found = self._known.get(organization_id)
        fresh = found is not None and time.monotonic() - found[0] < REMEMBERED_SECONDS
        return found[1] if found is not None and fresh else None

    def put(self, organization_id: str, read_at: float, digests: frozenset[str]) -> None:
        with self._lock:
            self._known[organization_id] = (read_at, digests)
            while len(self._known) > MAX_ORGANIZATIONS:
                del self._known[next(iter(self._known))]


_memories: WeakKeyDictionary[Engine, _Memory] = WeakKeyDictionary()


def digest_of(organization_id: str, user_id: str) -> str:
    return hashlib.sha256(f"{organization_id}\0{user_id}".encode()).hexdigest()


def hide(session: ReadSession, entries: Iterable[Named]) -> None:
    """Take the user out of the calls of those whose calls are counted without them. What was
    restricted elsewhere is known within a second."""
    known: dict[str, frozenset[str]] = {}
    for entry in entries:
        if entry.user_id is None:
            continue
        organization_id = entry.organization_id
        if organization_id not in known:
            known[organization_id] = _digests(session, organization_id)
        digests = known[organization_id]
        if digests and digest_of(organization_id, entry.user_id) in digests:
            entry.user_id = None


def _digests(session: ReadSession, organization_id: str) -> frozenset[str]:
    memory = _memories.setdefault(session.connection.engine, _Memory())
    found = memory.get(organization_id)
    if found is None:
        read_at = time.monotonic()
        query = select(_ROW.digest).where(_ROW.organization_id == organization_id)
        found = frozenset(session.execute(query).scalars())
        memory.put(organization_id, read_at, found)
    return found


def restrict(
    session: WriteSession, organization_id: str, user_ids: Sequence[str], kind: str, now_us: int
) -> None:
    """From now on (within a second) calls of these users are counted without them."""
    rows = [
        {
            "organization_id": organization_id,
            "digest": digest_of(organization_id, user_id),
            "kind": kind,
            "created_at": now_us,
        }
        for user_id in user_ids
    ]
    lift(session, organization_id, user_ids)
    session.execute(
        insert_ignore(session.kind, restricted_users, ["organization_id", "digest"]), rows
    )


def lift(session: WriteSession, organization_id: str, user_ids: Sequence[str]) -> int:
    """Count their calls under their ids again; how many of them were restricted."""
    digests = [digest_of(organization_id, user_id) for user_id in user_ids]
    gone = session.execute(
        delete(restricted_users).where(
            _ROW.organization_id == organization_id, _ROW.digest.in_(digests)
        )
    )
    return int(gone.rowcount)


def kinds_of(session: ReadSession, organization_id: str, user_ids: Sequence[str]) -> dict[str, str]:
    """Which of these users are restricted, and why."""
    digests = {digest_of(organization_id, user_id): user_id for user_id in user_ids}
    query = select(_ROW.digest, _ROW.kind).where(
        _ROW.organization_id == organization_id, _ROW.digest.in_(list(digests))
    )
    return {digests[row.digest]: row.kind for row in session.execute(query)}
