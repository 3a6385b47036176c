"""Shapes of signing in on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from llm_cost_ops.server.access.tokens.routes import PAIR_SCHEMA
from llm_cost_ops.server.http.routing import Wire
from llm_cost_ops.server.signin.passwords import MAX_BYTES


def _bounded(value: str) -> str:
    if len(value.encode("utf-8", "replace")) > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES} bytes")
    return value


Email = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^\x00\s]+@[^\x00\s]+$")]
Password = Annotated[
    str,
    Field(min_length=1, max_length=MAX_BYTES, json_schema_extra={"format": "password"}),
    AfterValidator(_bounded),
]
Totp = Annotated[str, Field(min_length=6, max_length=16)]
RecoveryCode = Annotated[str, Field(min_length=8, max_length=64)]
LinkSecret = Annotated[str, Field(min_length=1, max_length=64)]


class Login(Wire):
    """`POST /api/v1/auth/login`. `organization` is an id or slug."""

    email: Email
    password: Password
    totp: Totp | None = None
    recovery_code: RecoveryCode | None = None
    organization: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class NewPassword(Wire):
    """`POST /api/v1/auth/password`."""

    current_password: Password | None = None
    new_password: Password


class AskReset(Wire):
    """`POST /api/v1/auth/password/reset`."""

    email: Email


class ConfirmReset(Wire):
    """`POST /api/v1/auth/password/reset/confirm`: of a welcome link, too."""

    token: LinkSecret
    password: Password


class Prove(Wire):
    """The current password, once more."""

    password: Password | None = None


class ConfirmCode(Wire):
    """`POST /api/v1/auth/2fa/confirm`."""

    totp: Totp


class ProveBoth(Wire):
    """The current password and a code, once more."""

    password: Password | None = None
    totp: Totp | None = None
    recovery_code: RecoveryCode | None = None


class NewEmail(ProveBoth):
    """`POST /api/v1/auth/email`: the new address, and the proof that it is oneself."""

    email: Email


class ConfirmEmail(Wire):
    """`POST /api/v1/auth/email/confirm`"""

    token: LinkSecret


class SwitchOrganization(Wire):
    """`POST /api/v1/auth/switch-org`."""

    organization: Annotated[str, Field(min_length=1, max_length=100)]


_ORGANIZATION: dict[str, Any] = {
    "type": "object",
    "required": ["id", "name", "slug"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "slug": {"type": "string"},
    },
}
_TOKENS: dict[str, Any] = {
    name: {**PAIR_SCHEMA["properties"][name], "description": f"{text}Not for pages in a browser."}
    for name, text in (
        ("access_token", ""),
        ("token_type", ""),
        ("expires_in", "Seconds. "),
        ("scope", ""),
        ("refresh_token", "Works once. "),
        ("refresh_expires_in", "Seconds. "),
    )
}
ME_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["account", "user_id", "organization", "organizations", "scopes"],
    "properties": {
        "account": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "email": {"type": "string"},
                "name": {"type": ["string", "null"]},
            },
        },
        "user_id": {"type": "string"},
        "organization": _ORGANIZATION,
        "organizations": {"type": "array", "items": _ORGANIZATION},
        "roles": {"type": "array", "items": {"type": "string"}},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "expires_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "Of the session or access token.",
        },
        "team_ids": {"type": "array", "items": {"type": "string"}},
        "second_factor": {"type": "boolean"},
        "recovery_codes_left": {"type": "integer"},
    },
}
LOGIN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["session_id", "expires_at", "csrf_token", "user_id", "organization"],
    "properties": {
        "session_id": {"type": "string"},
        "expires_at": {"type": "string", "format": "date-time"},
        "csrf_token": {
            "type": "string",
            "description": "To send as X-CSRF-Token with each change that the cookie vouches for.",
        },
        "user_id": {"type": "string"},
        "organization": _ORGANIZATION,
        "user": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "email": {"type": "string"},
                "organization_id": {"type": "string"},
                "roles": {"type": "array", "items": {"type": "string"}},
            },
        },
        **_TOKENS,
    },
}
SWITCHED_SCHEMA: dict[str, Any] = {
    **_ORGANIZATION,
    "properties": {**_ORGANIZATION["properties"], **_TOKENS},
}
ENROLMENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["secret", "uri"],
    "properties": {
        "secret": {"type": "string", "description": "Base32, shown only now."},
        "uri": {"type": "string", "description": "For a QR code: otpauth://totp/.."},
    },
}
CODES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["recovery_codes"],
    "properties": {"recovery_codes": {"type": "array", "items": {"type": "string"}}},
}
SESSION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "organization_id", "created_at", "last_seen_at", "expires_at", "current"],
    "properties": {
        "id": {"type": "string"},
        "organization_id": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "last_seen_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": "string", "format": "date-time"},
        "address": {"type": ["string", "null"]},
        "agent": {"type": ["string", "null"]},
        "current": {"type": "boolean"},
    },
}
