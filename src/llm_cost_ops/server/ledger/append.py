"""Append calls: insert what is new, and say which were there before.

The unique index over (organization, source, event_id) decides, for ever and on every database;
nothing else is asked. Each database gets its fastest exact bulk path on the raw driver connection
of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import func, select

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.entry import COLUMNS, Entry
from llm_cost_ops.server.ledger.tables import usage_records

_LOOKUP_CHUNK = 400
_EVENT_ID = attrgetter("event_id")
_COLUMN_LIST = ", ".join(f'"{name}"' for name in COLUMNS)
_MYSQL_COLUMN_LIST = ", ".join(f"`{name}`" for name in COLUMNS)
_SQLITE_INSERT = (
    f"INSERT INTO usage_records ({_COLUMN_LIST}) "  # noqa: S608 - names of our own columns
    f"VALUES ({', '.join('?' * len(COLUMNS))}) "
    "ON CONFLICT (organization_id, source, event_id) DO NOTHING"
)
_MYSQL_INSERT = (
    f"INSERT INTO usage_records ({_MYSQL_COLUMN_LIST}) "  # noqa: S608 - names of our own columns
    f"VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON DUPLICATE KEY UPDATE id = id"
)
_PG_STAGE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS ingest_stage (LIKE usage_records) ON COMMIT DELETE ROWS"
)
_PG_COPY = f"COPY ingest_stage ({_COLUMN_LIST}) FROM STDIN"
_PG_MERGE = (
    f"INSERT INTO usage_records ({_COLUMN_LIST}) "  # noqa: S608 - names of our own columns
    f"SELECT {_COLUMN_LIST} FROM ingest_stage "
    "ON CONFLICT (organization_id, source, event_id) DO NOTHING"
)


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
    """
    if not entries:
        return {}
    insert = _INSERTERS[session.kind]
    if insert(session, entries):
        return {}
    return find_existing(session, entries)


def _insert_sqlite(session: WriteSession, entries: Sequence[Entry]) -> bool:
    driver = session.driver
    cursor = driver.executemany(_SQLITE_INSERT, [entry.row() for entry in entries])
    return cursor.rowcount == len(entries)


def _in_lock_order(entries: Sequence[Entry]) -> list[Entry]:
    """Two transactions that bring the same calls take them in one order and cannot deadlock."""
    return sorted(entries, key=_EVENT_ID)


def _insert_postgresql(session: WriteSession, entries: Sequence[Entry]) -> bool:
    driver = session.driver
    with driver.cursor() as cursor:
        cursor.execute(_PG_STAGE)
        with cursor.copy(_PG_COPY) as copy:
            copy.write(copy_text(_in_lock_order(entries)))
        cursor.execute(_PG_MERGE)
        inserted = cursor.rowcount
        if inserted != len(entries):
            cursor.execute("TRUNCATE ingest_stage")
        return inserted == len(entries)


def _insert_mysql(session: WriteSession, entries: Sequence[Entry]) -> bool:
    driver = session.driver
    with driver.cursor() as cursor:
        rows = [entry.row() for entry in _in_lock_order(entries)]
        cursor.executemany(_MYSQL_INSERT, rows)
    # The affected-row count of an upsert differs between servers and client flags: count instead.
    ids = usage_records.c.id.between(entries[0].id, entries[-1].id)
    found = session.execute(select(func.count()).select_from(usage_records).where(ids)).scalar_one()
    return int(found) == len(entries)


_INSERTERS: dict[DatabaseKind, Callable[[WriteSession, Sequence[Entry]], bool]] = {
    DatabaseKind.SQLITE: _insert_sqlite,
    DatabaseKind.POSTGRESQL: _insert_postgresql,
    DatabaseKind.MYSQL: _insert_mysql,
}


def copy_text(entries: Sequence[Entry]) -> str:
    """Rows in PostgreSQL's COPY text format."""
    lines: list[str] = []
    for entry in entries:
        fields = [
            "\\N" if value is None else value if value.__class__ is str else str(value)
            for value in entry.row()
        ]
        line = "\t".join(fields)
        if "\\" in line or line.count("\t") != _TABS or "\n" in line:
            line = "\t".join(map(_copy_field, entry.row()))
        lines.append(line)
    lines.append("")
    return "\n".join(lines)


_TABS = len(COLUMNS) - 1


def _copy_field(value: object) -> str:
    if value is None:
        return "\\N"
    text = str(value).replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n").replace("\r", "\\r")


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
