"""The ledger: one row per call, one per correction, and the rollups that project them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    LongText,
    Name,
    OrganizationId,
    amount,
    count,
    metadata,
    micros,
)

usage_records = Table(
    "usage_records",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("source", String(64), nullable=False),
    Column("event_id", Name, nullable=False),
    Column("payload_digest", String(24), nullable=False),
    micros("timestamp"),
    micros("received_at"),
    Column("provider", String(64), nullable=False),
    Column("model_name", Name, nullable=False),
    Column("service_tier", String(32), nullable=False),
    Column("processing", String(16), nullable=False),
    Column("region", String(64)),
    Column("project_id", Name),
    Column("team_id", Name),
    Column("user_id", Name),
    Column("api_key_id", Name),
    Column("environment", Name),
    Column("feature", Name),
    Column("status", String(32)),
    Column("latency_ms", BigInteger),
    count("requests"),
    count("input_tokens"),
    count("output_tokens"),
    count("total_tokens"),
    count("cached_tokens"),
    count("cache_write_tokens"),
    count("reasoning_tokens"),
    Column("usage", Json),
    Column("response_id", Name),
    Column("raw_usage", Json),
    amount("cost_e10", nullable=True),
    amount("list_cost_e10", nullable=True),
    amount("provider_cost_e10", nullable=True),
    Column("currency", String(3), nullable=False),
    Column("cost_status", String(16), nullable=False),
    Column("price_version", Name),
    Column("price_rule", String(32)),
    Column("volume", BigInteger),
    Column("recorded_by", Id),
    Column("import_id", Id),
    Column("tags", Json),
    Column("metadata", Json),
    UniqueConstraint("organization_id", "source", "event_id", name="uq_usage_event"),
    **TABLE_OPTIONS,
)
Index("idx_usage_org_date", usage_records.c.organization_id, usage_records.c.timestamp)
Index("idx_usage_model", usage_records.c.model_name, usage_records.c.timestamp)
Index("idx_cost_provider", usage_records.c.provider, usage_records.c.timestamp)
Index("idx_costs_created_at", usage_records.c.timestamp.desc())
Index("idx_costs_model", usage_records.c.model_name)
_HAS_USER = usage_records.c.user_id.is_not(None)
_HAS_TEAM = usage_records.c.team_id.is_not(None)
_HIGH_COST = usage_records.c.cost_e10 > 10_000_000_000
_IMPORTED = usage_records.c.import_id.is_not(None)
for _name, _columns, _where in (
    ("idx_costs_user_id", (usage_records.c.user_id,), _HAS_USER),
    ("idx_costs_team_id", (usage_records.c.team_id,), _HAS_TEAM),
    ("idx_costs_composite", (usage_records.c.user_id, usage_records.c.timestamp.desc()), _HAS_USER),
    ("idx_costs_high_cost", (usage_records.c.cost_e10,), _HIGH_COST),
    ("ix_usage_records_import", (usage_records.c.import_id,), _IMPORTED),
):
    Index(_name, *_columns, sqlite_where=_where, postgresql_where=_where)

usage_corrections = Table(
    "usage_corrections",
    metadata,
    Column("id", Id, primary_key=True),
    Column("record_id", Id, nullable=False),
    Column("organization_id", OrganizationId, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("operation_id", Id),
    Column("recorded_by", Id),
    micros("recorded_at"),
    micros("timestamp"),
    Column("provider", String(64), nullable=False),
    Column("model_name", Name, nullable=False),
    Column("service_tier", String(32), nullable=False),
    Column("project_id", Name),
    Column("team_id", Name),
    Column("user_id", Name),
    Column("api_key_id", Name),
    Column("environment", Name),
    Column("feature", Name),
    count("requests"),
    count("input_tokens"),
    count("output_tokens"),
    count("total_tokens"),
    count("cached_tokens"),
    count("cache_write_tokens"),
    count("reasoning_tokens"),
    count("unpriced"),
    count("partially_priced"),
    Column("usage", Json),
    amount("cost_e10"),
    amount("list_cost_e10"),
    Column("currency", String(3), nullable=False),
    Column("cost_status", String(16), nullable=False),
    Column("price_version", Name),
    Column("price_rule", String(32)),
    Column("volume", BigInteger),
    Column("payload_digest", String(24)),
    Column("tags", Json),
    Column("metadata", Json),
    Index("ix_usage_corrections_record", "record_id", "id"),
    Index("ix_usage_corrections_org_date", "organization_id", "timestamp"),
    **TABLE_OPTIONS,
)

MEASURES = (
    "requests",
    "unpriced",
    "partially_priced",
    "cost_whole",
    "cost_fraction",
    "list_whole",
    "list_fraction",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""Additive columns of a rollup. Money is split into whole units and 1e-10 fractions, because a
sum of 64-bit amounts can leave 64 bits and SQLite would then silently count in floats."""


def _measures() -> list[Column[int]]:
    return [count(name) for name in MEASURES]


def _rollup(name: str, *finer: Column[str]) -> Table:
    """Sums by bucket of time, provider, model, then by the `finer` columns, and by currency."""
    return Table(
        name,
        metadata,
        Column("organization_id", OrganizationId, nullable=False),
        Column("bucket", BigInteger, nullable=False),
        Column("provider", String(64), nullable=False),
        Column("model_name", Name, nullable=False),
        *finer,
        Column("currency", String(3), nullable=False),
        *_measures(),
        amount("min_cost_e10", nullable=True),
        amount("max_cost_e10", nullable=True),
        PrimaryKeyConstraint(
            "organization_id",
            "bucket",
            "provider",
            "model_name",
            *(column.name for column in finer),
            "currency",
        ),
        sqlite_with_rowid=False,  # sums are read in the order of the key, without a second look-up
        **TABLE_OPTIONS,
    )


rollup_hourly = _rollup("rollup_hourly")
"""`bucket` is the hour: microseconds since 1970 divided by 3,600,000,000."""

rollup_daily = _rollup("rollup_daily", Column("project_id", Name, nullable=False))
"""`bucket` is the UTC day since 1970; a call without a project has the empty project id."""

rollup_models = _rollup("rollup_models")
"""`bucket` is the UTC day since 1970. The days of `rollup_daily` without the projects, of which
there may be one per call: the question asked most, what each model costs by day, reads one row for
each row of its answer."""

rollup_teams = Table(
    "rollup_teams",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("bucket", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("model_name", Name, nullable=False),
    Column("project_id", Name, nullable=False),
    Column("team_id", Name, nullable=False),
    Column("currency", String(3), nullable=False),
    *_measures(),
    amount("min_cost_e10", nullable=True),
    amount("max_cost_e10", nullable=True),
    PrimaryKeyConstraint("organization_id", "bucket", "place"),
    sqlite_with_rowid=False,
    **TABLE_OPTIONS,
)
"""The days of `rollup_daily` by team, made after the day: no call adds to them. `place` counts the
rows of a day: a key with all their names would be longer than InnoDB's 3,072 bytes. Projects are
empty in a day that has sums of teams alone."""

team_days = Table(
    "team_days",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("state", String(64), nullable=False),
    Column("grain", String(16), nullable=False),
    PrimaryKeyConstraint("organization_id", "day"),
    **TABLE_OPTIONS,
)
"""UTC days since 1970 as they were when their rows of `rollup_teams` were made: `state` tells
whether anything came since. `grain` is `project` where there are rows by team and project, `team`
where these would be too many, and `none` where those by team would be, too."""

uncounted_calls = Table(
    "uncounted_calls",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("day", BigInteger, nullable=False),
    count("calls"),
    PrimaryKeyConstraint("organization_id", "day"),
    **TABLE_OPTIONS,
)
"""How many calls that count no request, such as credits, were ever recorded of a UTC day since
1970. They may add to no sum, or cancel each other: no rollup tells that they came."""

closed_days = Table(
    "closed_days",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    count("records"),
    Column("archive_id", Id),
    micros("closed_at"),
    PrimaryKeyConstraint("organization_id", "day"),
    **TABLE_OPTIONS,
)
"""UTC days since 1970 whose calls retention took out of the ledger. Their sums stay in the rollups,
and `digest` is of those."""

periods = Table(
    "periods",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("month", String(7), nullable=False),
    Column("closing_id", Id, nullable=False),
    Column("status", String(16), nullable=False),
    Column("organization_name", Name),
    count("requests"),
    count("unpriced"),
    count("partially_priced"),
    count("total_tokens"),
    Column("totals", Text),
    Column("digest", String(64)),
    count("lines"),
    Column("lines_digest", String(64)),
    Column("drawn", LongText),
    Column("closed_by", Id),
    micros("closed_at"),
    micros("erased_at", nullable=True),
    PrimaryKeyConstraint("organization_id", "month"),
    **TABLE_OPTIONS,
)
"""Closed months, `2026-10`. A month is `closing` until the totals are there, and `reopening` while
what came late goes back. One without a row before one that has one is closed and empty.
`totals` in 1e-10 by currency as JSON, `digest` of the entries, `lines_digest` of the lines.
`drawn` is what calls until its end have drawn from commitments, in 1e-10 by id as JSON, null where
there was none. `erased_at` is when labels of a person in calls of the month were last erased."""

period_lines = Table(
    "period_lines",
    metadata,
    Column("organization_id", OrganizationId, nullable=False),
    Column("month", String(7), nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("corrects", String(7)),
    Column("provider", String(64), nullable=False),
    Column("model_name", Name, nullable=False),
    Column("project_id", Name, nullable=False),
    Column("team_id", Name, nullable=False),
    Column("currency", String(3), nullable=False),
    *_measures(),
    PrimaryKeyConstraint("organization_id", "month", "place"),
    **TABLE_OPTIONS,
)
"""What the statement of a closed month says; `corrects` is an earlier month, None for its own
calls. An absent project or team is empty."""

late_entries = Table(
    "late_entries",
    metadata,
    Column("entry_id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("record_id", Id, nullable=False),
    Column("month", String(7), nullable=False),
    Column("recognized", String(7), nullable=False),
    Column("event_id", Name),
    Index("ix_late_entries_organization_id_month", "organization_id", "month"),
    Index("ix_late_entries_recognized", "organization_id", "recognized", "record_id", "entry_id"),
    **TABLE_OPTIONS,
)
"""Calls and corrections that were recorded when the month of their call was closed, and the month
in whose books they are. `event_id` is the one that a call of an undone import gave up."""

imports = Table(
    "imports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("format", String(64), nullable=False),
    Column("name", Name),
    Column("status", String(16), nullable=False),
    count("records_created"),
    count("records_duplicate"),
    count("records_corrected"),
    count("records_failed"),
    Column("created_by", Id),
    micros("created_at"),
    micros("undone_at", nullable=True),
    Index("ix_imports_organization", "organization_id", "id"),
    **TABLE_OPTIONS,
)
