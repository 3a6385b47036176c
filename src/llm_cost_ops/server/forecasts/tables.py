"""Forecasts as they were made, and anomalies as they were found."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, SmallInteger, String, Table, UniqueConstraint

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    amount,
    flag,
    metadata,
    micros,
)

forecasts = Table(
    "forecasts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("frequency", String(8), nullable=False),
    Column("request", Json, nullable=False),
    Column("answer", Json, nullable=False),
    micros("created_at"),
    Column("created_by", Id),
    Index("ix_forecasts_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
"""`request` is what was asked for, `answer` the forecast as it was given."""

anomalies = Table(
    "anomalies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("frequency", String(8), nullable=False),
    Column("dimension", String(64), nullable=False),
    Column("value", Name, nullable=False),
    Column("currency", String(3), nullable=False),
    micros("bucket_start"),
    micros("bucket_end"),
    Column("date", String(40), nullable=False),
    amount("actual_e10"),
    amount("expected_e10"),
    amount("lower_e10"),
    amount("upper_e10"),
    Column("score_e4", BigInteger, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("method", String(16), nullable=False),
    Column("causes", Json),
    Column("parent_id", Id),
    Column("episode_id", Id, nullable=False),
    flag("told"),
    micros("found_at"),
    Column("is_anomaly", SmallInteger),
    Column("note", Name),
    micros("judged_at", nullable=True),
    Column("judged_by", Id),
    UniqueConstraint(
        "organization_id", "frequency", "dimension", "value", "currency", "bucket_start",
        name="uq_anomalies_place",
    ),
    Index("ix_anomalies_bucket", "organization_id", "bucket_start"),
    **TABLE_OPTIONS,
)  # fmt: skip
"""One row for a bucket of time of one value of a dimension; `total` has the value `all`.
`parent_id` is the anomaly of the organization's total in the same bucket, `episode_id` the first of
those that follow one another. `is_anomaly` is what somebody said of it, NULL where nobody did."""
