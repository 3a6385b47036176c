"""Take a person out of an audit log whose chain stays whole.

The values go with their salt; what was committed to is kept, which nobody can try names against any
more. In their place stands a pseudonym, which an entry of the log announces: an erasure that nobody
announced is an edit.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, or_, select, update

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.chain import what_commitment, who_commitment
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import WriteSession

ERASE = "audit.erase"
PAGE = 500
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

    `user_ids` are what he is called in the log (user and account), `emails` his addresses. Entries
    that quote one of them in what was changed lose all that was changed.
    """
    name = pseudonym or new_pseudonym()
    acted = or_(_ROW.user_id.in_(user_ids), _ROW.user_email.in_(emails))
    names = [*user_ids, *emails]
    done_to = or_(
        and_(_ROW.resource_type.in_(PERSONS), _ROW.resource_id.in_(names)),
        *(
            cast(column, Text).contains(dumps(text), autoescape=True)
            for text in names
            for column in (_ROW.before, _ROW.after)
        ),
    )
    count = _who(session, actor.organization_id, acted, name)
    count += _what(session, actor.organization_id, done_to, name)
    # The announcement itself names nobody.
    actor.record(session, ERASE, "audit", name, None, {"pseudonym": name, "entries": count})
    return name, count


def _who(session: WriteSession, organization_id: str, which: ColumnElement[bool], name: str) -> int:
    def erased(row: Any) -> dict[str, Any]:
        return {
            "user_id": name,
            "user_email": None,
            "ip": None,
            "who_salt": None,
            "who_commitment": who_commitment(row),
        }

    return _replace(session, organization_id, and_(which, _ROW.who_salt.is_not(None)), erased)


def _what(
    session: WriteSession, organization_id: str, which: ColumnElement[bool], name: str
) -> int:
    def erased(row: Any) -> dict[str, Any]:
        return {
            "resource_id": name,
            "before": None,
            "after": None,
            "what_salt": None,
            "what_commitment": what_commitment(row),
        }

    return _replace(session, organization_id, and_(which, _ROW.what_salt.is_not(None)), erased)


def _replace(
    session: WriteSession, organization_id: str, which: ColumnElement[bool], erased: Any
) -> int:
    count = 0
    query = select(audit_log).where(_ROW.organization_id == organization_id, which).limit(PAGE)
    while rows := session.execute(query).mappings().all():
        for row in rows:
            session.execute(
                update(audit_log)
                .where(_ROW.organization_id == organization_id, _ROW.id == row["id"])
                .values(**erased(row))
            )
        count += len(rows)
    return count
