"""Inserts that meet an existing row, and locks on rows that will be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Insert, Select, Table, case
from sqlalchemy.dialects import mysql, postgresql, sqlite

from llm_cost_ops.server.db.urls import DatabaseKind

S = TypeVar("S", bound=Select[Any])


def insert_ignore(kind: DatabaseKind, table: Table, conflict: Sequence[str]) -> Insert:
    """Insert rows and leave those alone whose `conflict` columns (a unique key) exist already.

    Any other error still is one. Do not read `rowcount`: MySQL counts the rows it left alone.
    """
    if kind is DatabaseKind.MYSQL:
        # INSERT IGNORE would also turn a value that is too long into a shorter one
        statement = mysql.insert(table)
        first = table.c[conflict[0]]
        return statement.on_duplicate_key_update({first.name: first})
    statement = (postgresql if kind is DatabaseKind.POSTGRESQL else sqlite).insert(table)
    return statement.on_conflict_do_nothing(index_elements=list(conflict))


def upsert_add(
    kind: DatabaseKind,
    table: Table,
    keys: Sequence[str],
    add: Sequence[str],
    *,
    lowest: Sequence[str] = (),
    highest: Sequence[str] = (),
    replace: Sequence[str] = (),
) -> Insert:
    """Insert rows, or add to the ones with the same unique `keys`.

    `add` columns are summed; `lowest` and `highest` keep the smaller or larger value, where NULL
    is no value; `replace` columns take the new one. Give rows sorted by key: two writers that
    touch the same rows in another order deadlock on PostgreSQL and MySQL.
    """
    statement: Any
    if kind is DatabaseKind.MYSQL:
        statement = mysql.insert(table)
        new = statement.inserted
    else:
        statement = (postgresql if kind is DatabaseKind.POSTGRESQL else sqlite).insert(table)
        new = statement.excluded
    changes: dict[str, ColumnElement[Any]] = {name: table.c[name] + new[name] for name in add}
    changes |= {
        name: _better(table.c[name], new[name], new[name] < table.c[name]) for name in lowest
    }
    changes |= {
        name: _better(table.c[name], new[name], new[name] > table.c[name]) for name in highest
    }
    changes |= {name: new[name] for name in replace}
    return _on_conflict(kind, statement, keys, changes)


def _better(old: Any, new: Any, is_better: ColumnElement[bool]) -> ColumnElement[Any]:
    return case((old.is_(None) | is_better, new), else_=old)


def _on_conflict(
    kind: DatabaseKind, statement: Any, keys: Sequence[str], changes: Mapping[str, Any]
) -> Insert:
    if kind is DatabaseKind.MYSQL:
        return statement.on_duplicate_key_update(dict(changes))
    return statement.on_conflict_do_update(index_elements=list(keys), set_=dict(changes))


def lock_rows(statement: S, *, skip_locked: bool = False) -> S:
    """`FOR UPDATE`, where there are row locks: a SQLite writer has the whole file already."""
    return statement.with_for_update(skip_locked=skip_locked)
