"""Custom providers: names that an organization registers beside the built-in ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.providers.names import provider_id as built_in
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import providers

MAX_PROVIDERS = 1000
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_ROW = providers.c


class ProviderError(DomainError):
    """A name that cannot be registered."""


class ProviderExists(DomainError):
    """The organization registered it already."""

    code = "CONFLICT"


class ProviderUnknown(DomainError):
    """The organization registered no such provider."""

    code = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Provider:
    """A registered provider. `created_at` in microseconds since 1970 UTC."""

    id: str
    name: str | None
    created_at: int


def register_provider(
    session: WriteSession,
    organization_id: str,
    provider_id: str,
    *,
    now_us: int,
    name: str | None = None,
    actor_id: str | None = None,
    request_id: str | None = None,
) -> Provider:
    """Register a provider. Raises ProviderError, ProviderExists."""
    if not _ID.fullmatch(provider_id):
        raise ProviderError(
            "must have 1 to 64 lower-case letters, digits and ._- and begin with one of the former",
            field="id",
        )
    if built_in(provider_id) is not None or provider_id == "custom":
        raise ProviderError("is a built-in provider or another name of one", field="id")
    if len(registered_providers(session, organization_id)) >= MAX_PROVIDERS:
        raise ProviderError(f"at most {MAX_PROVIDERS} providers can be registered", field="id")
    made = Provider(provider_id, name, now_us)
    try:
        session.execute(
            insert(providers),
            {
                "organization_id": organization_id,
                "id": made.id,
                "name": made.name,
                "created_at": made.created_at,
            },
        )
    except IntegrityError:
        raise ProviderExists(f"The provider {provider_id} is registered already.") from None
    _audit(session, organization_id, "provider.created", made, actor_id, request_id, now_us)
    return made


def remove_provider(
    session: WriteSession,
    organization_id: str,
    provider_id: str,
    *,
    now_us: int,
    actor_id: str | None = None,
    request_id: str | None = None,
) -> None:
    """Unregister; calls that were recorded under it keep its name. Raises ProviderUnknown."""
    own = (_ROW.organization_id == organization_id, _ROW.id == provider_id)
    row = session.execute(select(providers).where(*own)).mappings().first()
    if row is None:
        raise ProviderUnknown("Provider not found")
    session.execute(delete(providers).where(*own))
    gone = Provider(row["id"], row["name"], int(row["created_at"]))
    _audit(session, organization_id, "provider.deleted", gone, actor_id, request_id, now_us)


def list_providers(session: ReadSession, organization_id: str) -> list[Provider]:
    """All of the organization's providers by id."""
    rows = session.execute(
        select(providers).where(_ROW.organization_id == organization_id).order_by(_ROW.id)
    ).mappings()
    return [Provider(row["id"], row["name"], int(row["created_at"])) for row in rows]


def registered_providers(session: ReadSession, organization_id: str) -> frozenset[str]:
    """The ids of the organization's providers."""
    statement = select(_ROW.id).where(_ROW.organization_id == organization_id)
    return frozenset(session.execute(statement).scalars())


def _audit(
    session: WriteSession,
    organization_id: str,
    action: str,
    provider: Provider,
    actor_id: str | None,
    request_id: str | None,
    now_us: int,
) -> None:
    described = {"id": provider.id, "name": provider.name}
    created = action == "provider.created"
    audit.record(
        session,
        organization_id=organization_id,
        actor_id=actor_id,
        action=action,
        resource_type="provider",
        resource_id=provider.id,
        before=None if created else described,
        after=described if created else None,
        request_id=request_id,
        now_us=now_us,
    )
