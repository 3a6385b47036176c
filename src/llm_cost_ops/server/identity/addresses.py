"""Another e-mail address for an account, which is the person's own: no organization changes it."""

from __future__ import annotations

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import accounts, users

_ACCOUNT = accounts.c
_USER = users.c


class AddressTaken(DomainError):
    """Somebody else has this address, here or in an organization of the account."""

    code = "CONFLICT"


class AddressManaged(DomainError):
    """An identity provider of one of the organizations says what the address is."""

    code = "CONFLICT"


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def is_managed(session: ReadSession, account_id: str) -> bool:
    """Whether an identity provider knows a user of this account by an id of its own."""
    statement = select(_USER.id).where(
        _USER.account_id == account_id, _USER.external_id.is_not(None)
    )
    return session.execute(statement.limit(1)).first() is not None


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def is_taken(session: ReadSession, account_id: str, email: str) -> bool:
    """Whether another account, or another user of its organizations, has this address."""
    other = select(_ACCOUNT.id).where(_ACCOUNT.email == email, _ACCOUNT.id != account_id)
    own = select(_USER.organization_id).where(_USER.account_id == account_id)
    beside = select(_USER.id).where(
        and_(
            _USER.email == email,
            _USER.organization_id.in_(own),
            or_(_USER.account_id.is_(None), _USER.account_id != account_id),
        )
    )
    return any(session.execute(each.limit(1)).first() for each in (other, beside))


# lint: allow tenant-scope: an account belongs to a person, who may be in several organizations
def change_address(
    session: WriteSession, account_id: str, old: str, email: str, *, version: int, now_us: int
) -> None:
    """Give the account the address that was proven, and its users with it. Raises AddressTaken,
    AddressManaged; also when the account has no longer the `old` one, or was signed out everywhere
    since it had this `version` of tokens."""
    if is_managed(session, account_id):
        raise managed()
    if is_taken(session, account_id, email):
        raise _taken()
    try:
        done = session.execute(
            update(accounts)
            .where(
                _ACCOUNT.id == account_id,
                _ACCOUNT.email == old,
                _ACCOUNT.token_version == version,
            )
            .values(email=email, email_verified_at=now_us, updated_at=now_us)
        )
        if done.rowcount != 1:
            raise _taken()
        session.execute(
            update(users)
            .where(_USER.account_id == account_id)
            .values(email=email, version=func.coalesce(_USER.version, 0) + 1, updated_at=now_us)
        )
    except IntegrityError:  # somebody was faster
        raise _taken() from None


def managed() -> AddressManaged:
    return AddressManaged("An identity provider manages this address: change it there.")


def _taken() -> AddressTaken:
    return AddressTaken("This address cannot be used.", field="email")
