"""Organizations, projects, users and registered custom providers, as ids with a table each."""

from __future__ import annotations

from sqlalchemy import Column, PrimaryKeyConstraint, String, Table, UniqueConstraint

from llm_cost_ops.server.db.base import TABLE_OPTIONS, Json, Name, OrganizationId, metadata, micros

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


def _member_table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("organization_id", OrganizationId, nullable=False),
        Column("id", Name, nullable=False),
        Column("name", Name),
        micros("created_at"),
        PrimaryKeyConstraint("organization_id", "id"),
        **TABLE_OPTIONS,
    )


projects = _member_table("projects")
users = _member_table("users")
providers = _member_table("providers")
"""Custom providers that an organization registered, beside the built-in ones."""
