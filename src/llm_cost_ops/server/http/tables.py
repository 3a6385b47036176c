"""Idempotency keys: the saved answer of a request, written in the transaction of its effect."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table
from sqlalchemy.dialects import mysql

from llm_cost_ops.server.db.base import TABLE_OPTIONS, OrganizationId, metadata, micros

_Body = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("scope", String(64), primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("body", _Body, nullable=False),
    micros("created_at"),
    micros("expires_at"),
    Index("ix_idempotency_keys_expiry", "expires_at"),
    **TABLE_OPTIONS,
)
"""`scope` is the SHA-256 of organization, principal, method, route and key."""
