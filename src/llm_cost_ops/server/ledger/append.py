"""Append calls: insert what is new, and say which were there before.

The unique index over (organization, source, event_id) decides, for ever and on every database;
nothing else is asked. Each database gets its fastest exact bulk path on the raw driver connection
of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql

from llm_cost_ops.server.db.errors import SerializationRetry
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.columns import columns_of
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.tables import usage_records

_LOOKUP_CHUNK = 400
_EVENT_ID = attrgetter("event_id")
_ONCE = "ON CONFLICT (organization_id, source, event_id) DO NOTHING"
# Without constraints: a newer schema may have columns of which this release knows nothing.
_PG_STAGE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS ingest_stage ON COMMIT DELETE ROWS "
    "AS SELECT * FROM usage_records WITH NO DATA"
)
_PG_DIALECT = postgresql.dialect()
_STATEMENTS = 256
"""Sets of columns that are remembered: callers differ in which labels they send."""


_EXISTING = (
    usage_records.c.id,
    usage_records.c.event_id,
    usage_records.c.payload_digest,
    usage_records.c.cost_e10,
    usage_records.c.cost_status,
)


@dataclass(frozen=True, slots=True)
class Existing:
    """The record that already holds an event id."""

    id: str
    payload_digest: str
    cost_e10: int | None
    cost_status: str


def append(session: WriteSession, entries: Sequence[Entry]) -> dict[int, Existing]:
    """Insert entries whose ids are ascending under one stem; return what was there before.

    The answer maps the position of each entry that was not inserted to the record that holds its
    event id. Within `entries` event ids are distinct; the caller has seen to that.

    Raises SerializationRetry when a record gave up its event id meanwhile (an import was undone).
    """
    if not entries:
        return {}
    inserted = _INSERTERS[session.kind](session, entries)
    if inserted == len(entries):
        return {}
    existing = find_existing(session, entries)
    if inserted + len(existing) < len(entries):
        raise SerializationRetry
    return existing


def _insert_sqlite(session: WriteSession, entries: Sequence[Entry]) -> int:
    found = columns_of(entries, share=False)
    cursor = session.driver.executemany(_sqlite_insert(found.names), found.rows())
    return int(cursor.rowcount)


@lru_cache(_STATEMENTS)
def _sqlite_insert(names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO usage_records ({_quoted(names)}) VALUES ({marks}) {_ONCE}"  # noqa: S608


def _in_lock_order(entries: Sequence[Entry]) -> list[Entry]:
    """Two transactions that bring the same calls take them in one order and cannot deadlock."""
    return sorted(entries, key=_EVENT_ID)


def _insert_postgresql(session: WriteSession, entries: Sequence[Entry]) -> int:
    found = columns_of(_in_lock_order(entries))
    with session.driver.cursor() as cursor:
        cursor.execute(_PG_STAGE)
        with cursor.copy(f"COPY ingest_stage ({_quoted(found.names)}) FROM STDIN") as copy:
            copy.write(found.copy_text())
        merge = _pg_merge(found.names, tuple(found.shared))
        cursor.execute(merge, list(found.shared.values()))
        inserted = int(cursor.rowcount)
        if inserted != len(entries):
            cursor.execute("TRUNCATE ingest_stage")
        return inserted


@lru_cache(_STATEMENTS)
def _pg_merge(names: tuple[str, ...], shared: tuple[str, ...]) -> str:
    types = (usage_records.c[name].type.compile(_PG_DIALECT) for name in shared)
    given = [f"%s::{kind}" for kind in types]
    values = ", ".join([_quoted(names), *given])
    columns = _quoted((*names, *shared))
    return f"INSERT INTO usage_records ({columns}) SELECT {values} FROM ingest_stage {_ONCE}"  # noqa: S608


def _insert_mysql(session: WriteSession, entries: Sequence[Entry]) -> int:
    found = columns_of(_in_lock_order(entries), share=False)
    with session.driver.cursor() as cursor:
        cursor.executemany(_mysql_insert(found.names), found.rows())
    # The affected-row count of an upsert differs between servers and client flags: count instead.
    ids = usage_records.c.id.between(entries[0].id, entries[-1].id)
    counted = session.scalar(select(func.count()).select_from(usage_records).where(ids))
    return int(counted)


@lru_cache(_STATEMENTS)
def _mysql_insert(names: tuple[str, ...]) -> str:
    columns = ", ".join(f"`{name}`" for name in names)
    marks = ", ".join(["%s"] * len(names))
    return f"INSERT INTO usage_records ({columns}) VALUES ({marks}) ON DUPLICATE KEY UPDATE id = id"  # noqa: S608


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


_INSERTERS: dict[DatabaseKind, Callable[[WriteSession, Sequence[Entry]], int]] = {
    DatabaseKind.SQLITE: _insert_sqlite,
    DatabaseKind.POSTGRESQL: _insert_postgresql,
    DatabaseKind.MYSQL: _insert_mysql,
}


def find_existing(session: ReadSession, entries: Sequence[Entry]) -> dict[int, Existing]:
    """Positions of the entries whose event ids belong to other records, and those records."""
    table = usage_records.c
    positions = {
        (entry.organization_id, entry.source, entry.event_id): index
        for index, entry in enumerate(entries)
    }
    scopes: dict[tuple[str, str], list[str]] = {}
    for organization_id, source, event_id in positions:
        scopes.setdefault((organization_id, source), []).append(str(event_id))
    found: dict[int, Existing] = {}
    for (organization_id, source), event_ids in scopes.items():
        for start in range(0, len(event_ids), _LOOKUP_CHUNK):
            chunk = event_ids[start : start + _LOOKUP_CHUNK]
            query = select(*_EXISTING).where(
                table.organization_id == organization_id,
                table.source == source,
                table.event_id.in_(chunk),
            )
            for row in session.execute(query):
                index = positions[(organization_id, source, row.event_id)]
                if entries[index].id != row.id:
                    found[index] = Existing(
                        row.id, row.payload_digest, row.cost_e10, row.cost_status
                    )
    return found
