"""The turn of one organization: who holds it changes its prices, or what its calls cost, alone."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.identity.tables import organizations


def take_turn(session: WriteSession, organization_id: str, *, shared: bool = False) -> None:
    """Hold the organization's turn until the transaction ends; `shared` only keeps it from others
    who want it alone.

    Take it before the first row is written. SQLite has one writer, whose turn it always is.
    """
    if session.kind is DatabaseKind.SQLITE:
        return
    query = select(organizations.c.id).where(organizations.c.id == organization_id)
    session.execute(query.with_for_update(read=shared)).first()


def take_turns(session: WriteSession, alone: Iterable[str], shared: Iterable[str]) -> None:
    """Several turns, in one order for everybody."""
    whole = set(alone)
    for organization_id in sorted(whole | set(shared)):
        take_turn(session, organization_id, shared=organization_id not in whole)
