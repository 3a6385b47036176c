"""One connection for migrations, holding the lock that keeps a second runner out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, text

from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.urls import DatabaseKind, normalise_url
from llm_cost_ops.server.db.waits import Waits
from llm_cost_ops.server.settings import DatabaseSettings

LOCK_NAME = "llm_cost_ops.migrations"
POLL_SECONDS = 0.1
DDL_LOCK_MS = 5000
"""A schema change that waits for its table lock holds up every query behind it: not for long."""

_WAITS = Waits(statement_ms=0, lock_ms=DDL_LOCK_MS, answer_seconds=None)


@contextmanager
def locked_connection(
    settings: DatabaseSettings,
    wait_seconds: float,
    sleep: Callable[[float], object],
    monotonic: Callable[[], float],
) -> Generator[Connection]:
    """A connection outside any transaction; the lock is held until the block ends.

    On SQLite the lock is the transaction that the migration opens. Raises `DatabaseUnavailable`
    with reason `locked` when another runner keeps the lock for `wait_seconds`.
    """
    url = normalise_url(settings.url)
    kind = DatabaseKind(url.get_backend_name())
    engine = _engine(kind, url, settings, wait_seconds)
    try:
        with engine.connect() as connection:
            if kind is DatabaseKind.SQLITE:
                yield connection
                return
            deadline = monotonic() + wait_seconds
            while not _try_lock(kind, connection):
                if monotonic() >= deadline:
                    raise DatabaseUnavailable(Reason.LOCKED, retry_after=10)
                sleep(POLL_SECONDS)
            try:
                yield connection
            finally:
                _unlock(kind, connection)
    finally:
        engine.dispose()


def _engine(
    kind: DatabaseKind, url: URL, settings: DatabaseSettings, wait_seconds: float
) -> Engine:
    if kind is DatabaseKind.POSTGRESQL:
        from llm_cost_ops.server.db.connect_postgresql import postgresql_engine

        return postgresql_engine(url, settings, _WAITS)
    if kind is DatabaseKind.MYSQL:
        from llm_cost_ops.server.db import connect_mysql, resumable

        assert resumable.ResumableMySQLImpl  # noqa: S101 - importing it registers it with Alembic
        return connect_mysql.mysql_engine(url, settings, _WAITS)
    from llm_cost_ops.server.db import connect_sqlite

    patient = replace(settings, sqlite_busy_timeout_ms=round(wait_seconds * 1000))
    create = connect_sqlite.opener(url, patient, create=True)
    engine = create_engine(url, poolclass=NullPool, creator=create, hide_parameters=True)
    connect_sqlite.prepare(engine, patient, writer=True)
    event.listen(engine, "connect", _without_foreign_keys)
    return engine


def _without_foreign_keys(connection: object, _record: object) -> None:
    """SQLite rebuilds a table to alter it: dropping the old one would delete what refers to it.

    The migration environment checks all references before it commits.
    """
    connection.execute("PRAGMA foreign_keys = OFF").close()  # type: ignore[attr-defined]


def _try_lock(kind: DatabaseKind, connection: Connection) -> bool:
    statement = "SELECT pg_try_advisory_lock(:key)"
    if kind is DatabaseKind.MYSQL:
        statement = "SELECT GET_LOCK(:key, 0)"
    got = connection.scalar(text(statement), {"key": _key(kind, connection)})
    connection.commit()
    return bool(got)


def _unlock(kind: DatabaseKind, connection: Connection) -> None:
    connection.rollback()
    if connection.invalidated:
        return
    statement = "SELECT pg_advisory_unlock(:key)"
    if kind is DatabaseKind.MYSQL:
        statement = "SELECT RELEASE_LOCK(:key)"
    connection.scalar(text(statement), {"key": _key(kind, connection)})
    connection.commit()


def _key(kind: DatabaseKind, connection: Connection) -> int | str:
    """PostgreSQL's locks are per database; MySQL's are per server, so the name holds the database.

    Both are short enough for their kind: 63 bits, 64 characters.
    """
    if kind is DatabaseKind.POSTGRESQL:
        return int.from_bytes(sha256(LOCK_NAME.encode()).digest()[:8]) >> 1
    database = str(connection.engine.url.database)
    return f"llm_cost_ops.{sha256(database.encode()).hexdigest()[:40]}"
