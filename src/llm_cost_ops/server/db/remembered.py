"""What each process remembers of an organization and proves again before it commits.

Whoever changes such a thing also grows the version of the organization's budgets, which everybody
who records calls holds until the commit. `confirm` compares the two there, so that nothing is
committed that was judged by what is no longer so; as long as the version is the same it costs no
query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from llm_cost_ops.server.db.errors import SerializationRetry
from llm_cost_ops.server.db.session import ReadSession

T = TypeVar("T")
MAX_ORGANIZATIONS = 10_000
_UNKNOWN = -1


class ChangedMeanwhile(SerializationRetry):
    """What a transaction went by has changed while it was under way: run it again."""


class Remembered(Generic[T]):
    """Something of each organization, by a function that reads it."""

    def __init__(self, read: Callable[[ReadSession, str], T]) -> None:
        self._read = read
        self._known: WeakKeyDictionary[Engine, dict[str, tuple[int, T]]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, session: ReadSession, organization_id: str) -> T:
        """It, as this process knows it."""
        known = self._of(session).get(organization_id)
        if known is None:
            known = (_UNKNOWN, self._read(session, organization_id))
            self._put(session, organization_id, known)
        return known[1]

    def at(self, session: ReadSession, organization_id: str, version: int) -> T:
        """It, as it is at a version that the transaction keeps from changing."""
        known = self._of(session).get(organization_id)
        if known is None or known[0] != version:
            known = (version, self._read(session, organization_id))
            self._put(session, organization_id, known)
        return known[1]

    def confirm(
        self, session: ReadSession, used: Mapping[str, T], versions: Mapping[str, int]
    ) -> None:
        """Compare what was `used` with what is so at `versions`, which the transaction keeps from
        changing. Raises ChangedMeanwhile."""
        known = self._of(session)
        for organization_id, version in versions.items():
            if organization_id not in used:
                continue
            was = (version, used[organization_id])
            if known.get(organization_id) == was:
                continue
            now = (version, self._read(session, organization_id))
            self._put(session, organization_id, now)
            if now != was:
                raise ChangedMeanwhile

    def _of(self, session: ReadSession) -> dict[str, tuple[int, T]]:
        return self._known.setdefault(session.connection.engine, {})

    def _put(self, session: ReadSession, organization_id: str, known: tuple[int, T]) -> None:
        with self._lock:
            all_known = self._of(session)
            all_known[organization_id] = known
            while len(all_known) > MAX_ORGANIZATIONS:
                del all_known[next(iter(all_known))]
