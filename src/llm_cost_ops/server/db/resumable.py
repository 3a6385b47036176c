"""Alembic on MySQL and MariaDB, whose DDL commits by itself: an interrupted migration is resumed.

PostgreSQL and SQLite roll an interrupted revision back. MySQL cannot, so the run is marked in a
table of its own before it begins; when the mark of an unfinished run is found, statements whose
effect is already there ("table exists", "nothing to drop") pass. Without the mark they fail as
they should. Statements that change data are run again: a revision writes them so that it may.
"""

from __future__ import annotations

from typing import Any, cast

from alembic.ddl.mysql import MySQLImpl
from pymysql.err import MySQLError
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, exc

RUN_TABLE = "alembic_run"
RESUMING = "resuming"

_ALREADY_DONE = frozenset(
    {
        1050,  # table exists
        1051,  # unknown table (or view) to drop
        1060,  # duplicate column
        1061,  # duplicate index
        1068,  # primary key exists
        1091,  # no such column or index to drop
        1826,  # duplicate foreign key
        4092,  # MariaDB: unknown view to drop
    }
)
_run = Table(
    RUN_TABLE,
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("target", String(64), nullable=False),
)


class ResumableMySQLImpl(MySQLImpl):
    """Registers itself as Alembic's implementation for `mysql`."""

    __dialect__ = "mysql"

    def _exec(self, *arguments: Any, **options: Any) -> Any:
        try:
            return cast("Any", super())._exec(*arguments, **options)
        except exc.DBAPIError as error:
            if self.context_opts.get(RESUMING) and _is_done_already(error.orig):
                return None
            raise


def _is_done_already(error: BaseException | None) -> bool:
    return isinstance(error, MySQLError) and error.args[:1] != () and error.args[0] in _ALREADY_DONE


def begin_run(connection: Connection, target: str) -> bool:
    """Mark the run; True when the mark of an earlier, unfinished one was there."""
    _run.create(connection, checkfirst=True)
    unfinished = connection.execute(_run.select()).first() is not None
    if not unfinished:
        connection.execute(_run.insert().values(id=1, target=target))
    connection.commit()
    return unfinished


def end_run(connection: Connection) -> None:
    connection.execute(_run.delete())
    connection.commit()
