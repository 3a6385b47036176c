"""The outbox, the jobs made from it and otherwise, and the schedules that make jobs."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    OrganizationId,
    flag,
    metadata,
    micros,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("topic", String(64), nullable=False),
    Column("payload", Json, nullable=False),
    micros("created_at"),
    micros("delivered_at", nullable=True),
    Index("ix_outbox_pending", "delivered_at", "id"),
    **TABLE_OPTIONS,
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=True),
    Column("kind", String(64), nullable=False),
    Column("payload", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    micros("run_at"),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("lane", String(160), nullable=True),
    Column("lane_position", BigInteger, nullable=True),
    Column("dedupe_key", String(255), nullable=True),
    Column("lease", String(40), nullable=True),
    Column("holder", String(120), nullable=True),
    micros("leased_until", nullable=True),
    Column("last_error", Text, nullable=True),
    micros("created_at"),
    micros("finished_at", nullable=True),
    UniqueConstraint("dedupe_key", name="uq_jobs_dedupe_key"),
    Index("ix_jobs_due", "state", "priority", "run_at", "id"),
    Index("ix_jobs_lane", "lane", "state", "lane_position"),
    Index("ix_jobs_finished", "state", "finished_at"),
    **TABLE_OPTIONS,
)
"""`state`: ready (at `run_at`), running (until `leased_until`, under the token `lease`), done, dead
or discarded. Of the jobs in one lane at most one runs, in the order of their positions. A job
without an organization is the system's own."""

schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=True),
    Column("name", String(100), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("payload", Json, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("expression", String(120), nullable=False),
    Column("timezone", String(64), nullable=False),
    micros("starts_at"),
    micros("next_at", nullable=True),
    micros("planned_at"),
    flag("enabled"),
    micros("created_at"),
    Index("ix_schedules_due", "enabled", "next_at"),
    Index("ix_schedules_organization", "organization_id", "name"),
    **TABLE_OPTIONS,
)
"""`next_at` is the next slot, as it was at `planned_at`; null when there is none any more."""

schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule_id", Id, primary_key=True),
    Column("fire_at", BigInteger, primary_key=True),
    Column("job_id", Id, nullable=False),
    micros("fired_at"),
    Index("ix_schedule_runs_fire_at", "fire_at"),
    **TABLE_OPTIONS,
)
"""A slot that has fired: its key is why it never fires again."""

queue_locks = Table(
    "queue_locks",
    metadata,
    Column("name", String(64), primary_key=True),
    **TABLE_OPTIONS,
)
"""Rows that are locked by who does what only one may do at a time (`locks`)."""
