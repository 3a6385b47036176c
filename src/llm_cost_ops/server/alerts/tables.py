"""Alerts, the rules that make them, the channels that are told, and what became of each."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

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

alert_channels = Table(
    "alert_channels",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("config", Text, nullable=False),
    Column("addressees", Integer, nullable=False),
    Column("severities", Json, nullable=False),
    flag("is_default"),
    flag("enabled"),
    micros("created_at"),
    micros("updated_at"),
    Column("created_by", Id),
    UniqueConstraint("organization_id", "name", name="uq_alert_channels_name"),
    **TABLE_OPTIONS,
)
"""`config` is the channel's fields, secrets included, sealed where the installation has a secret
key (`seal`). A default channel is told what no rule sends elsewhere."""

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("definition", Json, nullable=False),
    flag("enabled"),
    Column("schedule_id", Id),
    micros("created_at"),
    micros("updated_at"),
    Column("created_by", Id),
    micros("deleted_at", nullable=True),
    Index("ix_alert_rules_organization", "organization_id", "id"),
    Index("ix_alert_rules_kind", "kind", "enabled"),
    **TABLE_OPTIONS,
)
"""`definition` has the canonical fields of `rules`. A deleted rule stays for the alerts it made."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("dedup_key", String(64), nullable=False),
    Column("rule_id", Id),
    Column("kind", String(24), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("notice", Json, nullable=False),
    Column("details", Json, nullable=False),
    Column("budget_id", Id),
    count("occurrences"),
    count("suppressed"),
    Column("event_ids", Json, nullable=False),
    micros("fired_at"),
    micros("last_seen_at"),
    micros("acknowledged_at", nullable=True),
    micros("snoozed_until", nullable=True),
    micros("resolved_at", nullable=True),
    UniqueConstraint("dedup_key", name="uq_alerts_dedup_key"),
    Index("ix_alerts_organization", "organization_id", "id"),
    Index("ix_alerts_subject", "organization_id", "subject", "fired_at"),
    Index("ix_alerts_budget", "budget_id", "id"),
    Index("ix_alerts_open", "status", "kind", "organization_id"),
    **TABLE_OPTIONS,
)
"""`dedup_key` is the digest of organization, rule, subject and period: why an alert is made once.
`subject` is the digest of rule and subject without the period. `event_ids` are the last events that
made it or joined it. `notice` holds the finished texts,
`details` the numbers behind them."""

alert_history = Table(
    "alert_history",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("alert_id", Id, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("text", Text, nullable=False),
    Column("details", Json, nullable=False),
    Column("actor_id", Id),
    micros("at"),
    Index("ix_alert_history_alert", "alert_id", "id"),
    **TABLE_OPTIONS,
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("alert_id", Id, nullable=False),
    Column("channel_id", Id, nullable=False),
    Column("moment", String(40), nullable=False),
    Column("part", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer, nullable=True),
    Column("said", Text, nullable=False),
    Column("detail", Text, nullable=False),
    micros("due_at"),
    micros("created_at"),
    micros("finished_at", nullable=True),
    UniqueConstraint("alert_id", "channel_id", "moment", "part", name="uq_alert_deliveries_once"),
    **TABLE_OPTIONS,
)
"""One telling of one channel, `part` being the place of the addressee in it: its key is why nobody
is told the same moment twice. `said` stands before the alert's summary, `detail` is how the last
attempt went. `state`: pending, delivered, failed or skipped."""
