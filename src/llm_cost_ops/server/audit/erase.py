"""Take a person out of the audit log: a pseudonym stands where the name stood."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, and_, cast, or_, select, update

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import WriteSession

ERASE = "audit.erase"
PERSONS = ("user", "account", "member", "invitation", "team_member")
"""Types of resources that are, or tell of, a person."""
_ROW = audit_log.c


def new_pseudonym() -> str:
    return f"erased-{secrets.token_hex(8)}"


def erase(
    session: WriteSession,
    actor: Actor,
    *,
    user_ids: Sequence[str],
    emails: Sequence[str] = (),
    pseudonym: str | None = None,
) -> tuple[str, int]:
    """Erase somebody as the actor and as the resource; the pseudonym, and how many entries.

    Entries that quote one of the names in what was changed lose all that was changed.
    """
    name = pseudonym or new_pseudonym()
    names = [*user_ids, *emails]
    of_persons = and_(_ROW.resource_type.in_(PERSONS), _ROW.resource_id.in_(names))
    quoting = [
        cast(column, Text).contains(dumps(text), autoescape=True)
        for text in names
        for column in (_ROW.before, _ROW.after)
    ]
    count = 0
    for which, values in (
        (_ROW.actor_id.in_(names), {"actor_id": name}),
        (or_(of_persons, *quoting), {"resource_id": name, "before": None, "after": None}),
    ):
        count += _replace(session, actor.organization_id, which, values)
    actor.record(session, ERASE, "audit", name, None, {"pseudonym": name, "entries": count})
    return name, count


def _replace(
    session: WriteSession, organization_id: str, which: Any, values: dict[str, Any]
) -> int:
    mine = (_ROW.organization_id == organization_id, which)
    ids = session.execute(select(_ROW.id).where(*mine)).scalars().all()
    for entry_id in ids:
        session.execute(
            update(audit_log)
            .where(_ROW.organization_id == organization_id, _ROW.id == entry_id)
            .values(**values)
        )
    return len(ids)
