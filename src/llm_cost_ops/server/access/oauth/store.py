"""Queries on OAuth clients and authorization codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.access.tokens.tables import authorization_codes, oauth_clients
from llm_cost_ops.server.db.session import ReadSession, WriteSession

_CLIENT = oauth_clients.c
_CODE = authorization_codes.c


@dataclass(frozen=True, slots=True)
class Client:
    """A program that may ask for tokens. One without `secret_digest` is public."""

    id: str
    organization_id: str
    name: str
    secret_digest: str | None
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: frozenset[str]
    created_by: str | None
    created_at: int
    removed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """What was consented to. `challenge` is the S256 of the client's verifier."""

    digest: str
    organization_id: str
    client_id: str
    account_id: str | None
    user_id: str
    redirect_uri: str
    challenge: str
    scopes: frozenset[str]
    created_at: int
    expires_at: int
    used_at: int | None = None
    family_id: str | None = None


def insert_client(session: WriteSession, client: Client) -> None:
    lists = {
        "redirect_uris": dumps(client.redirect_uris),
        "grant_types": dumps(client.grant_types),
        "scopes": dumps(sorted(client.scopes)),
    }
    session.execute(insert(oauth_clients), {**asdict(client), **lists})


# lint: allow tenant-scope: the id is public, the tenant is what it tells
def find_client(session: ReadSession, client_id: str) -> Client | None:
    """A client that was not removed."""
    statement = select(oauth_clients).where(_CLIENT.id == client_id, _CLIENT.removed_at.is_(None))
    row = session.execute(statement).mappings().first()
    return None if row is None else _client(row)


def get_client(session: ReadSession, organization_id: str, client_id: str) -> Client | None:
    """A client of the organization that was not removed."""
    found = find_client(session, client_id)
    return found if found is not None and found.organization_id == organization_id else None


def list_clients(session: ReadSession, organization_id: str) -> list[Client]:
    """The clients that were not removed, newest first."""
    statement = (
        select(oauth_clients)
        .where(_CLIENT.organization_id == organization_id, _CLIENT.removed_at.is_(None))
        .order_by(_CLIENT.id.desc())
    )
    return [_client(row) for row in session.execute(statement).mappings()]


def set_removed(session: WriteSession, organization_id: str, client_id: str, now_us: int) -> None:
    session.execute(
        update(oauth_clients)
        .where(_CLIENT.organization_id == organization_id, _CLIENT.id == client_id)
        .values(removed_at=now_us)
    )


def set_secret(session: WriteSession, organization_id: str, client_id: str, digest: str) -> None:
    session.execute(
        update(oauth_clients)
        .where(_CLIENT.organization_id == organization_id, _CLIENT.id == client_id)
        .values(secret_digest=digest)
    )


def _client(row: Mapping[Any, Any]) -> Client:
    values: dict[str, Any] = {
        **row,
        "redirect_uris": tuple(loads(row["redirect_uris"])),
        "grant_types": tuple(loads(row["grant_types"])),
        "scopes": frozenset(loads(row["scopes"])),
    }
    return Client(**values)


def insert_code(session: WriteSession, code: Code) -> None:
    session.execute(
        insert(authorization_codes), {**asdict(code), "scopes": dumps(sorted(code.scopes))}
    )


# lint: allow tenant-scope: the code is the credential
def find_code(session: ReadSession, digest: str) -> Code | None:
    statement = select(authorization_codes).where(_CODE.digest == digest)
    row = session.execute(statement).mappings().first()
    if row is None:
        return None
    values: dict[str, Any] = {**row, "scopes": frozenset(loads(row["scopes"]))}
    return Code(**values)


# lint: allow tenant-scope: the code is the credential
def use_code(session: WriteSession, digest: str, now_us: int) -> bool:
    """Whether the code was unused and is used now; of several at once, one succeeds."""
    done = session.execute(
        update(authorization_codes)
        .where(_CODE.digest == digest, _CODE.used_at.is_(None))
        .values(used_at=now_us)
    )
    return done.rowcount == 1


# lint: allow tenant-scope: the code is the credential
def note_family(session: WriteSession, digest: str, family_id: str) -> None:
    """Keep which tokens a code gave, to end them when it comes again."""
    session.execute(
        update(authorization_codes).where(_CODE.digest == digest).values(family_id=family_id)
    )


# lint: allow tenant-scope: what has ended is nobody's any more
def remove_ended_codes(session: WriteSession, before_us: int) -> None:
    session.execute(delete(authorization_codes).where(_CODE.expires_at < before_us))
