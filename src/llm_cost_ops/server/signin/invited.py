"""Accept an invitation: who has an account joins, who has none gets one with a password."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.identity.accounts import find_account
from llm_cost_ops.server.identity.invitations import accept_invitation, look_at_invitation
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.signin import store
from llm_cost_ops.server.signin.desk import SignInDesk
from llm_cost_ops.server.signin.policy import check_password
from llm_cost_ops.server.signin.visitor import Visitor


@dataclass(frozen=True, slots=True)
class Invited:
    """What an invitation page shows."""

    email: str
    name: str | None
    role: str
    organization: str
    has_password: bool


def invited(desk: SignInDesk, secret: str) -> Invited:
    """What an open invitation says. Raises LinkRefused."""
    with read(desk.database) as session:
        found = look_at_invitation(session, secret, now_us=desk.clock.micros())
        organization = get_organization(session, found.organization_id)
        account = find_account(session, found.email)
    return Invited(
        email=found.email,
        name=found.name,
        role=found.role,
        organization=organization.name if organization else found.organization_id,
        has_password=account is not None and account.has_password,
    )


def accept(
    desk: SignInDesk, secret: str, name: str | None, password: str, visitor: Visitor
) -> None:
    """Become a user of the organization; an account without a password gets this one. Raises
    LinkRefused, PasswordRefused, UserExists."""
    found = invited(desk, secret)
    hashed: str | None = None
    if not found.has_password:
        names = (found.email.partition("@")[0], found.email, name or "", found.organization)
        check_password(password, names)
        hashed = desk.passwords.hash(password)

    def work(session: WriteSession) -> None:
        now_us = desk.clock.micros()
        user = accept_invitation(
            session, secret, now_us=now_us, name=name, request_id=visitor.request_id
        )
        account = store.get_account(session, user.account_id or "")
        if account is not None and hashed is not None and account.password_hash is None:
            store.set_password(session, account.id, hashed, now_us=now_us)

    write_retrying(desk.database, work)
