"""Identity providers on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.http.routing import Wire
from llm_cost_ops.server.signin.sso.providers import KINDS, SAML, Provider

Text = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Secret = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[^\x00]*$")]
Texts = Annotated[list[Text], Field(max_length=100)]
Certificates = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=10_000)]], Field(max_length=5)
]
Mapping = Annotated[dict[str, Text], Field(max_length=200)]


class NewProvider(Wire):
    """`POST /api/v1/sso/providers`."""

    kind: Text
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*\S[^\x00]*$")]
    issuer: Annotated[str, Field(max_length=255)] | None = None
    client_id: Annotated[str, Field(max_length=255)] = ""
    client_secret: Secret | None = None
    sso_url: Annotated[str, Field(max_length=2_000)] | None = None
    certificates: Certificates = Field(default_factory=list[str])
    scopes: Texts | None = None
    domains: Annotated[list[Text], Field(min_length=1, max_length=100)]
    creates_users: bool = False
    role: Text | None = None
    role_claim: Text | None = None
    role_mapping: Mapping = Field(default_factory=dict[str, str])
    enabled: bool = True
    organization_id: Annotated[str, Field(max_length=50)] | None = None


class ChangedProvider(Wire):
    """`PATCH /api/v1/sso/providers/{id}`. What is not named stays."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*\S[^\x00]*$")] = ""
    issuer: Text = ""
    client_id: Text = ""
    client_secret: Secret | None = None
    sso_url: Annotated[str, Field(max_length=2_000)] | None = None
    certificates: Certificates = Field(default_factory=list[str])
    scopes: Texts = Field(default_factory=list[str])
    domains: Annotated[list[Text], Field(min_length=1, max_length=100)] = Field(
        default_factory=list[str]
    )
    creates_users: bool = False
    role: Text | None = None
    role_claim: Text | None = None
    role_mapping: Mapping = Field(default_factory=dict[str, str])
    enabled: bool = True
    organization_id: Annotated[str, Field(max_length=50)] | None = None


class SignInPolicy(Wire):
    """`PUT /api/v1/sso/policy`."""

    required: bool
    organization_id: Annotated[str, Field(max_length=50)] | None = None


PROVIDER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "organization_id", "kind", "name", "issuer", "client_id", "domains"],
    "properties": {
        "id": {"type": "string"},
        "organization_id": {"type": "string"},
        "kind": {"enum": list(KINDS)},
        "name": {"type": "string"},
        "issuer": {"type": "string"},
        "client_id": {"type": "string"},
        "has_secret": {"type": "boolean", "description": "The secret itself is never shown."},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "domains": {"type": "array", "items": {"type": "string"}},
        "creates_users": {"type": "boolean"},
        "role": {"type": ["string", "null"]},
        "role_claim": {"type": ["string", "null"]},
        "role_mapping": {"type": "object", "additionalProperties": {"type": "string"}},
        "sso_url": {"type": ["string", "null"], "description": "Where SAML sends people."},
        "certificates": {"type": "array", "items": {"type": "string"}},
        "enabled": {"type": "boolean"},
        "login_path": {"type": "string", "description": "Where people begin to sign in."},
        "redirect_path": {
            "type": "string",
            "description": "What to register with the provider, after the server's address.",
        },
        "metadata_path": {
            "type": ["string", "null"],
            "description": "What a SAML provider reads of this server.",
        },
        "created_by": {"type": ["string", "null"]},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": ["string", "null"], "format": "date-time"},
        "version": {"type": "integer"},
    },
}
POLICY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["required"],
    "properties": {
        "required": {
            "type": "boolean",
            "description": "Whether only administrators may sign in with a password.",
        }
    },
}


def provider_row(provider: Provider) -> dict[str, object]:
    """A provider as the API shows it."""
    saml = provider.kind == SAML
    return {
        "id": provider.id,
        "organization_id": provider.organization_id,
        **provider.told(),
        "login_path": f"/login/sso/{provider.id}",
        "redirect_path": f"/login/sso/{provider.id}/{'acs' if saml else 'callback'}",
        "metadata_path": f"/login/sso/{provider.id}/metadata" if saml else None,
        "created_by": provider.created_by,
        "created_at": format_micros(provider.created_at),
        "updated_at": None if provider.updated_at is None else format_micros(provider.updated_at),
        "version": provider.version,
    }
