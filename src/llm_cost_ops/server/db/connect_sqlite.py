"""SQLite connections: one writer with a large cache, readers that cannot write.

Python's driver would open transactions by its own rules, so it is put in autocommit mode and every
transaction begins with an explicit BEGIN (readers) or BEGIN IMMEDIATE (the writer), which takes the
write lock at the start instead of failing in the middle.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event

from llm_cost_ops.server.db.errors import DatabaseConfiguration
from llm_cost_ops.server.db.pool import ClosingPool
from llm_cost_ops.server.settings import DatabaseSettings

MINIMUM_VERSION = (3, 38, 0)
"""The first with the `->` operators on JSON."""

WAL_SIZE_LIMIT_BYTES = 256 * 2**20
"""A log that grew under a long reader is cut to this size at the next checkpoint."""


def writer_engine(url: URL, settings: DatabaseSettings) -> Engine:
    """One connection: writers of this process queue for it instead of polling the file's lock."""
    wait_seconds = max(settings.pool_timeout_seconds, settings.sqlite_busy_timeout_ms / 1000)
    engine = _engine(url, settings, pool_size=1, max_overflow=0, pool_timeout=wait_seconds)
    prepare(engine, settings, writer=True)
    return engine


def reader_engine(url: URL, settings: DatabaseSettings) -> Engine:
    engine = _engine(
        url,
        settings,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout_seconds,
        pool_use_lifo=True,  # each connection has a page cache of its own
    )
    prepare(engine, settings, writer=False)
    return engine


def _engine(url: URL, settings: DatabaseSettings, **pool: Any) -> Engine:
    if sqlite3.sqlite_version_info < MINIMUM_VERSION:
        needed = ".".join(map(str, MINIMUM_VERSION))
        raise DatabaseConfiguration(
            f"SQLite {needed} or later is needed; this Python has {sqlite3.sqlite_version}."
        )
    return create_engine(
        url,
        poolclass=ClosingPool,
        creator=opener(url, settings, create=False),
        hide_parameters=True,
        echo=settings.echo,
        **pool,
    )


def opener(
    url: URL, settings: DatabaseSettings, *, create: bool
) -> Callable[[], sqlite3.Connection]:
    """Only a migration creates the file: a mistyped path must not become an empty ledger."""
    place = f"file:{quote(str(url.database))}?mode={'rwc' if create else 'rw'}"
    wait_seconds = settings.sqlite_busy_timeout_ms / 1000

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, timeout=wait_seconds, check_same_thread=False)

    return connect


def prepare(engine: Engine, settings: DatabaseSettings, *, writer: bool) -> None:
    """PRAGMAs are per connection (all but the journal mode): set on every one that is opened."""

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for name, value in pragmas(settings, writer=writer).items():
            connection.execute(f"PRAGMA {name} = {value}").close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def pragmas(settings: DatabaseSettings, *, writer: bool) -> dict[str, str | int]:
    cache = settings.sqlite_writer_cache_bytes if writer else settings.sqlite_reader_cache_bytes
    chosen: dict[str, str | int] = {
        "busy_timeout": settings.sqlite_busy_timeout_ms,
        "journal_mode": settings.sqlite_journal_mode,
        "synchronous": settings.sqlite_synchronous,
        "foreign_keys": "ON",
        "wal_autocheckpoint": settings.sqlite_wal_autocheckpoint_pages,
        "journal_size_limit": WAL_SIZE_LIMIT_BYTES,
        "cache_size": -(cache // 1024),
        "temp_store": "MEMORY",
        "mmap_size": 0 if writer else settings.sqlite_mmap_bytes,
    }
    if not writer:
        chosen["query_only"] = "ON"
    return chosen
