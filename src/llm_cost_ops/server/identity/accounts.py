"""Accounts: people who can sign in, each a user of one or more organizations.

An account belongs to its e-mail address, not to an organization: what an administrator changes of a
user never changes the account that others rely on. Passwords are the matter of signing in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import column, select, table, update

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.fields import clean_email
from llm_cost_ops.server.identity.tables import accounts, organizations, users

_ROW = accounts.c
_STANDING = [
    table(name, *map(column, ("organization_id", "user_id", "revoked_at")))
    for name in ("sessions", "token_families")
]
"""What stands for a user of one organization; the rooms of both are above this one."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in, without the password. Times in microseconds since 1970 UTC."""

    id: str
    email: str
    name: str | None
    has_password: bool
    email_verified_at: int | None
    disabled_at: int | None
    token_version: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Membership:
    """An organization in which an account is a user who is not disabled."""

    organization_id: str
    name: str
    slug: str
    user_id: str


# lint: allow tenant-scope: an account belongs to no organization
def find_account(session: ReadSession, email: str) -> Account | None:
    """The account of an e-mail address in any spelling. Raises PersonError."""
    return _found(session, _ROW.email == clean_email(email))


# lint: allow tenant-scope: an account belongs to no organization
def get_account(session: ReadSession, account_id: str) -> Account | None:
    """The account with this id."""
    return _found(session, _ROW.id == account_id)


def _found(session: ReadSession, condition: Any) -> Account | None:
    row = session.execute(select(accounts).where(condition)).mappings().first()
    return None if row is None else _account(row)


def ensure_account(
    session: WriteSession, email: str, *, name: str | None = None, now_us: int
) -> Account:
    """The account of an e-mail address, made without a password where there is none. Raises
    PersonError."""
    email = clean_email(email)
    row = {
        "id": single_id("acc", now_us // 1_000, secrets.randbits(80)),
        "email": email,
        "name": name,
        "created_at": now_us,
        "token_version": 0,
    }
    session.execute(insert_ignore(session.kind, accounts, ["email"]), row)
    made = _found(session, _ROW.email == email)
    if made is None:
        raise AssertionError("an account that was just made is there")
    return made


# lint: allow tenant-scope: an account belongs to no organization
def end_sessions(session: WriteSession, account_id: str, *, now_us: int) -> None:
    """Refuse every session and token that the account has, from the next look at it on."""
    session.execute(
        update(accounts)
        .where(_ROW.id == account_id)
        .values(token_version=_ROW.token_version + 1, updated_at=now_us)
    )


def end_sessions_in(
    session: WriteSession, account_id: str, organization_id: str, user_id: str, *, now_us: int
) -> None:
    """Refuse every session and token by which the account is this user of this organization. What
    it does in other organizations goes on: their people are not this one's to sign out."""
    for each in _STANDING:
        session.execute(
            update(each)
            .where(
                each.c.organization_id == organization_id,
                each.c.user_id == user_id,
                each.c.revoked_at.is_(None),
            )
            .values(revoked_at=now_us)
        )
    members = memberships(session, account_id)
    if all(member.organization_id == organization_id for member in members):
        end_sessions(session, account_id, now_us=now_us)


# lint: allow tenant-scope: asked by the account itself, for where it belongs
def memberships(session: ReadSession, account_id: str) -> list[Membership]:
    """The organizations in which the account is a user who is not disabled, by name."""
    statement = (
        select(
            organizations.c.id.label("organization_id"),
            organizations.c.name,
            organizations.c.slug,
            users.c.id.label("user_id"),
        )
        .join(users, users.c.organization_id == organizations.c.id)
        .where(
            users.c.account_id == account_id,
            users.c.disabled_at.is_(None),
            users.c.kind == "person",
        )
        .order_by(organizations.c.name, organizations.c.id)
    )
    return [Membership(**row) for row in session.execute(statement).mappings()]


def _account(row: Mapping[Any, Any]) -> Account:
    return Account(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        has_password=row["password_hash"] is not None,
        email_verified_at=_optional(row["email_verified_at"]),
        disabled_at=_optional(row["disabled_at"]),
        token_version=int(row["token_version"]),
        created_at=int(row["created_at"]),
    )


def _optional(value: Any) -> int | None:
    return None if value is None else int(value)
