"""Add rows of sums to a rollup in one go, on the raw driver connection.

The statement is the one of `upsert_add`, compiled once: what it means is written in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect

from llm_cost_ops.server.db.dialects.writing import upsert_add
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.tables import MEASURES

LOWEST = ("min_cost_e10",)
HIGHEST = ("max_cost_e10",)
_DIALECTS: dict[DatabaseKind, Dialect] = {
    DatabaseKind.SQLITE: sqlite.dialect(paramstyle="qmark"),
    DatabaseKind.POSTGRESQL: postgresql.dialect(paramstyle="format"),
    DatabaseKind.MYSQL: mysql.dialect(paramstyle="format"),
}


def upsert(
    session: WriteSession, table: Table, key: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows, or add them to those with the same key. Values are in the order of `columns`,
    rows in the order of their keys. Raises the driver's errors."""
    statement = _statement(session.kind, table, key)
    if session.kind is DatabaseKind.SQLITE:
        session.driver.executemany(statement, rows)
        return
    with session.driver.cursor() as cursor:
        if session.kind is DatabaseKind.POSTGRESQL:
            names = columns(key)
            found = [dict(zip(names, row, strict=True)) for row in rows]
            cursor.execute(statement, [msgspec.json.encode(found).decode()])
        else:
            cursor.executemany(statement, rows)  # which the driver writes as one statement


def columns(key: Sequence[str]) -> tuple[str, ...]:
    """The columns of a rollup with this key."""
    return (*key, *MEASURES, *LOWEST, *HIGHEST)


@lru_cache(maxsize=16)
def _statement(kind: DatabaseKind, table: Table, key: tuple[str, ...]) -> str:
    names = columns(key)
    meaning = upsert_add(kind, table, key, MEASURES, lowest=LOWEST, highest=HIGHEST)
    compiled = meaning.compile(dialect=_DIALECTS[kind], column_keys=list(names))
    if compiled.positiontup != list(names):
        raise AssertionError(f"the columns of {table.name} are not in the order of its rows")
    text = str(compiled)
    if kind is not DatabaseKind.POSTGRESQL:
        return text
    # One statement over all rows, which arrive as JSON: half the time of a statement for each.
    start, _, rest = text.partition(" VALUES (")
    _, _, conflict = rest.partition(") ON CONFLICT ")
    typed = ", ".join(f"{name} {_type(table, name)}" for name in names)
    source = f"SELECT * FROM json_to_recordset(%s::json) AS given({typed})"  # noqa: S608
    return f"{start} {source} ON CONFLICT {conflict}"


def _type(table: Table, name: str) -> str:
    return "bigint" if isinstance(table.c[name].type, BigInteger) else "text"
