"""Alembic's environment: how a migration connects, and what makes it safe on each database.

`llm_cost_ops.server.db.migrate` hands over a connection that holds the migration lock; run by the
`alembic` command this file takes one the same way, from the settings of the server.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.settings import load_settings

RUN_TABLE = "alembic_run"


def run(connection: Connection) -> None:
    if connection.dialect.name == "mysql":
        run_resumable(connection)
    elif connection.dialect.name == "sqlite":
        run_in_one_transaction(connection)
    else:
        configure(connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


def run_in_one_transaction(connection: Connection) -> None:
    """SQLite: our connections begin with BEGIN IMMEDIATE, so all of it happens or nothing."""
    configure(connection, transactional_ddl=True, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise CommandError(
                f"table {broken[0]} would refer to rows of {broken[2]} that are gone"
            )


def run_resumable(connection: Connection) -> None:
    from llm_cost_ops.server.db.resumable import RESUMING, begin_run, end_run

    resuming = begin_run(connection, str(context.get_revision_argument()))
    configure(connection, transaction_per_migration=True, **{RESUMING: resuming})
    with context.begin_transaction():
        context.run_migrations()
    end_run(connection)


def configure(connection: Connection, **options: Any) -> None:
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes.get("target_metadata"),
        include_name=not_our_mark,
        compare_type=True,
        **options,
    )


def not_our_mark(name: str | None, kind: str, _parents: Any) -> bool:
    return not (kind == "table" and name == RUN_TABLE)


def run_from_command_line() -> None:
    from llm_cost_ops.models import Base

    context.config.attributes["target_metadata"] = Base.metadata
    with Migrations().connection(load_settings().database) as connection:
        run(connection)


if context.is_offline_mode():
    raise CommandError(
        "SQL scripts (--sql) are not made: revisions look at the database they run on"
    )
given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    run_from_command_line()
