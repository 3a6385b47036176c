"""Organizations and what belongs to one: people, teams, roles, projects, custom providers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table, Text, UniqueConstraint

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    amount,
    count,
    metadata,
    micros,
)

organizations = Table(
    "organizations",
    metadata,
    Column("id", OrganizationId, primary_key=True),
    Column("name", Name, nullable=False),
    Column("slug", String(100), nullable=False),
    Column("currency", String(3), nullable=False, server_default="USD"),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    Column("settings", Json),
    micros("created_at"),
    UniqueConstraint("slug"),
    **TABLE_OPTIONS,
)


def _member_table(name: str, *more: Any) -> Table:
    return Table(
        name,
        metadata,
        Column("organization_id", OrganizationId, nullable=False),
        Column("id", Name, nullable=False),
        Column("name", Name),
        micros("created_at"),
        *more,
        PrimaryKeyConstraint("organization_id", "id"),
        **TABLE_OPTIONS,
    )


projects = _member_table("projects")
users = _member_table(
    "users",
    Column("kind", String(16), nullable=False, server_default="seen"),
    Column("account_id", Id),
    Column("email", String(254)),
    Column("given_name", Name),
    Column("family_name", Name),
    Column("external_id", Name),
    Column("metadata", Json),
    micros("updated_at", nullable=True),
    micros("disabled_at", nullable=True),
    count("version"),
    UniqueConstraint("organization_id", "email"),
    Index("ix_users_account", "account_id"),
)
"""`kind` is `seen` (only calls name it), `person` or `service`. `email` is in lower case. `version`
counts the changes: the ETag of the row."""
providers = _member_table("providers")
"""Custom providers that an organization registered, beside the built-in ones."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", String(254), nullable=False),
    Column("name", Name),
    Column("password_hash", String(255)),
    micros("password_changed_at", nullable=True),
    micros("email_verified_at", nullable=True),
    micros("disabled_at", nullable=True),
    count("token_version"),
    micros("created_at"),
    micros("updated_at", nullable=True),
    UniqueConstraint("email"),
    **TABLE_OPTIONS,
)
"""People who can sign in, each a user in one or more organizations. A token that carries an older
`token_version` than its account is refused."""

roles = Table(
    "roles",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("id", Id, nullable=False),
    Column("name", String(64), nullable=False),
    Column("description", Text),
    Column("permissions", Json, nullable=False),
    Column("conditions", Json),
    micros("created_at"),
    micros("updated_at", nullable=True),
    count("version"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "name"),
    **TABLE_OPTIONS,
)
"""Custom roles; the built-in ones stand in `core.permissions`."""

user_roles = Table(
    "user_roles",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("user_id", Name, nullable=False),
    Column("role", String(64), nullable=False),
    Column("granted_by", Id),
    micros("created_at"),
    PrimaryKeyConstraint("organization_id", "user_id", "role"),
    **TABLE_OPTIONS,
)
"""`role` is the name of a built-in role or the id of a custom one."""

teams = Table(
    "teams",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("id", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("description", Text),
    Column("parent_id", Name),
    Column("external_id", Name),
    Column("metadata", Json),
    micros("created_at"),
    micros("updated_at", nullable=True),
    count("version"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "name"),
    **TABLE_OPTIONS,
)
"""`id` is what calls name as their `team_id`; `parent_id` makes the tree."""

team_members = Table(
    "team_members",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("team_id", Name, nullable=False),
    Column("user_id", Name, nullable=False),
    micros("created_at"),
    PrimaryKeyConstraint("organization_id", "team_id", "user_id"),
    Index("ix_team_members_user", "organization_id", "user_id"),
    **TABLE_OPTIONS,
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("account_id", Id),
    Column("organization_id", OrganizationId),
    Column("user_id", Name),
    Column("detail", Json),
    micros("created_at"),
    micros("expires_at"),
    micros("used_at", nullable=True),
    Index("ix_one_time_links_expiry", "expires_at"),
    **TABLE_OPTIONS,
)
"""Links that work once: the SHA-256 of the secret in them, and what they are for."""

invitations = Table(
    "invitations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("email", String(254), nullable=False),
    Column("name", Name),
    Column("role", String(64), nullable=False),
    Column("team_ids", Json, nullable=False),
    Column("invited_by", Id),
    micros("created_at"),
    micros("expires_at"),
    micros("accepted_at", nullable=True),
    micros("revoked_at", nullable=True),
    Column("user_id", Name),
    Index("ix_invitations_organization", "organization_id", "email"),
    **TABLE_OPTIONS,
)
"""Who may become a user; the secret of the link stands in `one_time_links` alone."""

project_revenue = Table(
    "project_revenue",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("project_id", Name, nullable=False),
    Column("period", String(7), nullable=False),
    amount("amount_e10"),
    Column("currency", String(3), nullable=False),
    micros("updated_at"),
    PrimaryKeyConstraint("organization_id", "project_id", "period"),
    **TABLE_OPTIONS,
)
"""What a project earned in a month (`2025-11`), for unit economics."""

cost_centers = Table(
    "cost_centers",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("id", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("owner", Name),
    Column("metadata", Json),
    micros("created_at"),
    micros("updated_at", nullable=True),
    PrimaryKeyConstraint("organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`id` is the code, such as CC-001, that people and teams name in their metadata."""

restricted_users = Table(
    "restricted_users",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    micros("created_at"),
    PrimaryKeyConstraint("organization_id", "digest"),
    **TABLE_OPTIONS,
)
"""Users whose calls are counted without them, by the SHA-256 of organization and user id."""

provider_credentials = Table(
    "provider_credentials",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("id", Id, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("name", Name, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("last_four", String(4), nullable=False),
    Column("created_by", Id),
    micros("created_at"),
    micros("rotated_at", nullable=True),
    UniqueConstraint("organization_id", "provider", "name"),
    **TABLE_OPTIONS,
)
"""What opens the API of a provider for an organization. `sealed` is bound to the row's id."""
