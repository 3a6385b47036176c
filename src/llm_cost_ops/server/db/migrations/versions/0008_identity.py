"""People, teams, roles and links that work once.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JSON_TEXT = (
    sa.Text()
    .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    .with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
)
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

KEY = ("organization_id", "id")


def _organization() -> sa.Column[Any]:
    return sa.Column("organization_id", sa.String(50), nullable=False)


def _version() -> sa.Column[Any]:
    return sa.Column("version", sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    _more_of_users_and_keys()
    _accounts()
    _roles()
    _teams()
    _links()


def _more_of_users_and_keys() -> None:
    with op.batch_alter_table("users") as table:
        table.add_column(sa.Column("kind", sa.String(16), server_default="seen", nullable=False))
        table.add_column(sa.Column("account_id", sa.String(40), nullable=True))
        table.add_column(sa.Column("email", sa.String(254), nullable=True))
        table.add_column(sa.Column("given_name", sa.String(255), nullable=True))
        table.add_column(sa.Column("family_name", sa.String(255), nullable=True))
        table.add_column(sa.Column("external_id", sa.String(255), nullable=True))
        table.add_column(sa.Column("metadata", JSON_TEXT, nullable=True))
        table.add_column(sa.Column("updated_at", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("disabled_at", sa.BigInteger(), nullable=True))
        table.add_column(_version())
        table.create_unique_constraint(
            "uq_users_organization_id_email", ["organization_id", "email"]
        )
    op.create_index("ix_users_account", "users", ["account_id"])
    with op.batch_alter_table("api_keys") as table:
        table.add_column(sa.Column("user_id", sa.String(255), nullable=True))
        table.add_column(sa.Column("environment", sa.String(32), nullable=True))
        table.add_column(sa.Column("allowed_networks", JSON_TEXT, nullable=True))
        table.add_column(sa.Column("replaced_by", sa.String(40), nullable=True))


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("password_hash", sa.String(255), nullable=True),
        sa.Column("password_changed_at", sa.BigInteger(), nullable=True),
        sa.Column("email_verified_at", sa.BigInteger(), nullable=True),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.Column("token_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
        **TABLE_OPTIONS,
    )


def _roles() -> None:
    op.create_table(
        "roles",
        _organization(),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("permissions", JSON_TEXT, nullable=False),
        sa.Column("conditions", JSON_TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        _version(),
        sa.PrimaryKeyConstraint(*KEY, name="pk_roles"),
        sa.UniqueConstraint("organization_id", "name", name="uq_roles_organization_id_name"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "user_roles",
        _organization(),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("granted_by", sa.String(40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "user_id", "role", name="pk_user_roles"),
        **TABLE_OPTIONS,
    )


def _teams() -> None:
    op.create_table(
        "teams",
        _organization(),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.String(255), nullable=True),
        sa.Column("external_id", sa.String(255), nullable=True),
        sa.Column("metadata", JSON_TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        _version(),
        sa.PrimaryKeyConstraint(*KEY, name="pk_teams"),
        sa.UniqueConstraint("organization_id", "name", name="uq_teams_organization_id_name"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "team_members",
        _organization(),
        sa.Column("team_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "team_id", "user_id", name="pk_team_members"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_team_members_user", "team_members", ["organization_id", "user_id"])


def _links() -> None:
    op.create_table(
        "one_time_links",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=True),
        sa.Column("organization_id", sa.String(50), nullable=True),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("detail", JSON_TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_one_time_links"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_one_time_links_expiry", "one_time_links", ["expires_at"])


def downgrade() -> None:
    for name in ("one_time_links", "team_members", "teams", "user_roles", "roles", "accounts"):
        op.drop_table(name)
    with op.batch_alter_table("api_keys") as table:
        for name in ("user_id", "environment", "allowed_networks", "replaced_by"):
            table.drop_column(name)
    op.drop_index("ix_users_account", table_name="users")
    with op.batch_alter_table("users") as table:
        table.drop_constraint("uq_users_organization_id_email", type_="unique")
        for name in (
            "kind",
            "account_id",
            "email",
            "given_name",
            "family_name",
            "external_id",
            "metadata",
            "updated_at",
            "disabled_at",
            "version",
        ):
            table.drop_column(name)
