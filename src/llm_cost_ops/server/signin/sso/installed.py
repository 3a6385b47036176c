"""The identity providers of the installation, from its settings: one of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llm_cost_ops.core.permissions import role_name
from llm_cost_ops.server.settings import SsoSettings
from llm_cost_ops.server.signin.sso.providers import (
    ENTRA,
    ENTRA_ISSUER,
    GENERIC,
    GITHUB,
    GITHUB_ISSUER,
    GOOGLE,
    GOOGLE_ISSUER,
    OKTA,
    Provider,
    clean_provider,
    default_scopes,
)

GENERIC_ID = "oidc"


def installed(settings: SsoSettings) -> Mapping[str, Provider]:
    """The providers by their id. Raises ProviderError for settings that do not fit together."""
    return {each.id: clean_provider(each) for each in _described(settings)}


def _described(settings: SsoSettings) -> Iterator[Provider]:
    tenant = settings.entra_tenant_id
    entra = None if tenant is None else ENTRA_ISSUER.format(tenant=tenant.lower())
    for provider_id, kind, name, issuer, client_id, secret in (
        (
            GOOGLE,
            GOOGLE,
            "Google",
            GOOGLE_ISSUER,
            settings.google_client_id,
            settings.google_client_secret,
        ),
        (
            GITHUB,
            GITHUB,
            "GitHub",
            GITHUB_ISSUER,
            settings.github_client_id,
            settings.github_client_secret,
        ),
        (
            OKTA,
            OKTA,
            "Okta",
            settings.okta_issuer,
            settings.okta_client_id,
            settings.okta_client_secret,
        ),
        (
            ENTRA,
            ENTRA,
            "Microsoft",
            entra,
            settings.entra_client_id,
            settings.entra_client_secret,
        ),
        (
            GENERIC_ID,
            GENERIC,
            settings.oidc_name,
            settings.oidc_issuer,
            settings.oidc_client_id,
            settings.oidc_client_secret,
        ),
    ):
        if client_id is None:
            continue
        yield Provider(
            id=provider_id,
            organization_id=None,
            kind=kind,
            name=name,
            issuer=issuer or "",
            client_id=client_id,
            secret=secret,
            scopes=default_scopes(kind),
            domains=settings.domains,
            creates_users=settings.organization is not None,
            role=role_name(settings.role),
        )
