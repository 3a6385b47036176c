"""Tokens: the keys that sign them, what was granted, and refresh tokens as digests."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    count,
    metadata,
    micros,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Id, primary_key=True),
    Column("algorithm", String(8), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("secret", Text),
    Column("public_key", Text),
    micros("created_at"),
    micros("accepted_until", nullable=True),
    **TABLE_OPTIONS,
)
"""A key has one algorithm for ever. `fingerprint` tells from which secret or key pair it is. The
`secret` is kept only where no secret of the installation is set. Until `accepted_until` what it
signed is accepted; None for one that signs."""

token_families = Table(
    "token_families",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("account_id", Id),
    Column("user_id", Name),
    Column("client_id", Id),
    Column("scopes", Json),
    count("token_version"),
    micros("created_at"),
    micros("expires_at"),
    micros("revoked_at", nullable=True),
    Column("revoked_for", String(32)),
    Index("ix_token_families_account", "account_id"),
    Index("ix_token_families_client", "client_id"),
    Index("ix_token_families_expiry", "expires_at"),
    **TABLE_OPTIONS,
)
"""All tokens that follow from one signing in or one consent; they end together. `scopes` is what
was granted, None for whatever the user's roles give."""

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("family_id", Id, nullable=False),
    micros("created_at"),
    micros("expires_at"),
    micros("used_at", nullable=True),
    Column("used_from", String(64)),
    Column("successor", Text),
    Index("ix_refresh_tokens_family", "family_id"),
    **TABLE_OPTIONS,
)
"""`successor` is the token that replaced a used one, sealed under the used one itself, so that only
who sends that again can read it. `used_from` tells who sent it."""

oauth_clients = Table(
    "oauth_clients",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("secret_digest", String(64)),
    Column("redirect_uris", Json, nullable=False),
    Column("grant_types", Json, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_by", Id),
    micros("created_at"),
    micros("removed_at", nullable=True),
    Index("ix_oauth_clients_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""Programs that act for people or for themselves. A public one, such as a page or an app, has no
secret."""

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("client_id", Id, nullable=False),
    Column("account_id", Id),
    Column("user_id", Name, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", String(64), nullable=False),
    Column("scopes", Json, nullable=False),
    micros("created_at"),
    micros("expires_at"),
    micros("used_at", nullable=True),
    Column("family_id", Id),
    Index("ix_authorization_codes_expiry", "expires_at"),
    **TABLE_OPTIONS,
)
"""Codes of consent: each works once, within a minute, for the client and address that it names."""
