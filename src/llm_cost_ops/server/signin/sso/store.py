"""Queries on identity providers, on whom they know, and on the policy of organizations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity.tables import organizations
from llm_cost_ops.server.signin.sso.providers import Provider
from llm_cost_ops.server.signin.tables import (
    external_identities,
    identity_providers,
    sessions,
    sign_in_policies,
)

_ROW = identity_providers.c
_KNOWN = external_identities.c


class ProviderExists(DomainError):
    """The organization has a provider of this name."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a provider knows by a subject: a user of an organization, or an account."""

    organization_id: str | None
    user_id: str | None
    account_id: str | None


def list_providers(session: ReadSession, organization_id: str) -> list[Provider]:
    """The providers of the organization by name."""
    statement = (
        select(identity_providers)
        .where(_ROW.organization_id == organization_id)
        .order_by(_ROW.name, _ROW.id)
    )
    return [_provider(row) for row in session.execute(statement).mappings()]


def get_provider(session: ReadSession, organization_id: str, provider_id: str) -> Provider | None:
    """The organization's provider with this id."""
    statement = select(identity_providers).where(
        _ROW.organization_id == organization_id, _ROW.id == provider_id
    )
    row = session.execute(statement).mappings().first()
    return None if row is None else _provider(row)


# lint: allow tenant-scope: who signs in belongs to no organization yet; the id says which it is
def find_provider(session: ReadSession, provider_id: str) -> Provider | None:
    """The provider with this id, if it is enabled."""
    statement = select(identity_providers).where(_ROW.id == provider_id, _ROW.enabled == 1)
    row = session.execute(statement).mappings().first()
    return None if row is None else _provider(row)


# lint: allow tenant-scope: asked by who is not signed in, for the buttons of one organization
def providers_of_slug(session: ReadSession, slug: str) -> list[Provider]:
    """The enabled providers of the organization with this slug or id, by name."""
    statement = (
        select(identity_providers)
        .join(organizations, organizations.c.id == _ROW.organization_id)
        .where((organizations.c.slug == slug) | (organizations.c.id == slug), _ROW.enabled == 1)
        .order_by(_ROW.name, _ROW.id)
    )
    return [_provider(row) for row in session.execute(statement).mappings()]


def insert_provider(session: WriteSession, made: Provider) -> None:
    """Raises ProviderExists."""
    try:
        session.execute(insert(identity_providers), _columns(made))
    except IntegrityError:
        raise _exists(made) from None


def update_provider(session: WriteSession, organization_id: str, made: Provider) -> None:
    """Raises ProviderExists."""
    try:
        session.execute(
            update(identity_providers)
            .where(_ROW.organization_id == organization_id, _ROW.id == made.id)
            .values(**_columns(made))
        )
    except IntegrityError:
        raise _exists(made) from None


def _exists(made: Provider) -> ProviderExists:
    return ProviderExists(f"A provider named {made.name} exists already.", field="name")


def delete_provider(session: WriteSession, organization_id: str, provider_id: str) -> None:
    """The provider, and whom it knew."""
    session.execute(
        delete(external_identities).where(
            _KNOWN.organization_id == organization_id, _KNOWN.provider_id == provider_id
        )
    )
    session.execute(
        delete(identity_providers).where(
            _ROW.organization_id == organization_id, _ROW.id == provider_id
        )
    )


def end_sessions_of(
    session: WriteSession, organization_id: str, provider_id: str, *, now_us: int
) -> None:
    """End the sessions that the provider vouched for."""
    session.execute(
        update(sessions)
        .where(
            sessions.c.organization_id == organization_id,
            sessions.c.provider_id == provider_id,
            sessions.c.revoked_at.is_(None),
        )
        .values(revoked_at=now_us)
    )


def count_enabled(session: ReadSession, organization_id: str) -> int:
    statement = select(func.count()).where(
        _ROW.organization_id == organization_id, _ROW.enabled == 1
    )
    return int(session.scalar(statement) or 0)


# lint: allow tenant-scope: provider and subject are who signs in; the row says where
def find_known(session: ReadSession, provider_id: str, issuer: str, subject: str) -> Known | None:
    """Whom the provider knows by this subject."""
    row = (
        session.execute(
            select(_KNOWN.organization_id, _KNOWN.user_id, _KNOWN.account_id).where(
                _is(provider_id, issuer, subject)
            )
        )
        .mappings()
        .first()
    )
    return None if row is None else Known(**dict(row))


def keep_known(
    session: WriteSession, provider_id: str, issuer: str, subject: str, known: Known, now_us: int
) -> None:
    """Keep whom the provider means by this subject, unless it is kept already."""
    session.execute(
        insert_ignore(session.kind, external_identities, ["provider_id", "issuer", "subject"]),
        {
            "provider_id": provider_id,
            "issuer": issuer,
            "subject": subject,
            "organization_id": known.organization_id,
            "user_id": known.user_id,
            "account_id": known.account_id,
            "created_at": now_us,
            "last_used_at": now_us,
        },
    )


# lint: allow tenant-scope: provider and subject are who signs in
def touch_known(
    session: WriteSession, provider_id: str, issuer: str, subject: str, now_us: int
) -> None:
    session.execute(
        update(external_identities)
        .where(_is(provider_id, issuer, subject))
        .values(last_used_at=now_us)
    )


# lint: allow tenant-scope: provider and subject are who signed in
def forget_known(session: WriteSession, provider_id: str, issuer: str, subject: str) -> None:
    session.execute(delete(external_identities).where(_is(provider_id, issuer, subject)))


def _is(provider_id: str, issuer: str, subject: str) -> Any:
    return and_(
        _KNOWN.provider_id == provider_id, _KNOWN.issuer == issuer, _KNOWN.subject == subject
    )


def set_policy(
    session: WriteSession, organization_id: str, required: bool, by: str | None, now_us: int
) -> None:
    values = {"sso_required": int(required), "updated_at": now_us, "updated_by": by}
    session.execute(
        insert_ignore(session.kind, sign_in_policies, ["organization_id"]),
        {"organization_id": organization_id, **values},
    )
    session.execute(
        update(sign_in_policies)
        .where(sign_in_policies.c.organization_id == organization_id)
        .values(**values)
    )


def _provider(row: Mapping[Any, Any]) -> Provider:
    config = loads(row["config"])
    return Provider(
        id=row["id"],
        organization_id=row["organization_id"],
        kind=row["kind"],
        name=row["name"],
        issuer=row["issuer"],
        client_id=row["client_id"],
        secret=row["secret"],
        scopes=tuple(config["scopes"]),
        domains=tuple(config["domains"]),
        creates_users=config["creates_users"],
        role=config["role"],
        role_claim=config["role_claim"],
        role_mapping=config["role_mapping"],
        sso_url=config["sso_url"],
        certificates=tuple(config["certificates"]),
        enabled=bool(row["enabled"]),
        created_at=int(row["created_at"]),
        created_by=row["created_by"],
        updated_at=None if row["updated_at"] is None else int(row["updated_at"]),
        version=int(row["version"]),
    )


def _columns(made: Provider) -> dict[str, Any]:
    return {
        "id": made.id,
        "organization_id": made.organization_id,
        "kind": made.kind,
        "name": made.name,
        "issuer": made.issuer,
        "client_id": made.client_id,
        "secret": made.secret,
        "config": dumps(made.config),
        "enabled": int(made.enabled),
        "created_at": made.created_at,
        "created_by": made.created_by,
        "updated_at": made.updated_at,
        "version": made.version,
    }
