"""Make, change and remove the identity providers of an organization, and demand them.

A provider vouches for anybody in the organization, its administrators too. So nobody defines one
who may not do everything there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.access.powers import grantable, refuse_beyond
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.tokens.store import end_confined_families, end_own_families
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.identity.last_admin import ADMIN, hold_organization
from llm_cost_ops.server.identity.role_grants import RoleUnknown
from llm_cost_ops.server.signin.sso import store
from llm_cost_ops.server.signin.sso.providers import Provider, clean_provider
from llm_cost_ops.server.signin.store import CONFINED, sso_required

PURPOSE = "identity providers"
"""The name of the key that seals client secrets."""
MAX_PROVIDERS = 50


class ProviderUnknown(DomainError):
    """The organization has no such provider."""

    code = "NOT_FOUND"


class ProviderNeeded(DomainError):
    """A change that would leave people without a way to sign in, or more providers than there may
    be."""

    code = "CONFLICT"


def known_provider(session: ReadSession, organization_id: str, provider_id: str) -> Provider:
    """The organization's provider. Raises ProviderUnknown."""
    found = store.get_provider(session, organization_id, provider_id)
    if found is None:
        raise ProviderUnknown("Identity provider not found")
    return found


def create_provider(
    session: WriteSession, actor: Actor, maker: Principal, vault: Vault, wanted: Provider
) -> Provider:
    """Keep a provider; `wanted.secret` is the client secret as it is. Raises ProviderError,
    ProviderExists, RoleUnknown, BeyondOwn, NoSecretKey."""
    refuse_beyond(session, maker, [ADMIN])
    hold_organization(session, actor.organization_id)
    if len(store.list_providers(session, actor.organization_id)) >= MAX_PROVIDERS:
        raise ProviderNeeded(f"An organization has at most {MAX_PROVIDERS} identity providers.")
    made = _given_roles(
        session,
        maker,
        replace(
            clean_provider(wanted),
            id=single_id(CONFINED.rstrip("_"), actor.now_us // 1_000, secrets.randbits(80)),
            organization_id=actor.organization_id,
            created_at=actor.now_us,
            created_by=actor.actor_id,
        ),
    )
    made = replace(made, secret=_sealed(vault, made.secret, made.id))
    store.insert_provider(session, made)
    actor.record(session, "sso.provider_created", "identity_provider", made.id, None, made.told())
    return made


def change_provider(
    session: WriteSession,
    actor: Actor,
    maker: Principal,
    vault: Vault,
    provider_id: str,
    changes: Mapping[str, Any],
) -> Provider:
    """Change fields of a provider; what is not named stays. Another issuer or client ends the
    sessions and tokens that it vouched for, as turning it off does. Raises what `create_provider`
    does, ProviderUnknown, ProviderNeeded."""
    refuse_beyond(session, maker, [ADMIN])
    hold_organization(session, actor.organization_id)
    before = known_provider(session, actor.organization_id, provider_id)
    fresh = changes.get("secret")
    kept = "kept" if before.secret is not None else None
    # What is stored is sealed: it is not looked at, only whether there is a secret.
    shape = replace(before, **{"secret": kept, **changes})
    made = _given_roles(session, maker, clean_provider(shape))
    if "secret" in changes:
        made = replace(made, secret=_sealed(vault, fresh, made.id))
    else:
        made = replace(made, secret=before.secret)
    if made == before:
        return before
    if before.enabled and not made.enabled:
        _refuse_last(session, actor.organization_id)
    made = replace(made, updated_at=actor.now_us, version=before.version + 1)
    store.update_provider(session, actor.organization_id, made)
    same = (before.issuer, before.client_id) == (made.issuer, made.client_id)
    if not same or not made.enabled:
        _end_vouched(session, actor, made.id)
    told = {**made.told(), "secret_changed": "secret" in changes}
    actor.record(session, "sso.provider_updated", "identity_provider", made.id, before.told(), told)
    return made


def remove_provider(
    session: WriteSession, actor: Actor, maker: Principal, provider_id: str
) -> None:
    """Remove a provider and end what it vouched for: sessions and tokens. Raises ProviderUnknown,
    ProviderNeeded, BeyondOwn."""
    refuse_beyond(session, maker, [ADMIN])
    hold_organization(session, actor.organization_id)
    gone = known_provider(session, actor.organization_id, provider_id)
    if gone.enabled:
        _refuse_last(session, actor.organization_id)
    _end_vouched(session, actor, gone.id)
    store.delete_provider(session, actor.organization_id, gone.id)
    actor.record(session, "sso.provider_deleted", "identity_provider", gone.id, gone.told(), None)


def _end_vouched(session: WriteSession, actor: Actor, provider_id: str) -> None:
    """End the sessions that a provider vouched for, and the tokens that followed from any: which
    provider stands behind one is not kept, so people of another one sign in at programs again."""
    store.end_sessions_of(session, actor.organization_id, provider_id, now_us=actor.now_us)
    end_confined_families(session, actor.organization_id, actor.now_us)


def _refuse_last(session: ReadSession, organization_id: str) -> None:
    if sso_required(session, organization_id) and store.count_enabled(session, organization_id) < 2:
        raise ProviderNeeded(
            "The organization takes no passwords, and this is its only identity provider. "
            "Let people sign in with passwords first."
        )


def set_policy(
    session: WriteSession,
    actor: Actor,
    maker: Principal,
    *,
    required: bool,
    others: bool,
) -> bool:
    """Whether people sign in by identity providers alone. `others`: the installation has providers
    of its own, which count too. Raises ProviderNeeded when there is none, BeyondOwn."""
    refuse_beyond(session, maker, [ADMIN])
    hold_organization(session, actor.organization_id)
    before = sso_required(session, actor.organization_id)
    if required and not others and not store.count_enabled(session, actor.organization_id):
        raise ProviderNeeded("Set up an identity provider first: nobody could sign in.")
    if required != before:
        store.set_policy(session, actor.organization_id, required, actor.actor_id, actor.now_us)
        if required:  # a password stands behind each of them
            end_own_families(session, actor.organization_id, actor.now_us)
        states = ({"sso_required": each} for each in (before, required))
        actor.record(session, "sso.policy_updated", "organization", actor.organization_id, *states)
    return required


def _given_roles(session: ReadSession, maker: Principal, wanted: Provider) -> Provider:
    """The provider with the stored keys of its roles, which its maker may all give."""
    role = None if wanted.role is None else grantable(session, maker, wanted.role)
    mapping: dict[str, str] = {}
    for value, text in wanted.role_mapping.items():
        try:
            mapping[value] = grantable(session, maker, text, "role_mapping")
        except RoleUnknown:
            raise RoleUnknown(f"names no role: {text}", field="role_mapping") from None
    return replace(wanted, role=role, role_mapping=mapping)


def _sealed(vault: Vault, secret: str | None, owner: str) -> str | None:
    return None if secret is None else vault.seal(secret, owner)
