"""The audit log: who did what to which resource, before and after, chained by organization."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, String, Table, UniqueConstraint, text

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    metadata,
    micros,
)

Hash = String(64)
Salt = String(32)

USUAL = "usage.create"
RARE = "action <> 'usage.create'"
"""Entries that are not most of them; a query that names this finds them by their action."""
BY_USER = "user_id IS NOT NULL"


def where(condition: str) -> dict[str, Any]:
    """An index of these rows alone, on databases that have such."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    micros("timestamp"),
    Column("actor_id", Id),
    Column("action", String(64), nullable=False),
    Column("resource_type", String(64), nullable=False),
    Column("resource_id", Name, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("request_id", String(128)),
    # Null in what a release before the chain writes meanwhile; `verify` tells of it.
    Column("seq", BigInteger),
    Column("actor_kind", String(16)),
    Column("user_id", Name),
    Column("user_email", String(254)),
    Column("ip", String(64)),
    Column("outcome", String(16), nullable=False, server_default="success"),
    # The salt goes with the values it hides; what was committed to is kept then.
    Column("who_salt", Salt),
    Column("what_salt", Salt),
    Column("who_commitment", Hash),
    Column("what_commitment", Hash),
    Column("previous_hash", Hash),
    Column("hash", Hash),
    UniqueConstraint("organization_id", "seq"),
    Index("ix_audit_log_organization", "organization_id", "timestamp"),
    # Neither grows with calls that are sent by keys which belong to no user.
    Index("ix_audit_log_action", "organization_id", "action", "timestamp", **where(RARE)),
    Index("ix_audit_log_user", "organization_id", "user_id", "timestamp", **where(BY_USER)),
    **TABLE_OPTIONS,
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("organization_id", OrganizationId, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Hash, nullable=False),
    **TABLE_OPTIONS,
)
"""The last entry of each chain. Who appends holds its row until the commit."""

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("organization_id", OrganizationId, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Hash, nullable=False),
    micros("created_at"),
    Column("key_id", String(32), nullable=False),
    Column("signature", String(128), nullable=False),
    **TABLE_OPTIONS,
)

audit_gaps = Table(
    "audit_gaps",
    metadata,
    Column("organization_id", OrganizationId, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("before_hash", Hash, nullable=False),
    Column("after_hash", Hash, nullable=False),
    micros("created_at"),
    Column("key_id", String(32), nullable=False),
    Column("signature", String(128), nullable=False),
    **TABLE_OPTIONS,
)
"""Entries that retention removed: from which hash to which the chain goes over them."""

audit_forwards = Table(
    "audit_forwards",
    metadata,
    Column("sink", String(16), primary_key=True),
    Column("organization_id", OrganizationId, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    micros("updated_at"),
    micros("failing_since", nullable=True),
    Column("last_error", String(255)),
    **TABLE_OPTIONS,
)
"""The last entry of each chain that a place outside has. `failing_since` and the reason are of the
last attempts, if they failed."""
