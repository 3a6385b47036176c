"""API credentials of providers, kept sealed for an organization and never shown.

Who calls a provider on behalf of the organization opens one with `secret_of`. The log tells of the
credential and never of its secret.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.providers.names import provider_id as built_in
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.identity.fields import clean_name
from llm_cost_ops.server.identity.providers import registered_providers
from llm_cost_ops.server.identity.tables import provider_credentials

PURPOSE = "provider credentials"
MAX_SECRET = 16_384
SHOWN_FROM = 16
"""Characters of a secret of which the last four may be shown."""
_ROW = provider_credentials.c
_COLUMNS = (
    _ROW.id, _ROW.provider, _ROW.name, _ROW.last_four, _ROW.created_by, _ROW.created_at,
    _ROW.rotated_at,
)  # fmt: skip


class CredentialError(DomainError):
    """A credential that cannot be kept."""


class CredentialExists(DomainError):
    """The organization has one of this name for the provider."""

    code = "CONFLICT"


class CredentialUnknown(DomainError):
    """The organization has no such credential."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential without its secret. Times in microseconds since 1970 UTC."""

    id: str
    provider: str
    name: str
    last_four: str
    created_by: str | None
    created_at: int
    rotated_at: int | None


def list_credentials(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
) -> list[Credential]:
    """Credentials by id, which is the order in which they were made."""
    query = select(*_COLUMNS).where(_ROW.organization_id == organization_id)
    if after is not None:
        query = query.where(_ROW.id > after)
    rows = session.execute(query.order_by(_ROW.id).limit(limit).offset(offset)).mappings()
    return [Credential(**row) for row in rows]


def put_credential(
    session: WriteSession, actor: Actor, vault: Vault, *, provider: str, name: str, secret: str
) -> Credential:
    """Keep a credential. Raises CredentialError naming the field, CredentialExists, PersonError for
    a name, NoSecretKey where production has no key to seal with."""
    known = built_in(provider) or provider
    if known != built_in(provider) and known not in registered_providers(
        session, actor.organization_id
    ):
        raise CredentialError("is neither built in nor registered", field="provider")
    made = Credential(
        single_id("prc", actor.now_us // 1_000, secrets.randbits(80)),
        known,
        clean_name(name),
        _last_four(_checked(secret)),
        actor.actor_id,
        actor.now_us,
        None,
    )
    values = {field: getattr(made, field) for field in Credential.__slots__}
    values |= {"organization_id": actor.organization_id, "sealed": vault.seal(secret, made.id)}
    try:
        session.execute(insert(provider_credentials), values)
    except IntegrityError:
        raise CredentialExists(
            f"There is a credential {made.name!r} of {made.provider}: rotate that one.",
            field="name",
        ) from None
    actor.record(session, "provider_credential.created", _TYPE, made.id, None, _told(made))
    return made


def rotate_credential(
    session: WriteSession, actor: Actor, vault: Vault, credential_id: str, secret: str
) -> Credential:
    """Put another secret in the place of the one that is kept. Raises CredentialUnknown,
    CredentialError, NoSecretKey."""
    before = _known(session, actor.organization_id, credential_id)
    last_four = _last_four(_checked(secret))
    made = replace(before, last_four=last_four, rotated_at=actor.now_us)
    session.execute(
        update(provider_credentials)
        .where(_ROW.organization_id == actor.organization_id, _ROW.id == credential_id)
        .values(
            sealed=vault.seal(secret, credential_id),
            last_four=made.last_four,
            rotated_at=made.rotated_at,
        )
    )
    told = (_told(before), _told(made))
    actor.record(session, "provider_credential.rotated", _TYPE, credential_id, *told)
    return made


def remove_credential(session: WriteSession, actor: Actor, credential_id: str) -> None:
    """Forget a credential; the provider has to be told by whoever made it. Raises
    CredentialUnknown."""
    before = _known(session, actor.organization_id, credential_id)
    session.execute(
        delete(provider_credentials).where(
            _ROW.organization_id == actor.organization_id, _ROW.id == credential_id
        )
    )
    actor.record(session, "provider_credential.deleted", _TYPE, credential_id, _told(before), None)


def secret_of(
    session: ReadSession, organization_id: str, vault: Vault, provider: str, name: str
) -> str | None:
    """The secret, for who calls the provider; None without one. Raises SecretUnreadable."""
    row = session.execute(
        select(_ROW.id, _ROW.sealed).where(
            _ROW.organization_id == organization_id, _ROW.provider == provider, _ROW.name == name
        )
    ).first()
    return None if row is None else vault.open(row.sealed, row.id)


_TYPE = "provider_credential"


def _known(session: WriteSession, organization_id: str, credential_id: str) -> Credential:
    query: Any = select(*_COLUMNS).where(
        _ROW.organization_id == organization_id, _ROW.id == credential_id
    )
    row = session.execute(lock_rows(query)).mappings().first()
    if row is None:
        raise CredentialUnknown("Credential not found")
    return Credential(**row)


def _checked(secret: str) -> str:
    if not secret.strip() or len(secret) > MAX_SECRET or "\0" in secret:
        raise CredentialError(f"must have 1 to {MAX_SECRET} characters", field="secret")
    return secret


def _last_four(secret: str) -> str:
    """So that people can tell which it is; of a short one nothing."""
    end = secret[-4:]
    return end if len(secret) >= SHOWN_FROM and end.isascii() and end.isalnum() else ""


def _told(found: Credential) -> dict[str, object]:
    return {"provider": found.provider, "name": found.name, "last_four": found.last_four}
