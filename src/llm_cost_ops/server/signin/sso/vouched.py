"""What a provider says of a person: who it is, and which address it vouches for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from llm_cost_ops.server.identity.fields import PersonError, clean_email
from llm_cost_ops.server.signin.sso.id_token import subject_of
from llm_cost_ops.server.signin.sso.providers import ENTRA, GOOGLE, Provider

MAX_NAME = 255
MAX_VALUES = 1_000
_TRUE = (True, "true", 1, "1")
GMAIL = ("gmail.com", "googlemail.com")


@dataclass(frozen=True, slots=True)
class Vouched:
    """A person as a provider knows it. `email` is in lower case and the provider vouches for it;
    None when it does not. `values` are those of the claim that gives roles, None without it."""

    issuer: str
    subject: str
    email: str | None
    name: str | None = None
    values: frozenset[str] | None = None


def vouched_by(provider: Provider, claims: Mapping[str, Any]) -> Vouched:
    """What the claims of an OpenID provider come to. Raises SsoFailed."""
    return Vouched(
        issuer=provider.issuer,
        subject=subject_of(claims),
        email=_email(provider, claims),
        name=clean_claim(claims.get("name")),
        values=_values(provider, claims),
    )


def clean_claim(value: object) -> str | None:
    """A name that can be shown."""
    if not isinstance(value, str):
        return None
    text = "".join(letter for letter in value if letter.isprintable()).strip()
    return text[:MAX_NAME] or None


def clean_address(value: object) -> str | None:
    """An address as accounts have it."""
    try:
        return clean_email(value) if isinstance(value, str) else None
    except PersonError:
        return None


def _email(provider: Provider, claims: Mapping[str, Any]) -> str | None:
    """The address, if the provider vouches for it: each kind says so in its own way."""
    email = clean_address(claims.get("email"))
    if email is None:
        return None
    domain = email.rpartition("@")[2]
    if provider.kind == ENTRA:
        # Whoever administers a tenant writes any address there. Entra says `xms_edov` when it has
        # seen the domain proven; otherwise the domain must be one that was named for this tenant.
        edov = claims.get("xms_edov") in _TRUE
        return email if edov or domain in provider.domains else None
    if claims.get("email_verified") not in (True, "true"):
        return None
    if provider.kind == GOOGLE and domain not in GMAIL and claims.get("hd") is None:
        # Google once saw a mail to it arrive; who has the address now it does not know.
        return None
    return email


def _values(provider: Provider, claims: Mapping[str, Any]) -> frozenset[str] | None:
    if provider.role_claim is None:
        return None
    found: Any = claims.get(provider.role_claim)
    listed = cast("list[Any]", found) if isinstance(found, list) else [found]
    return frozenset(each for each in listed[:MAX_VALUES] if isinstance(each, str))
