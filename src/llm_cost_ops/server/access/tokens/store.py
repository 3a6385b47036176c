"""Queries on signing keys, families of tokens and refresh tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.principal import OWN_PROGRAM
from llm_cost_ops.server.access.tokens.tables import (
    authorization_codes,
    oauth_clients,
    refresh_tokens,
    signing_keys,
    token_families,
)
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import accounts

_KEY = signing_keys.c
_FAMILY = token_families.c
_TOKEN = refresh_tokens.c
_CODE = authorization_codes.c
_CLIENT = oauth_clients.c


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A signing key as it is stored. Times in microseconds since 1970 UTC."""

    kid: str
    algorithm: str
    fingerprint: str
    secret: str | None
    public_key: str | None
    created_at: int
    accepted_until: int | None


@dataclass(frozen=True, slots=True)
class Family:
    """What was granted to whom. `scopes` None: whatever the roles of the user give."""

    id: str
    organization_id: str
    account_id: str | None
    user_id: str | None
    client_id: str | None
    scopes: frozenset[str] | None
    token_version: int
    created_at: int
    expires_at: int
    revoked_at: int | None = None
    revoked_for: str | None = None


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token as it is stored."""

    digest: str
    family_id: str
    created_at: int
    expires_at: int
    used_at: int | None = None
    used_from: str | None = None
    successor: str | None = None


# lint: allow tenant-scope: signing keys belong to the installation
def accepted_keys(session: ReadSession, now_us: int) -> list[KeyRow]:
    """The keys whose tokens are accepted, the newest first."""
    statement = (
        select(signing_keys)
        .where(or_(_KEY.accepted_until.is_(None), _KEY.accepted_until > now_us))
        .order_by(_KEY.created_at.desc(), _KEY.kid)
    )
    return [KeyRow(**row) for row in session.execute(statement).mappings()]


# lint: allow tenant-scope: signing keys belong to the installation
def close_keys(session: WriteSession, until_us: int, *, every: bool = False) -> None:
    """Let the open keys sign no more and be accepted until then; with `every` also those that are
    being drained already."""
    statement = update(signing_keys).values(accepted_until=until_us)
    narrow = _KEY.accepted_until.is_(None)
    wide = or_(narrow, _KEY.accepted_until > until_us)
    session.execute(statement.where(wide if every else narrow))


def insert_signing_key(session: WriteSession, row: KeyRow) -> None:
    session.execute(insert(signing_keys), asdict(row))


def insert_family(session: WriteSession, family: Family) -> None:
    scopes = None if family.scopes is None else dumps(sorted(family.scopes))
    session.execute(insert(token_families), {**asdict(family), "scopes": scopes})


# lint: allow tenant-scope: the token that names the family is the credential
def get_family(session: ReadSession, family_id: str) -> Family | None:
    row = session.execute(select(token_families).where(_FAMILY.id == family_id)).mappings().first()
    return None if row is None else _family(row)


# lint: allow tenant-scope: the tokens of a person, in whichever organization
def families_of_account(
    session: ReadSession, account_id: str, now_us: int
) -> list[tuple[Family, str | None, int]]:
    """The families of an account that are in force, the newest first: each with the name of the
    program whose it is, if it was registered, and when it was last renewed."""
    renewed = (
        select(func.max(_TOKEN.created_at)).where(_TOKEN.family_id == _FAMILY.id).scalar_subquery()
    )
    statement = (
        select(token_families, _CLIENT.name, renewed.label("renewed_at"))
        .join(
            accounts,
            and_(
                accounts.c.id == _FAMILY.account_id,
                accounts.c.token_version == _FAMILY.token_version,
            ),
        )
        .outerjoin(oauth_clients, _CLIENT.id == _FAMILY.client_id)
        .where(
            _FAMILY.account_id == account_id,
            _FAMILY.revoked_at.is_(None),
            _FAMILY.expires_at > now_us,
        )
        .order_by(_FAMILY.id.desc())
    )
    found: list[tuple[Family, str | None, int]] = []
    for row in session.execute(statement).mappings():
        own = {each: row[each] for each in Family.__slots__}
        family = _family(own)
        found.append((family, row["name"], int(row["renewed_at"] or family.created_at)))
    return found


def _family(row: Mapping[Any, Any]) -> Family:
    scopes = row["scopes"]
    values: dict[str, Any] = {
        **row,
        "scopes": None if scopes is None else frozenset(loads(scopes)),
    }
    return Family(**values)


# lint: allow tenant-scope: the token that names the family is the credential
def end_family(session: WriteSession, family_id: str, now_us: int, reason: str) -> bool:
    """Revoke all tokens of a family. Whether it was this call that did."""
    done = session.execute(
        update(token_families)
        .where(_FAMILY.id == family_id, _FAMILY.revoked_at.is_(None))
        .values(revoked_at=now_us, revoked_for=reason)
    )
    return done.rowcount == 1


# lint: allow tenant-scope: the tokens of a person go on in another organization
def move_family(
    session: WriteSession, family_id: str, *, organization_id: str, user_id: str
) -> None:
    session.execute(
        update(token_families)
        .where(_FAMILY.id == family_id)
        .values(organization_id=organization_id, user_id=user_id)
    )


# lint: allow tenant-scope: a client belongs to one organization
def end_families_of_client(session: WriteSession, client_id: str, now_us: int) -> None:
    """Revoke all tokens of an OAuth client."""
    session.execute(
        update(token_families)
        .where(_FAMILY.client_id == client_id, _FAMILY.revoked_at.is_(None))
        .values(revoked_at=now_us, revoked_for="client removed")
    )


def end_own_families(session: WriteSession, organization_id: str, now_us: int) -> None:
    """Revoke the tokens of those who signed in to an organization as an account: at the API, or at
    our command line."""
    by_browser = and_(_FAMILY.client_id == OWN_PROGRAM, _FAMILY.account_id.is_not(None))
    _end_where(
        session,
        organization_id,
        or_(_FAMILY.client_id.is_(None), by_browser),
        and_(_CODE.client_id == OWN_PROGRAM, _CODE.account_id.is_not(None)),
        now_us,
        "passwords off",
    )


def end_confined_families(session: WriteSession, organization_id: str, now_us: int) -> None:
    """Revoke the tokens that stand for a user without an account: those of programs of people whom
    a provider of the organization vouched for, whichever of them it was."""
    _end_where(
        session,
        organization_id,
        and_(_FAMILY.account_id.is_(None), _FAMILY.user_id.is_not(None)),
        _CODE.account_id.is_(None),
        now_us,
        "provider changed",
    )


def _end_where(
    session: WriteSession,
    organization_id: str,
    families: ColumnElement[bool],
    codes: ColumnElement[bool],
    now_us: int,
    reason: str,
) -> None:
    """Revoke families, and the codes that would give more of them."""
    session.execute(
        update(token_families)
        .where(_FAMILY.organization_id == organization_id, _FAMILY.revoked_at.is_(None), families)
        .values(revoked_at=now_us, revoked_for=reason)
    )
    session.execute(
        update(authorization_codes)
        .where(_CODE.organization_id == organization_id, _CODE.used_at.is_(None), codes)
        .values(used_at=now_us)
    )


# lint: allow tenant-scope: accounts belong to no organization
def token_version(session: ReadSession, account_id: str) -> int | None:
    """The version that tokens of an account must carry; None when it is disabled or gone."""
    statement = select(accounts.c.token_version).where(
        accounts.c.id == account_id, accounts.c.disabled_at.is_(None)
    )
    return session.scalar(statement)


def insert_refresh(session: WriteSession, row: RefreshRow) -> None:
    session.execute(insert(refresh_tokens), asdict(row))


# lint: allow tenant-scope: the digest is the credential
def find_refresh(session: ReadSession, digest: str) -> RefreshRow | None:
    row = session.execute(select(refresh_tokens).where(_TOKEN.digest == digest)).mappings().first()
    return None if row is None else RefreshRow(**row)


# lint: allow tenant-scope: the digest is the credential
def use_refresh(
    session: WriteSession, digest: str, *, now_us: int, used_from: str, successor: str
) -> bool:
    """Whether the token was unused and is used now; of several at once, one succeeds."""
    done = session.execute(
        update(refresh_tokens)
        .where(_TOKEN.digest == digest, _TOKEN.used_at.is_(None))
        .values(used_at=now_us, used_from=used_from, successor=successor)
    )
    return done.rowcount == 1


# lint: allow tenant-scope: what has ended is nobody's any more
def remove_ended(session: WriteSession, before_us: int, limit: int) -> int:
    """Delete families that ended before then, `limit` of them at most, with their refresh tokens.
    Returns how many."""
    statement = select(_FAMILY.id).where(_FAMILY.expires_at < before_us).limit(limit)
    ids = list(session.execute(statement).scalars())
    if ids:
        session.execute(delete(refresh_tokens).where(_TOKEN.family_id.in_(ids)))
        session.execute(delete(token_families).where(_FAMILY.id.in_(ids)))
    return len(ids)
