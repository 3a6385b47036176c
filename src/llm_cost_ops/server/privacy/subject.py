"""Who a request is about."""

from __future__ import annotations

from sqlalchemy import or_, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.identity.tables import accounts, users
from llm_cost_ops.server.privacy.rewrite import Subject

MAX_NAME = 255


class SubjectUnknown(DomainError):
    """Nobody of the organization has this id or address."""

    code = "NOT_FOUND"


def subject_of(session: ReadSession, organization_id: str, named: str) -> Subject:
    """The person whom a user id or an e-mail address names, by all ids and addresses.

    Raises SubjectUnknown. An address that no user has may still stand in texts, so it is accepted.
    """
    name = named.strip()
    is_address = "@" in name
    if not 0 < len(name) <= MAX_NAME:
        raise SubjectUnknown("No user of the organization has this id or address")
    row = users.c
    found = session.execute(
        select(row.id, row.email, row.account_id).where(
            row.organization_id == organization_id, or_(row.id == name, row.email == name.lower())
        )
    ).all()
    if not found and not is_address:
        raise SubjectUnknown("No user of the organization has this id or address")
    user_ids = [name, *(one.id for one in found)]
    emails = [one.email for one in found if one.email]
    emails += [name.lower()] if is_address else []
    held = tuple(dict.fromkeys(one.account_id for one in found if one.account_id))
    if held:
        emails += session.execute(select(accounts.c.email).where(accounts.c.id.in_(held))).scalars()
    return Subject(
        organization_id, tuple(dict.fromkeys(user_ids)), tuple(dict.fromkeys(emails)), held
    )


def accounts_of_this_organization_alone(session: ReadSession, subject: Subject) -> tuple[str, ...]:
    """Those of the person's accounts by which nobody signs in to another organization."""
    shared = session.execute(
        select(users.c.account_id).where(
            users.c.account_id.in_(subject.account_ids),
            users.c.organization_id != subject.organization_id,
        )
    ).scalars()
    others = set(shared)
    return tuple(one for one in subject.account_ids if one not in others)
