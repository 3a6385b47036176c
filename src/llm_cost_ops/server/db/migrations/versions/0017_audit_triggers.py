"""On PostgreSQL, triggers that note changes of administrative tables in audit.logs.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = (
    "organizations",
    "users",
    "accounts",
    "teams",
    "team_members",
    "roles",
    "user_roles",
    "api_keys",
    "budgets",
    "price_versions",
    "price_adjustments",
)
# What is a secret or opens one, and what names a person: that must be erasable, and is told by the
# audit log proper.
LEFT_OUT = (
    "digest",
    "password_hash",
    "secret",
    "sealed",
    "totp_seed",
    "token_hash",
    "email",
    "given_name",
    "family_name",
    "metadata",
    "settings",
    "last_used_at",
)
PERSONS = ("users", "accounts")

LOGS = """
CREATE TABLE audit.logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    operation text NOT NULL,
    old_data jsonb,
    new_data jsonb,
    user_id text NOT NULL,
    "timestamp" timestamptz NOT NULL DEFAULT now()
)
"""
# Of the user who migrates, so that those who change the tables need no rights here.
FUNCTION = """
CREATE FUNCTION audit.log_changes() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hidden text[] := ARRAY[{left_out}];
    old_data jsonb;
    new_data jsonb;
BEGIN
    IF TG_TABLE_NAME IN ({persons}) THEN
        hidden := hidden || ARRAY['name'];
    END IF;
    IF TG_OP <> 'INSERT' THEN
        old_data := to_jsonb(OLD) - hidden;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        new_data := to_jsonb(NEW) - hidden;
    END IF;
    -- Users that calls name, and columns that are left out, change all the time.
    IF old_data IS NOT DISTINCT FROM new_data
       OR (TG_TABLE_NAME = 'users' AND TG_OP = 'INSERT' AND new_data ->> 'kind' = 'seen') THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit.logs (table_name, operation, old_data, new_data, user_id, "timestamp")
    VALUES (TG_TABLE_NAME, TG_OP, old_data, new_data, session_user, now());
    RETURN NULL;
END;
$$
"""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql" or not _may_make_schemas(connection):
        return
    op.execute("CREATE SCHEMA IF NOT EXISTS audit")
    op.execute(LOGS)
    op.execute('CREATE INDEX ix_logs_timestamp ON audit.logs ("timestamp")')
    op.execute(FUNCTION.format(left_out=_listed(LEFT_OUT), persons=_listed(PERSONS)))
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER log_changes AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION audit.log_changes()"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _may_make_schemas(connection: sa.Connection) -> bool:
    """Whether this user may; without, the audit log proper has to do."""
    made = connection.scalar(sa.text("SELECT to_regnamespace('audit') IS NOT NULL"))
    allowed = "SELECT has_database_privilege(current_database(), 'CREATE')"
    logs = connection.scalar(sa.text("SELECT to_regclass('audit.logs') IS NOT NULL"))
    return not logs and not made and bool(connection.scalar(sa.text(allowed)))


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    ours = "SELECT to_regprocedure('audit.log_changes()') IS NOT NULL"
    if connection.scalar(sa.text(ours)):
        op.execute("DROP FUNCTION audit.log_changes() CASCADE")
        op.execute("DROP TABLE IF EXISTS audit.logs")
        op.execute("DROP SCHEMA audit")
