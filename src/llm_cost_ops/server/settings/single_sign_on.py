"""Settings of signing in by identity providers: those of the whole installation, and bounds."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class SsoSettings:
    """`[sso]`: identity providers. Organizations set up further ones of their own."""

    timeout_seconds: float = setting(
        5.0,
        "How long one call to an identity provider may take.",
        low=0.1,
        high=15,
    )
    cache_seconds: int = setting(
        3_600,
        "How long a provider's discovery document and keys are used before they are fetched again; "
        "keys that are not known are looked for at once.",
        low=60,
        high=86_400,
    )
    leeway_seconds: int = setting(
        60,
        "By how much a provider's clock may differ from ours.",
        low=0,
        high=300,
    )
    ask_second_factor: bool = setting(
        False,
        "Ask who has a second factor here for its code, too. Otherwise the provider's own counts.",
    )
    domains: tuple[str, ...] = setting(
        (),
        "Domains of the e-mail addresses that the providers of the installation may vouch for; * "
        "for any.",
    )
    organization: str | None = setting(
        None,
        "Id or slug of the organization whose user somebody unknown becomes who signs in by a "
        "provider of the installation. None: people must be users already.",
    )
    role: str = setting("viewer", "The built-in role of who becomes a user that way.")
    google_client_id: str | None = setting(None, "OAuth client of Google.")
    google_client_secret: str | None = setting(None, "Its secret.", secret=True)
    github_client_id: str | None = setting(None, "OAuth app of GitHub.")
    github_client_secret: str | None = setting(None, "Its secret.", secret=True)
    okta_issuer: str | None = setting(None, "Issuer of Okta, such as https://acme.okta.com.")
    okta_client_id: str | None = setting(None, "Application of Okta.")
    okta_client_secret: str | None = setting(None, "Its secret.", secret=True)
    entra_tenant_id: str | None = setting(None, "Tenant (directory) id of Microsoft Entra ID.")
    entra_client_id: str | None = setting(None, "Application (client) id of Entra ID.")
    entra_client_secret: str | None = setting(None, "Its secret.", secret=True)
    oidc_name: str = setting("Single sign-on", "What the button of another provider says.")
    oidc_issuer: str | None = setting(None, "Issuer of another OpenID Connect provider.")
    oidc_client_id: str | None = setting(None, "Client at that provider.")
    oidc_client_secret: str | None = setting(None, "Its secret.", secret=True)
