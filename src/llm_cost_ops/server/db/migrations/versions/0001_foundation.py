"""Foundation: organizations, keys, the ledger and its rollups, prices, audit, outbox.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON_TEXT = (
    sa.Text()
    .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    .with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
)
BODY = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
VIEWS = ("entries", "cost_records", "costs")


def upgrade() -> None:
    _create_tables()
    _create_indexes()
    for name, select in _views(op.get_bind().dialect.name).items():
        op.execute(f"CREATE VIEW {name} AS {select}")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    for table in reversed(TABLES):
        op.drop_table(table)


def _index(
    name: str, table: str, columns: Sequence[str | sa.TextClause], where: str | None = None
) -> None:
    condition = sa.text(where) if where else None
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _views(dialect: str) -> dict[str, str]:
    """One row per call net of its corrections, under the documented names and columns.

    Money is exact on every database: NUMERIC on PostgreSQL and MySQL, text on SQLite, which has no
    decimal type.
    """

    def money(expression: str) -> str:
        if dialect == "sqlite":
            return (
                f"CASE WHEN {expression} IS NOT NULL THEN "
                f"CASE WHEN {expression} < 0 THEN '-' ELSE '' END || "
                f"printf('%d.%010d', abs({expression}) / 10000000000, "
                f"abs({expression}) % 10000000000) END"
            )
        kind = "NUMERIC(38,10)" if dialect == "postgresql" else "DECIMAL(38,10)"
        return f"CAST({expression} AS {kind}) / 10000000000"

    def instant(column: str) -> str:
        if dialect == "postgresql":
            return f"(TIMESTAMPTZ 'epoch' + {column} * INTERVAL '1 microsecond')"
        if dialect == "sqlite":
            return f"strftime('%Y-%m-%d %H:%M:%S', {column} / 1000000, 'unixepoch')"
        return f"TIMESTAMPADD(MICROSECOND, {column}, '1970-01-01 00:00:00')"

    integer = {"postgresql": "BIGINT", "sqlite": "INTEGER"}.get(dialect, "SIGNED")
    corrections = "FROM usage_corrections c WHERE c.record_id = r.id"

    def net(column: str) -> str:
        total = f"COALESCE(r.{column}, 0) + COALESCE((SELECT SUM(c.{column}) {corrections}), 0)"
        return f"CAST({total} AS {integer})"

    def latest(column: str) -> str:
        last = f"SELECT c.{column} {corrections} ORDER BY c.id DESC LIMIT 1"
        return f"CASE WHEN EXISTS (SELECT 1 {corrections}) THEN ({last}) ELSE r.{column} END"

    status = latest("cost_status")
    cost = f"(CASE WHEN {status} = 'unpriced' THEN NULL ELSE {net('cost_e10')} END)"
    live = f"WHERE NOT EXISTS (SELECT 1 {corrections} AND c.kind = 'void')"
    shared = "r.id, r.organization_id, r.event_id, r.source, r.provider"
    people = "r.project_id, r.team_id, r.user_id, r.api_key_id, r.environment, r.feature"
    entry = "provider, model_name, project_id, team_id, user_id, currency, cost_status"
    return {
        "entries": (
            f"SELECT id, id AS record_id, 'call' AS kind, organization_id, {entry}, "
            f"{instant('timestamp')} AS created_at, {instant('received_at')} AS recorded_at, "
            f"{money('cost_e10')} AS cost, total_tokens AS tokens_used, requests "
            "FROM usage_records UNION ALL "
            f"SELECT id, record_id, kind, organization_id, {entry}, "
            f"{instant('timestamp')}, {instant('recorded_at')}, {money('cost_e10')}, "
            "total_tokens, requests FROM usage_corrections"
        ),
        "cost_records": (
            f"SELECT {shared}, r.id AS usage_id, r.model_name AS model, "
            f"{instant('r.timestamp')} AS timestamp, {money(cost)} AS total_cost, "
            f"{latest('currency')} AS currency, {status} AS cost_status, "
            f"{latest('price_version')} AS price_version, r.service_tier, r.processing, "
            f"{net('input_tokens')} AS input_tokens, {net('output_tokens')} AS output_tokens, "
            f"{net('total_tokens')} AS total_tokens, {people} FROM usage_records r {live}"
        ),
        "costs": (
            f"SELECT {shared}, r.model_name AS model, {instant('r.timestamp')} AS created_at, "
            f"{money(cost)} AS cost, {money(cost)} AS amount, "
            f"{latest('currency')} AS currency, {net('total_tokens')} AS tokens_used, "
            f"{status} AS cost_status, {people}, r.tags, r.metadata FROM usage_records r {live}"
        ),
    }


TABLES = (
    "organizations",
    "projects",
    "users",
    "providers",
    "api_keys",
    "usage_records",
    "usage_corrections",
    "rollup_hourly",
    "rollup_daily",
    "imports",
    "price_versions",
    "price_adjustments",
    "deployments",
    "price_cards",
    "reratings",
    "audit_log",
    "outbox",
    "idempotency_keys",
)


def _create_tables() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("slug", sa.String(100), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False, server_default="USD"),
        sa.Column("time_zone", sa.String(64), nullable=False, server_default="UTC"),
        sa.Column("settings", JSON_TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("slug", name="uq_organizations_slug"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "projects",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_projects"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "users",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_users"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "providers",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_providers"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("last_four", sa.String(4), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", JSON_TEXT, nullable=False),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "usage_records",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("payload_digest", sa.String(24), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("service_tier", sa.String(32), nullable=False),
        sa.Column("processing", sa.String(16), nullable=False),
        sa.Column("region", sa.String(64), nullable=True),
        sa.Column("project_id", sa.String(255), nullable=True),
        sa.Column("team_id", sa.String(255), nullable=True),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("api_key_id", sa.String(255), nullable=True),
        sa.Column("environment", sa.String(255), nullable=True),
        sa.Column("feature", sa.String(255), nullable=True),
        sa.Column("status", sa.String(32), nullable=True),
        sa.Column("latency_ms", sa.BigInteger(), nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("usage", JSON_TEXT, nullable=True),
        sa.Column("response_id", sa.String(255), nullable=True),
        sa.Column("raw_usage", JSON_TEXT, nullable=True),
        sa.Column("cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("list_cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("provider_cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cost_status", sa.String(16), nullable=False),
        sa.Column("price_version", sa.String(255), nullable=True),
        sa.Column("price_rule", sa.String(32), nullable=True),
        sa.Column("volume", sa.BigInteger(), nullable=True),
        sa.Column("recorded_by", sa.String(40), nullable=True),
        sa.Column("import_id", sa.String(40), nullable=True),
        sa.Column("tags", JSON_TEXT, nullable=True),
        sa.Column("metadata", JSON_TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_usage_records"),
        sa.UniqueConstraint("organization_id", "source", "event_id", name="uq_usage_event"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "usage_corrections",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("record_id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("operation_id", sa.String(40), nullable=True),
        sa.Column("recorded_by", sa.String(40), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("service_tier", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=True),
        sa.Column("team_id", sa.String(255), nullable=True),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("api_key_id", sa.String(255), nullable=True),
        sa.Column("environment", sa.String(255), nullable=True),
        sa.Column("feature", sa.String(255), nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("unpriced", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("partially_priced", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("usage", JSON_TEXT, nullable=True),
        sa.Column("cost_e10", sa.BigInteger(), nullable=False),
        sa.Column("list_cost_e10", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cost_status", sa.String(16), nullable=False),
        sa.Column("price_version", sa.String(255), nullable=True),
        sa.Column("price_rule", sa.String(32), nullable=True),
        sa.Column("volume", sa.BigInteger(), nullable=True),
        sa.Column("payload_digest", sa.String(24), nullable=True),
        sa.Column("tags", JSON_TEXT, nullable=True),
        sa.Column("metadata", JSON_TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_usage_corrections"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "rollup_hourly",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("unpriced", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("partially_priced", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cost_whole", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cost_fraction", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("list_whole", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("list_fraction", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("min_cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("max_cost_e10", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "organization_id",
            "bucket",
            "provider",
            "model_name",
            "currency",
            name="pk_rollup_hourly",
        ),
        sqlite_with_rowid=False,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "rollup_daily",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model_name", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("unpriced", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("partially_priced", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cost_whole", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cost_fraction", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("list_whole", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("list_fraction", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("min_cost_e10", sa.BigInteger(), nullable=True),
        sa.Column("max_cost_e10", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "organization_id",
            "bucket",
            "provider",
            "model_name",
            "project_id",
            "currency",
            name="pk_rollup_daily",
        ),
        sqlite_with_rowid=False,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("format", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("records_created", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("records_duplicate", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("records_corrected", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("records_failed", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "price_versions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("pricing_id", sa.String(40), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("region", sa.String(64), nullable=True),
        sa.Column("service_tier", sa.String(32), nullable=False),
        sa.Column("processing", sa.String(16), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(40), nullable=True),
        sa.Column("prices", JSON_TEXT, nullable=False),
        sa.Column("structure", JSON_TEXT, nullable=True),
        sa.Column("request", JSON_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_price_versions"),
        sa.UniqueConstraint("pricing_id", "version", name="uq_price_versions_pricing_id_version"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "price_adjustments",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(255), nullable=False),
        sa.Column("provider", sa.String(64), nullable=True),
        sa.Column("model", sa.String(255), nullable=True),
        sa.Column("kinds", JSON_TEXT, nullable=True),
        sa.Column("factor", sa.String(40), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("recorded_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_price_adjustments"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "deployments",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(255), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("region", sa.String(64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "provider", "deployment", name="pk_deployments"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "price_cards",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("card", JSON_TEXT, nullable=False),
        sa.Column("first_used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_price_cards"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "reratings",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("request", JSON_TEXT, nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("difference_e10", sa.BigInteger(), nullable=False),
        sa.Column("applied_by", sa.String(40), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reratings"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.String(40), nullable=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("resource_type", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False),
        sa.Column("before", JSON_TEXT, nullable=True),
        sa.Column("after", JSON_TEXT, nullable=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("topic", sa.String(64), nullable=False),
        sa.Column("payload", JSON_TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("body", BODY, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_idempotency_keys"),
        **TABLE_OPTIONS,
    )


def _create_indexes() -> None:
    _index("ix_api_keys_organization", "api_keys", ["organization_id", "id"])
    _index("idx_cost_provider", "usage_records", ["provider", "timestamp"])
    _index(
        "idx_costs_composite",
        "usage_records",
        ["user_id", sa.text("timestamp DESC")],
        where="user_id IS NOT NULL",
    )
    _index("idx_costs_created_at", "usage_records", [sa.text("timestamp DESC")])
    _index("idx_costs_high_cost", "usage_records", ["cost_e10"], where="cost_e10 > 10000000000")
    _index("idx_costs_model", "usage_records", ["model_name"])
    _index("idx_costs_team_id", "usage_records", ["team_id"], where="team_id IS NOT NULL")
    _index("idx_costs_user_id", "usage_records", ["user_id"], where="user_id IS NOT NULL")
    _index("idx_usage_model", "usage_records", ["model_name", "timestamp"])
    _index("idx_usage_org_date", "usage_records", ["organization_id", "timestamp"])
    _index("ix_usage_records_import", "usage_records", ["import_id"], where="import_id IS NOT NULL")
    _index("ix_usage_corrections_org_date", "usage_corrections", ["organization_id", "timestamp"])
    _index("ix_usage_corrections_record", "usage_corrections", ["record_id", "id"])
    _index("ix_imports_organization", "imports", ["organization_id", "id"])
    _index(
        "ix_price_versions_organization", "price_versions", ["organization_id", "provider", "model"]
    )
    _index(
        "ix_price_adjustments_organization", "price_adjustments", ["organization_id", "position"]
    )
    _index("ix_reratings_organization", "reratings", ["organization_id", "id"])
    _index("ix_audit_log_organization", "audit_log", ["organization_id", "timestamp"])
    _index("ix_outbox_pending", "outbox", ["delivered_at", "id"])
    _index("ix_idempotency_keys_expiry", "idempotency_keys", ["expires_at"])
