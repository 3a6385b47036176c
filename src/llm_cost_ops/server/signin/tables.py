"""What people sign in with: sessions, second factors, known devices, and what slows guessing."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table, Text, UniqueConstraint

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    count,
    flag,
    metadata,
    micros,
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("account_id", Id, nullable=False),
    Column("organization_id", OrganizationId, nullable=False),
    Column("user_id", Name, nullable=False),
    count("token_version"),
    micros("created_at"),
    micros("last_seen_at"),
    micros("expires_at"),
    micros("revoked_at", nullable=True),
    Column("address", String(64)),
    Column("agent", String(255)),
    Column("provider_id", Id),
    UniqueConstraint("digest"),
    Index("ix_sessions_account", "account_id"),
    Index("ix_sessions_expiry", "expires_at"),
    **TABLE_OPTIONS,
)
"""`digest` is the SHA-256 of the secret in the cookie. A session ends with the `token_version` of
its account. `provider_id` is the identity provider that vouched for the person, if one did."""

second_factors = Table(
    "second_factors",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("secret", Text, nullable=False),
    count("last_step"),
    micros("created_at"),
    micros("confirmed_at", nullable=True),
    **TABLE_OPTIONS,
)
"""The TOTP secret of an account, sealed; `last_step` is the last step of 30 s that was accepted.
One that is not confirmed is not asked for."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("account_id", Id, nullable=False),
    Column("digest", String(64), nullable=False),
    micros("created_at"),
    micros("used_at", nullable=True),
    PrimaryKeyConstraint("account_id", "digest"),
    **TABLE_OPTIONS,
)

known_devices = Table(
    "known_devices",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("account_id", Id, nullable=False),
    micros("created_at"),
    micros("expires_at"),
    Index("ix_known_devices_account", "account_id"),
    **TABLE_OPTIONS,
)
"""Browsers that signed in before, by the SHA-256 of the secret in their cookie: those who guess
elsewhere do not slow them."""

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", String(80), primary_key=True),
    count("failures"),
    micros("last_at"),
    micros("blocked_until"),
    Index("ix_sign_in_attempts_last", "last_at"),
    **TABLE_OPTIONS,
)
"""Failed attempts by what they were about: an e-mail address, an IP address, a device."""

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", Name, nullable=False),
    Column("issuer", String(255), nullable=False),
    Column("client_id", Name, nullable=False),
    Column("secret", Text),
    Column("config", Json, nullable=False),
    flag("enabled"),
    micros("created_at"),
    Column("created_by", Id),
    micros("updated_at", nullable=True),
    count("version"),
    UniqueConstraint("organization_id", "name"),
    **TABLE_OPTIONS,
)
"""Identity providers of organizations; `secret` is sealed. Those of the installation stand in its
settings."""

external_identities = Table(
    "external_identities",
    metadata,
    Column("provider_id", Id, nullable=False),
    Column("issuer", String(255), nullable=False),
    Column("subject", Name, nullable=False),
    Column("organization_id", OrganizationId),
    Column("user_id", Name),
    Column("account_id", Id),
    micros("created_at"),
    micros("last_used_at"),
    PrimaryKeyConstraint("provider_id", "issuer", "subject"),
    Index("ix_external_identities_user", "organization_id", "user_id"),
    Index("ix_external_identities_account", "account_id"),
    **TABLE_OPTIONS,
)
"""Whom a provider knows by a subject: for a provider of an organization a user of it, for one of
the installation an account."""

sign_in_policies = Table(
    "sign_in_policies",
    metadata,
    Column("organization_id", OrganizationId, primary_key=True),
    flag("sso_required"),
    micros("updated_at"),
    Column("updated_by", Id),
    **TABLE_OPTIONS,
)
"""Whether the people of an organization may sign in with a password."""
