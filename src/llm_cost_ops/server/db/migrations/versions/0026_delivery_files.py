"""What the file of a run took to be made, and under which key it is kept.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

JSON_TEXT = (
    sa.Text()
    .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    .with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
)
_KEY = sa.String(255)
RUNS = sa.table(
    "delivery_runs",
    sa.column("id", _KEY),
    sa.column("organization_id", _KEY),
    sa.column("expires_at", sa.BigInteger()),
    sa.column("file_key", _KEY),
)


def upgrade() -> None:
    op.add_column("delivery_runs", sa.Column("needs", sa.String(255), nullable=True))
    op.add_column("delivery_runs", sa.Column("reach", JSON_TEXT, nullable=True))
    op.add_column("delivery_runs", sa.Column("file_key", sa.String(255), nullable=True))
    prefix = sa.literal("schedules/", _KEY)
    key = prefix + RUNS.c.organization_id + sa.literal("/", _KEY) + RUNS.c.id
    op.execute(RUNS.update().where(RUNS.c.expires_at.is_not(None)).values(file_key=key))


def downgrade() -> None:
    op.drop_column("delivery_runs", "file_key")
    op.drop_column("delivery_runs", "reach")
    op.drop_column("delivery_runs", "needs")
