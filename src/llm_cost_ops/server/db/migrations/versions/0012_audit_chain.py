"""A chain of hashes through the audit log of each organization.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import sha256
from json import JSONEncoder
from typing import Any

import sqlalchemy as sa
from alembic import op

from llm_cost_ops.core.jsontext import JsonError, canonical

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
PAGE = 1_000
GENESIS = "0" * 64
# As `server.audit.chain` computes version 1.
_ENCODE = JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("actor_kind", sa.String(16), nullable=True),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("user_email", sa.String(254), nullable=True),
        sa.Column("ip", sa.String(64), nullable=True),
        sa.Column("outcome", sa.String(16), server_default="success", nullable=False),
        sa.Column("who_salt", sa.String(32), nullable=True),
        sa.Column("what_salt", sa.String(32), nullable=True),
        sa.Column("who_commitment", sa.String(64), nullable=True),
        sa.Column("what_commitment", sa.String(64), nullable=True),
        sa.Column("previous_hash", sa.String(64), nullable=True),
        sa.Column("hash", sa.String(64), nullable=True),
    )


_LOG = sa.table(
    "audit_log",
    *(
        sa.column(name, sa.Text())
        for name in ("id", "organization_id", "actor_id", "action", "resource_type", "resource_id")
    ),
    sa.column("timestamp", sa.BigInteger()),
    sa.column("request_id", sa.Text()),
    sa.column("before", sa.Text()),
    sa.column("after", sa.Text()),
    *(sa.column(column.name, column.type) for column in _columns()),
)
_HEADS = sa.table(
    "audit_heads",
    sa.column("organization_id", sa.Text()),
    sa.column("seq", sa.BigInteger()),
    sa.column("hash", sa.Text()),
)


def upgrade() -> None:
    _tables()
    with op.batch_alter_table("audit_log") as table:
        for column in _columns():
            table.add_column(column)
    _fill()
    with op.batch_alter_table("audit_log") as table:
        table.create_unique_constraint(
            "uq_audit_log_organization_id_seq", ["organization_id", "seq"]
        )
    rows = {"action": "action <> 'usage.create'", "user_id": "user_id IS NOT NULL"}
    for name, (column, condition) in zip(("action", "user"), rows.items(), strict=True):
        op.create_index(
            f"ix_audit_log_{name}",
            "audit_log",
            ["organization_id", column, "timestamp"],
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )


def _tables() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="pk_audit_heads"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        *_signed(),
        sa.PrimaryKeyConstraint("organization_id", "seq", name="pk_audit_checkpoints"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "audit_gaps",
        sa.Column("organization_id", sa.String(50), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("before_hash", sa.String(64), nullable=False),
        sa.Column("after_hash", sa.String(64), nullable=False),
        *_signed(),
        sa.PrimaryKeyConstraint("organization_id", "first_seq", name="pk_audit_gaps"),
        **TABLE_OPTIONS,
    )


def _signed() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
    )


def _fill() -> None:
    """Give the entries that are there their places and hashes. May be run again: what has a place
    keeps it."""
    connection = op.get_bind()
    organizations = connection.scalars(
        sa.select(_LOG.c.organization_id).where(_LOG.c.seq.is_(None)).distinct()
    ).all()
    for organization_id in sorted(organizations):
        _fill_one(connection, organization_id)


def _fill_one(connection: sa.Connection, organization_id: str) -> None:
    own = _HEADS.c.organization_id == organization_id
    head = connection.execute(sa.select(_HEADS.c.seq, _HEADS.c.hash).where(own)).first()
    if head is None:
        connection.execute(
            sa.insert(_HEADS), {"organization_id": organization_id, "seq": 0, "hash": GENESIS}
        )
    seq, previous = (0, GENESIS) if head is None else (int(head.seq), str(head.hash))
    while rows := _page(connection, organization_id):
        changes: list[dict[str, Any]] = []
        for row in rows:
            seq += 1
            change = _chained(row, seq, previous)
            previous = change["hash"]
            changes.append(change)
        connection.execute(
            sa.update(_LOG)
            .where(_LOG.c.id == sa.bindparam("its_id"))
            .values({name: sa.bindparam(name) for name in changes[0] if name != "its_id"}),
            changes,
        )
        connection.execute(sa.update(_HEADS).where(own).values(seq=seq, hash=previous))


def _page(connection: sa.Connection, organization_id: str) -> Sequence[sa.RowMapping]:
    query = (
        sa.select(_LOG)
        .where(_LOG.c.organization_id == organization_id, _LOG.c.seq.is_(None))
        .order_by(_LOG.c.timestamp, _LOG.c.id)
        .limit(PAGE)
    )
    return connection.execute(query).mappings().all()


def _chained(row: sa.RowMapping, seq: int, previous: str) -> dict[str, Any]:
    who_salt, what_salt = secrets.token_hex(12), secrets.token_hex(12)
    kind = "operator" if row["actor_id"] in (None, "operator") else "api_key"
    what = (what_salt, row["resource_id"], _text(row["before"]), _text(row["after"]))
    facts = (row["actor_id"], row["action"], row["resource_type"], "success", row["request_id"])
    place = (1, row["organization_id"], seq, previous, row["id"], row["timestamp"], kind)
    commitments = (_digest(who_salt, None, None, None), _digest(*what))
    return {
        "its_id": row["id"],
        "seq": seq,
        "actor_kind": kind,
        "outcome": "success",
        "who_salt": who_salt,
        "what_salt": what_salt,
        "previous_hash": previous,
        "hash": _digest(*place, *facts, *commitments),
    }


def _digest(*values: object) -> str:
    return sha256(_ENCODE(values).encode("ascii")).hexdigest()


def _text(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return canonical(text)
    except JsonError:
        return text


def downgrade() -> None:
    op.drop_index("ix_audit_log_user", table_name="audit_log")
    op.drop_index("ix_audit_log_action", table_name="audit_log")
    with op.batch_alter_table("audit_log") as table:
        table.drop_constraint("uq_audit_log_organization_id_seq", type_="unique")
        for column in _columns():
            table.drop_column(column.name)
    for name in ("audit_gaps", "audit_checkpoints", "audit_heads"):
        op.drop_table(name)
