"""`Database`: the engines of one ledger, opened from settings; pooling is the same on each kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, exc

from llm_cost_ops.server.db.bell import Bell
from llm_cost_ops.server.db.circuit import Circuit
from llm_cost_ops.server.db.errors import DatabaseConfiguration
from llm_cost_ops.server.db.slow import log_slow_statements
from llm_cost_ops.server.db.urls import DatabaseKind, normalise_url
from llm_cost_ops.server.db.waits import Waits, maintenance_waits, request_waits
from llm_cost_ops.server.settings import DatabaseSettings

IDLE_PING_SECONDS = 1.0
PING_ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Database:
    """`reader` and `writer` are one engine on PostgreSQL and MySQL, two on SQLite. `bell` is rung
    after the commit of a session that announced something."""

    kind: DatabaseKind
    reader: Engine
    writer: Engine
    circuit: Circuit
    settings: DatabaseSettings
    bell: Bell = field(default_factory=Bell)

    def dispose(self) -> None:
        """Close all connections: those in use when they are given back."""
        self.reader.dispose()
        if self.writer is not self.reader:
            self.writer.dispose()


def open_database(
    settings: DatabaseSettings,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    directory: Path | None = None,
) -> Database:
    """The database for requests: every wait is bounded by `settings`. Nothing is connected yet."""
    return _open(settings, request_waits(settings), monotonic, directory)


def open_maintenance_database(
    settings: DatabaseSettings,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    directory: Path | None = None,
) -> Database:
    """The same database for work of minutes (verify, rebuild, export): no statement limit."""
    return _open(settings, maintenance_waits(), monotonic, directory)


def _open(
    settings: DatabaseSettings,
    waits: Waits,
    monotonic: Callable[[], float],
    directory: Path | None,
) -> Database:
    url = normalise_url(settings.url, directory=directory)
    kind = DatabaseKind(url.get_backend_name())
    try:
        reader, writer = _engines(kind, url, settings, waits)
    except ModuleNotFoundError as error:
        extra = "postgres" if kind is DatabaseKind.POSTGRESQL else "mysql"
        raise DatabaseConfiguration(
            f"The driver {error.name} is not installed: pip install 'llm-cost-ops[{extra}]'"
        ) from None
    for engine in {reader, writer}:
        log_slow_statements(engine, settings.slow_query_threshold_ms, monotonic)
        if kind is not DatabaseKind.SQLITE:
            _ask_idle_connections(engine, settings, monotonic)
    return Database(kind, reader, writer, Circuit(monotonic), settings)


def _engines(
    kind: DatabaseKind, url: Any, settings: DatabaseSettings, waits: Waits
) -> tuple[Engine, Engine]:
    # Imported here because the drivers are extras: SQLite needs neither.
    if kind is DatabaseKind.POSTGRESQL:
        from llm_cost_ops.server.db.connect_postgresql import postgresql_engine

        engine = postgresql_engine(url, settings, waits)
        return engine, engine
    if kind is DatabaseKind.MYSQL:
        from llm_cost_ops.server.db.connect_mysql import mysql_engine

        engine = mysql_engine(url, settings, waits)
        return engine, engine
    from llm_cost_ops.server.db.connect_sqlite import reader_engine, writer_engine

    return reader_engine(url, settings), writer_engine(url, settings)


def _ask_idle_connections(
    engine: Engine, settings: DatabaseSettings, monotonic: Callable[[], float]
) -> None:
    """A connection that rested is asked whether it still answers; a busy one is not.

    The first that does not answer condemns all older ones, so that an outage is noticed once and
    not once per pooled connection.
    """

    def checkin(_connection: object, record: Any) -> None:
        record.info["returned_at"] = monotonic()

    def checkout(connection: Any, record: Any, _fairy: object) -> None:
        returned_at = record.info.get("returned_at")
        if returned_at is None:
            return
        idle_seconds = monotonic() - returned_at
        if idle_seconds > settings.idle_timeout_seconds:
            raise exc.DisconnectionError("idle for too long")
        if settings.pool_pre_ping and idle_seconds >= IDLE_PING_SECONDS:
            try:
                with connection.answering_within(PING_ANSWER_SECONDS):
                    engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise exc.InvalidatePoolError("the database did not answer") from error

    event.listen(engine, "checkin", checkin)
    event.listen(engine, "checkout", checkout)
