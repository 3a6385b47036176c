"""Queries on accounts as those who sign in, and on their sessions and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, insert, select, update

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.accounts import Membership
from llm_cost_ops.server.identity.tables import accounts, organizations, users
from llm_cost_ops.server.signin.tables import (
    identity_providers,
    known_devices,
    sessions,
    sign_in_policies,
)

_ACCOUNT = accounts.c
_SESSION = sessions.c
_USER = users.c
_DEVICE = known_devices.c
CONFINED = "idp_"
"""How ids of providers of organizations begin, and of no others."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in. Times in microseconds since 1970 UTC."""

    id: str
    email: str
    name: str | None
    password_hash: str | None
    disabled_at: int | None
    token_version: int
    email_verified_at: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """A session without its secret, with what it stands for. Times in microseconds. `provider_id`
    is the identity provider that vouched for the person, None after a password."""

    id: str
    account_id: str
    organization_id: str
    user_id: str
    created_at: int
    last_seen_at: int
    expires_at: int
    address: str | None
    agent: str | None
    provider_id: str | None = None

    @property
    def confined(self) -> bool:
        """Whether it is good in its organization alone: whom an organization lets in by its own
        provider has proven nothing to others, and nothing of the account."""
        return self.provider_id is not None and self.provider_id.startswith(CONFINED)


_OWN = [column for column in _SESSION if column.name in Session.__slots__]
_READ = [column for column in _ACCOUNT if column.name in Account.__slots__]


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def find_account(session: ReadSession, email: str) -> Account | None:
    """By the e-mail address in lower case."""
    row = session.execute(select(*_READ).where(_ACCOUNT.email == email)).mappings().first()
    return None if row is None else Account(**dict(row))


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def get_account(session: ReadSession, account_id: str) -> Account | None:
    row = session.execute(select(*_READ).where(_ACCOUNT.id == account_id)).mappings().first()
    return None if row is None else Account(**dict(row))


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def set_password(
    session: WriteSession, account_id: str, hashed: str, *, now_us: int, first: bool = False
) -> bool:
    """Whether it was set; if it is to be the `first` one, not where there is one."""
    only = [_ACCOUNT.password_hash.is_(None)] if first else []
    done = session.execute(
        update(accounts)
        .where(_ACCOUNT.id == account_id, *only)
        .values(password_hash=hashed, password_changed_at=now_us, updated_at=now_us)
    )
    return done.rowcount == 1


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def set_hash(session: WriteSession, account_id: str, old: str, new: str) -> None:
    """The same password, hashed anew, unless it was changed meanwhile."""
    session.execute(
        update(accounts)
        .where(_ACCOUNT.id == account_id, _ACCOUNT.password_hash == old)
        .values(password_hash=new)
    )


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def set_verified(session: WriteSession, account_id: str, *, now_us: int) -> None:
    """The address was proven; the first proof stands."""
    session.execute(
        update(accounts)
        .where(_ACCOUNT.id == account_id, _ACCOUNT.email_verified_at.is_(None))
        .values(email_verified_at=now_us, updated_at=now_us)
    )


def insert_session(
    session: WriteSession, made: Session, digest: str, *, token_version: int
) -> None:
    values = {name: getattr(made, name) for name in Session.__slots__}
    session.execute(
        insert(sessions),
        {**values, "digest": digest, "token_version": token_version, "revoked_at": None},
    )


# lint: allow tenant-scope: the digest is the credential, the tenant is what it tells
def find_session(
    session: ReadSession, digest: str, *, now_us: int, idle_us: int
) -> Mapping[Any, Any] | None:
    """The session that is neither over nor idle nor revoked, of an enabled account and user: its
    columns, `organization_slug`, `email`, and whether the organization has `sso_required`."""
    statement = (
        select(
            *_OWN,
            organizations.c.slug.label("organization_slug"),
            _ACCOUNT.email,
            sign_in_policies.c.sso_required,
        )
        .join(
            accounts,
            and_(
                _ACCOUNT.id == _SESSION.account_id,
                _ACCOUNT.token_version == _SESSION.token_version,
                _ACCOUNT.disabled_at.is_(None),
            ),
        )
        .join(
            users,
            and_(
                _USER.organization_id == _SESSION.organization_id,
                _USER.id == _SESSION.user_id,
                _USER.account_id == _SESSION.account_id,
                _USER.disabled_at.is_(None),
            ),
        )
        .join(organizations, organizations.c.id == _SESSION.organization_id)
        .outerjoin(sign_in_policies, sign_in_policies.c.organization_id == _SESSION.organization_id)
        .where(
            _SESSION.digest == digest,
            _SESSION.revoked_at.is_(None),
            _SESSION.expires_at > now_us,
            _SESSION.last_seen_at > now_us - idle_us,
        )
    )
    return session.execute(statement).mappings().first()


def sso_required(session: ReadSession, organization_id: str) -> bool:
    """Whether an organization takes no passwords."""
    row = sign_in_policies.c
    statement = select(row.sso_required).where(row.organization_id == organization_id)
    return bool(session.scalar(statement))


# lint: allow tenant-scope: the id of a provider says which organization's it is
def still_vouches(session: ReadSession, provider_id: str | None) -> bool:
    """Whether a provider of an organization is still there and enabled; others always are."""
    if provider_id is None or not provider_id.startswith(CONFINED):
        return True
    row = identity_providers.c
    statement = select(row.id).where(row.id == provider_id, row.enabled == 1)
    return session.execute(statement).first() is not None


# lint: allow tenant-scope: only the session that was just used is named
def touch_session(session: WriteSession, session_id: str, now_us: int) -> None:
    session.execute(update(sessions).where(_SESSION.id == session_id).values(last_seen_at=now_us))


# lint: allow tenant-scope: the sessions of a person, in whichever organization
def live_sessions(
    session: ReadSession, account_id: str, *, now_us: int, idle_us: int
) -> list[Session]:
    """The newest first."""
    statement = (
        select(*_OWN)
        .join(
            accounts,
            and_(
                _ACCOUNT.id == _SESSION.account_id,
                _ACCOUNT.token_version == _SESSION.token_version,
            ),
        )
        .where(
            _SESSION.account_id == account_id,
            _SESSION.revoked_at.is_(None),
            _SESSION.expires_at > now_us,
            _SESSION.last_seen_at > now_us - idle_us,
        )
        .order_by(_SESSION.id.desc())
    )
    return [Session(**dict(row)) for row in session.execute(statement).mappings()]


# lint: allow tenant-scope: the session of a person, in whichever organization
def revoke_session(session: WriteSession, account_id: str, session_id: str, *, now_us: int) -> bool:
    """Whether it was that account's and went on until now."""
    ended = session.execute(
        update(sessions)
        .where(
            _SESSION.id == session_id,
            _SESSION.account_id == account_id,
            _SESSION.revoked_at.is_(None),
        )
        .values(revoked_at=now_us)
    )
    return ended.rowcount == 1


# lint: allow tenant-scope: the session of a person goes on in another organization
def move_session(session: WriteSession, session_id: str, to: Membership) -> None:
    session.execute(
        update(sessions)
        .where(_SESSION.id == session_id)
        .values(organization_id=to.organization_id, user_id=to.user_id)
    )


# lint: allow tenant-scope: what has ended is nobody's any more
def remove_ended(session: WriteSession, before_us: int) -> int:
    """Delete sessions and devices that ended before this instant. Returns how many."""
    gone = session.execute(delete(sessions).where(_SESSION.expires_at < before_us)).rowcount
    gone += session.execute(delete(known_devices).where(_DEVICE.expires_at < before_us)).rowcount
    return gone


# lint: allow tenant-scope: a device belongs to a person
def is_known_device(session: ReadSession, digest: str, account_id: str, now_us: int) -> bool:
    statement = select(_DEVICE.digest).where(
        _DEVICE.digest == digest, _DEVICE.account_id == account_id, _DEVICE.expires_at > now_us
    )
    return session.execute(statement).first() is not None


def insert_device(
    session: WriteSession, digest: str, account_id: str, *, now_us: int, lives_us: int
) -> None:
    session.execute(
        insert(known_devices),
        {
            "digest": digest,
            "account_id": account_id,
            "created_at": now_us,
            "expires_at": now_us + lives_us,
        },
    )


# lint: allow tenant-scope: devices belong to a person
def forget_devices(session: WriteSession, account_id: str) -> None:
    session.execute(delete(known_devices).where(_DEVICE.account_id == account_id))
