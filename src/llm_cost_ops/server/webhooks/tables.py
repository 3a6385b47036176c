"""Endpoints, the events that they want, what is to be delivered to which, and how attempts went."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, String, Table, Text

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    OrganizationId,
    count,
    flag,
    metadata,
    micros,
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Json, nullable=False),
    Column("description", Text),
    Column("secret", Text, nullable=False),
    Column("previous_secret", Text),
    micros("previous_until", nullable=True),
    flag("enabled"),
    Column("disabled_reason", String(16)),
    micros("failing_since", nullable=True),
    micros("paused_until", nullable=True),
    micros("wake_at", nullable=True),
    micros("last_success_at", nullable=True),
    micros("last_failure_at", nullable=True),
    micros("created_at"),
    micros("updated_at"),
    Column("created_by", Id),
    Index("ix_webhook_endpoints_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`events` are names as they were registered; `secret` is sealed (`sealing`). `failing_since` is
the first failure after the last success, `paused_until` what the receiver asked for, `wake_at` when
a job will look at the endpoint again."""

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("topic", String(64), nullable=False),
    Column("data", Text, nullable=False),
    micros("created_at"),
    Index("ix_webhook_events_created", "created_at"),
    **TABLE_OPTIONS,
)
"""`data` is JSON text and not JSON, because all attempts must send the same bytes."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("endpoint_id", Id, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("topic", String(64), nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    count("attempts"),
    count("step"),
    micros("event_at"),
    micros("next_attempt_at", nullable=True),
    Column("last_status", SmallInteger),
    micros("created_at"),
    micros("finished_at", nullable=True),
    Index("uq_webhook_deliveries_event", "endpoint_id", "event_id", unique=True),
    Index("ix_webhook_deliveries_due", "endpoint_id", "status", "next_attempt_at"),
    Index("ix_webhook_deliveries_listed", "endpoint_id", "id"),
    Index("ix_webhook_deliveries_created", "created_at"),
    **TABLE_OPTIONS,
)
"""One row per event and endpoint. `attempts` counts all, `step` those since it was last begun;
`event_type` is the event as the endpoint spells it."""

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("delivery_id", Id, nullable=False),
    Column("number", Integer, nullable=False),
    micros("at"),
    Column("status_code", SmallInteger),
    Column("took_us", BigInteger, nullable=False),
    Column("delivered", SmallInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("head", Text),
    Index("ix_webhook_attempts_delivery", "delivery_id", "id"),
    Index("ix_webhook_attempts_at", "at"),
    **TABLE_OPTIONS,
)
