"""Identity providers: what is known of one, and what of it can be used.

Those of organizations stand in the database and begin with `idp_`; those of the installation stand
in its settings and are called by their kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from llm_cost_ops.core.errors import DomainError

GOOGLE, GITHUB, OKTA, ENTRA, GENERIC = "google", "github", "okta", "entra", "generic"
SAML = "saml"
KINDS = (GOOGLE, GITHUB, OKTA, ENTRA, GENERIC, SAML)
GOOGLE_ISSUER = "https://accounts.google.com"
GITHUB_ISSUER = "https://github.com"
ENTRA_ISSUER = "https://login.microsoftonline.com/{tenant}/v2.0"
FIXED_ISSUERS: Mapping[str, str] = {GOOGLE: GOOGLE_ISSUER, GITHUB: GITHUB_ISSUER}
SCOPES = ("openid", "email", "profile")
GITHUB_SCOPES = ("read:user", "user:email")
ANY_DOMAIN = "*"
MAX_ISSUER = 255
MAX_NAME = 64
MAX_CLIENT_ID = 255
MAX_SECRET = 1_000
MAX_SCOPES = 20
MAX_DOMAINS = 100
MAX_MAPPED = 200
MAX_CLAIM = 100
MAX_VALUE = 255
MAX_CERTIFICATES = 5
MIN_RSA_BITS = 2_048
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_TENANT = re.compile(
    r"https://login\.microsoftonline\.(?:com|us)/"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/v2\.0",
    re.ASCII,
)


class ProviderError(DomainError):
    """A description of an identity provider that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An identity provider. `organization_id` is None for one of the installation.

    `domains` are those of the addresses that it may vouch for, `*` for any. `creates_users` makes
    a user of somebody unknown, with `role`. `role_mapping` gives roles to who has a value in the
    claim `role_claim`. `sso_url` and `certificates` (PEM) are of one that speaks SAML, whose
    `issuer` is its entity id; it has no client. Times in microseconds since 1970 UTC.
    """

    id: str
    organization_id: str | None
    kind: str
    name: str
    issuer: str
    client_id: str
    secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = SCOPES
    domains: tuple[str, ...] = ()
    creates_users: bool = False
    role: str | None = None
    role_claim: str | None = None
    role_mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    sso_url: str | None = None
    certificates: tuple[str, ...] = ()
    enabled: bool = True
    created_at: int = 0
    created_by: str | None = None
    updated_at: int | None = None
    version: int = 1

    def admits(self, email: str) -> bool:
        """Whether it may vouch for this address, which is in lower case."""
        return ANY_DOMAIN in self.domains or email.rpartition("@")[2] in self.domains

    @property
    def config(self) -> dict[str, Any]:
        """What is stored as JSON."""
        return {
            "scopes": list(self.scopes),
            "domains": list(self.domains),
            "creates_users": self.creates_users,
            "role": self.role,
            "role_claim": self.role_claim,
            "role_mapping": dict(self.role_mapping),
            "sso_url": self.sso_url,
            "certificates": list(self.certificates),
        }

    def told(self) -> dict[str, object]:
        """What the audit log says of it: whether there is a secret, never which."""
        return {
            "kind": self.kind,
            "name": self.name,
            "issuer": self.issuer,
            "client_id": self.client_id,
            "has_secret": self.secret is not None,
            **self.config,
            "enabled": self.enabled,
        }


def default_scopes(kind: str) -> tuple[str, ...]:
    if kind == SAML:
        return ()
    return GITHUB_SCOPES if kind == GITHUB else SCOPES


def clean_provider(provider: Provider) -> Provider:
    """The provider in canonical form. Raises ProviderError with the field at fault."""
    _check_kind(provider)
    _check_text(provider.name, "name", MAX_NAME)
    if provider.kind == SAML:
        provider = _clean_saml(provider)
    elif provider.sso_url is not None or provider.certificates:
        raise ProviderError("is of providers of the kind saml", field="sso_url")
    elif not _VISIBLE.fullmatch(provider.client_id) or len(provider.client_id) > MAX_CLIENT_ID:
        raise ProviderError(
            f"must have 1 to {MAX_CLIENT_ID} characters and no spaces", field="client_id"
        )
    _check_scopes(provider)
    return replace(
        provider,
        name=provider.name.strip(),
        issuer=clean_issuer(provider.kind, provider.issuer),
        domains=clean_domains(provider.domains, any_domain=provider.organization_id is None),
        role_mapping=_mapping(provider),
    )


def _check_kind(provider: Provider) -> None:
    if provider.kind not in KINDS:
        raise ProviderError(f"must be one of: {', '.join(KINDS)}", field="kind")
    secret = provider.secret
    if provider.kind == GITHUB and not secret:
        raise ProviderError("is required: GitHub signs nobody in without it", field="client_secret")
    if secret is not None and (not secret or len(secret) > MAX_SECRET or "\x00" in secret):
        raise ProviderError(f"must have 1 to {MAX_SECRET} characters", field="client_secret")
    if provider.creates_users and provider.role is None:
        raise ProviderError("is required: with which role people are made", field="role")
    if bool(provider.role_mapping) != (provider.role_claim is not None):
        raise ProviderError("goes together with role_claim", field="role_mapping")
    if provider.role_claim is not None and provider.kind == GITHUB:
        raise ProviderError("is nothing that GitHub has", field="role_claim")


def _clean_saml(provider: Provider) -> Provider:
    """Raises ProviderError."""
    if provider.client_id or provider.secret is not None:
        name = "client_id" if provider.client_id else "client_secret"
        raise ProviderError("is nothing that SAML has", field=name)
    address = _parts(provider.sso_url or "", "sso_url")
    if address.scheme != "https" or not address.netloc or address.fragment:
        raise ProviderError("must be an https address", field="sso_url")
    if not _VISIBLE.fullmatch(provider.sso_url or "") or len(provider.sso_url or "") > 2_000:
        raise ProviderError("must be an https address", field="sso_url")
    if not 1 <= len(provider.certificates) <= MAX_CERTIFICATES:
        raise ProviderError(
            f"must be the 1 to {MAX_CERTIFICATES} certificates (PEM) that it signs with",
            field="certificates",
        )
    certificates = tuple(_certificate(each) for each in provider.certificates)
    return replace(provider, certificates=certificates, scopes=())


def _certificate(text: str) -> str:
    """A certificate in its canonical form, of a key that is strong enough."""
    try:
        certificate = load_pem_x509_certificate(text.strip().encode("ascii"))
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ProviderError("must be a certificate in PEM form", field="certificates") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise ProviderError(
            f"must be of an RSA key of {MIN_RSA_BITS} bits or more", field="certificates"
        )
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _check_text(text: str, name: str, limit: int) -> None:
    if not text.strip() or len(text) > limit or any(ord(letter) < 32 for letter in text):
        raise ProviderError(f"must have 1 to {limit} characters", field=name)


def _check_scopes(provider: Provider) -> None:
    scopes = provider.scopes
    if len(scopes) > MAX_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise ProviderError(f"must be at most {MAX_SCOPES} words", field="scopes")
    if provider.kind not in (GITHUB, SAML) and "openid" not in scopes:
        raise ProviderError("must have openid", field="scopes")


def clean_issuer(kind: str, issuer: str) -> str:
    """The issuer as its tokens name it, character by character. Raises ProviderError."""
    fixed = FIXED_ISSUERS.get(kind)
    issuer = issuer or fixed or ""
    if kind == GOOGLE and issuer != fixed:
        raise ProviderError(f"is always {fixed}", field="issuer")
    if not issuer or len(issuer) > MAX_ISSUER or not _VISIBLE.fullmatch(issuer):
        raise ProviderError("must be the address that the provider's tokens name", field="issuer")
    if kind == SAML:
        return issuer
    if kind == ENTRA and not _TENANT.fullmatch(issuer):
        raise ProviderError(
            "must name one tenant by its id: "
            + ENTRA_ISSUER.format(tenant="00000000-0000-0000-0000-000000000000"),
            field="issuer",
        )
    parts = _parts(issuer, "issuer")
    if parts.scheme not in ("https", "http") or not parts.netloc or parts.query or parts.fragment:
        raise ProviderError("must be an https address without a query", field="issuer")
    return issuer.rstrip("/") if kind == GITHUB else issuer


def _parts(text: str, name: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ProviderError("must be an https address", field=name) from None


def clean_domains(given: Sequence[str], *, any_domain: bool = False) -> tuple[str, ...]:
    """Domains in lower case, nothing twice. Raises ProviderError."""
    found = tuple(dict.fromkeys(domain.strip().lower() for domain in given))
    for domain in found:
        if domain == ANY_DOMAIN and any_domain:
            continue
        if not _DOMAIN.fullmatch(domain) or len(domain) > 253:
            raise ProviderError("must be domains such as example.com", field="domains")
    if not found or len(found) > MAX_DOMAINS:
        raise ProviderError(
            f"must be the 1 to {MAX_DOMAINS} domains whose addresses it vouches for",
            field="domains",
        )
    return found


def _mapping(provider: Provider) -> dict[str, str]:
    if len(provider.role_mapping) > MAX_MAPPED:
        raise ProviderError(f"has at most {MAX_MAPPED} values", field="role_mapping")
    for value in provider.role_mapping:
        _check_text(value, "role_mapping", MAX_VALUE)
    if provider.role_claim is not None:
        _check_text(provider.role_claim, "role_claim", MAX_CLAIM)
    return dict(provider.role_mapping)
