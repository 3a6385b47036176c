"""Schedules of files, their runs, and what became of each run at each destination."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint

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

delivery_schedules = Table(
    "delivery_schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("parameters", Json, nullable=False),
    Column("recurrence", Json, nullable=False),
    Column("destinations", Json, nullable=False),
    Column("secrets", Text, nullable=True),
    Column("catch_up", String(8), nullable=False),
    flag("paused"),
    Column("paused_reason", Text, nullable=True),
    micros("next_fire_at", nullable=True),
    Column("key_id", Id, nullable=False),
    Column("user_id", Name, nullable=True),
    micros("created_at"),
    Column("created_by", Id, nullable=True),
    micros("updated_at"),
    count("version"),
    Index("ix_delivery_schedules_due", "paused", "next_fire_at"),
    Index("ix_delivery_schedules_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`kind` is what is made (`kinds.KINDS`) of the `parameters`. `destinations` are without their
secrets, which are sealed in `secrets` by the place of the destination. `key_id` and `user_id` are
the credential and the person whose permissions a run needs."""

delivery_runs = Table(
    "delivery_runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("schedule_id", Id, nullable=False),
    Column("fire_at", BigInteger, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    micros("start_at", nullable=True),
    micros("end_at", nullable=True),
    Column("file", String(255), nullable=True),
    Column("media_type", String(128), nullable=True),
    Column("size_bytes", BigInteger, nullable=True),
    Column("sha256", String(64), nullable=True),
    micros("expires_at", nullable=True),
    Column("facts", Json, nullable=True),
    Column("error", Text, nullable=True),
    Column("needs", String(255), nullable=True),
    Column("reach", Json, nullable=True),
    Column("file_key", String(255), nullable=True),
    micros("created_at"),
    micros("finished_at", nullable=True),
    UniqueConstraint("schedule_id", "fire_at"),
    Index("ix_delivery_runs_expires", "expires_at"),
    Index("ix_delivery_runs_finished", "finished_at"),
    **TABLE_OPTIONS,
)
"""One slot of a schedule: its key is why no slot is delivered twice. `file` is the name of what was
made, kept until `expires_at`, which is null once it is gone. `start_at` and `end_at` are the period
that it is about. `needs` (between commas) and `reach` are the permissions and the conditions with
which it was made. `file_key` is noted before an attempt writes, so that what it leaves is found."""

delivery_parts = Table(
    "delivery_parts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("target", Json, nullable=False),
    Column("secrets", Text, nullable=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    micros("created_at"),
    micros("finished_at", nullable=True),
    UniqueConstraint("run_id", "place"),
    **TABLE_OPTIONS,
)
"""What one destination, or one recipient of mail, gets of a run: as the schedule had it when the
file was made. `secrets` are sealed and go when it has arrived."""
