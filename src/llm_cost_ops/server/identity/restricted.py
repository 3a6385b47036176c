"""Users whose calls are counted without them: processing was restricted, objected to, or they were
erased. What is kept of each is a digest, so that the list itself names nobody.

Each process remembers the list of an organization and proves it before it commits calls
(`db.remembered`): whoever changes the list holds the organization's budgets alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, Protocol

from sqlalchemy import delete, select

from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.remembered import Remembered
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import restricted_users

RESTRICTED, OBJECTED, ERASED = "restricted", "objected", "erased"
_ROW = restricted_users.c


class Named(Protocol):
    """A call that may name its user."""

    organization_id: str
    user_id: str | None


Judged = dict[str, frozenset[str]]
"""The digests by which the calls of some organizations were judged."""


def digest_of(organization_id: str, user_id: str) -> str:
    return hashlib.sha256(f"{organization_id}\0{user_id}".encode()).hexdigest()


def _read(session: ReadSession, organization_id: str) -> frozenset[str]:
    query = select(_ROW.digest).where(_ROW.organization_id == organization_id)
    return frozenset(session.execute(query).scalars())


LISTED = Remembered(_read)


def hide(session: ReadSession, entries: Iterable[Named], judged: Judged) -> list[tuple[Named, str]]:
    """Take the user out of the calls of those whose calls are counted without them, and note in
    `judged` what `LISTED.confirm` has to find unchanged before the commit; the users that were
    taken out, for who has to judge again."""
    hidden: list[tuple[Named, str]] = []
    for entry in entries:
        if entry.user_id is None:
            continue
        organization_id = entry.organization_id
        digests = judged.get(organization_id)
        if digests is None:
            digests = judged[organization_id] = LISTED.get(session, organization_id)
        if digests and digest_of(organization_id, entry.user_id) in digests:
            hidden.append((entry, entry.user_id))
            entry.user_id = None
    return hidden


def forget_erased(
    session: ReadSession, organization_id: str, rows: Iterable[MutableMapping[str, Any]]
) -> None:
    """Take those who were erased out of rows of calls that come back."""
    query = select(_ROW.digest).where(_ROW.organization_id == organization_id, _ROW.kind == ERASED)
    erased = frozenset(session.execute(query).scalars())
    for row in rows if erased else ():
        user_id = row.get("user_id")
        if user_id is not None and digest_of(organization_id, user_id) in erased:
            row["user_id"] = None


def restrict(
    session: WriteSession, organization_id: str, user_ids: Sequence[str], kind: str, now_us: int
) -> None:
    """From now on calls of these users are counted without them. The caller holds the budgets of
    the organization alone, which tells those who record calls."""
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
    """Count their calls under their ids again; how many of them were restricted. The caller holds
    the budgets of the organization alone."""
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
