"""Pages of rows that SQLite hands over as columns, each joined to one text.

Its driver makes an object of every value and takes the interpreter's lock again for every row. A
page that is one row of long texts costs one step, in which other threads run, and who wants columns
of Arrow gets them without an object of each value in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from sqlalchemy import ColumnElement, Integer, Select, String, func, literal_column, select
from sqlalchemy.exc import DataError

from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind

SEPARATOR = "\x1f"
ABSENT = "\x1e"
"""What stands for NULL. Texts with it, or with the separator, are read row by row."""
LONGEST = 16 * 2**20
"""Bytes of the text of a column: a page of rows that are much longer than those before it would
take hundreds of megabytes."""
# As literals: a parameter or a function would be looked at again for every value.
_SEPARATOR: ColumnElement[str] = literal_column(f"'{SEPARATOR}'", String())
_ABSENT: ColumnElement[str] = literal_column(f"'{ABSENT}'", String())


class TooLong(Exception):
    """A column of a page is longer than LONGEST: fewer rows have to be read."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The values of a column in the order of the rows: `rows` of them, of which `known` are not
    NULL. `text` has SEPARATOR between them and, where not all are known, ABSENT for NULL."""

    text: str
    rows: int
    known: int
    whole: bool
    """Whether they are whole numbers, else texts."""

    def values(self) -> list[Any]:
        if self.known == 0:
            return [None] * self.rows
        parts: list[Any] = self.text.split(SEPARATOR)
        if self.known < self.rows:
            if self.whole:
                return [None if part == ABSENT else int(part) for part in parts]
            return [None if part == ABSENT else part for part in parts]
        return list(map(int, parts)) if self.whole else parts

    def last(self) -> str:
        """The last value as text, where all are known."""
        return self.text.rpartition(SEPARATOR)[2]

    @property
    def is_sound(self) -> bool:
        """Whether no value has a separator in it, or what stands for NULL."""
        if self.known == 0:
            return True
        unknown = self.rows - self.known
        marks = self.text.count(ABSENT) if unknown else 0
        return self.text.count(SEPARATOR) == self.rows - 1 and marks == unknown


class JoinedRows(Sequence[Sequence[Any]]):
    """The rows of a page by their columns; who takes them as rows has them taken apart."""

    def __init__(self, columns: Sequence[Joined]) -> None:
        """At least one column, all of the same number of rows, and at least one."""
        self.columns = columns

    @cached_property
    def _rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*(column.values() for column in self.columns), strict=True))

    def __len__(self) -> int:
        return self.columns[0].rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    @overload
    def __getitem__(self, place: int) -> Sequence[Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[Any]]: ...
    def __getitem__(self, place: int | slice) -> Sequence[Any]:
        return self._rows[place]


def joined(session: ReadSession, statement: Select[Any], limit: int) -> JoinedRows | None:
    """At most `limit` rows of an ordered statement, whose columns differ in name and are whole
    numbers or texts; None where the rows have to be read as such: there are none, the database
    is another, a text has a separator in it, or a single row is longer than LONGEST.

    Raises TooLong where several are."""
    if session.kind is not DatabaseKind.SQLITE:
        return None
    page = statement.limit(limit).subquery("page")
    parts: list[Any] = []
    for column in page.c:
        if not isinstance(column.type, Integer | String):
            return None
        nullable = getattr(column, "nullable", True)
        value = func.coalesce(column, _ABSENT) if nullable else column
        known = func.count(column) if nullable else func.count()
        parts += [func.group_concat(value, _SEPARATOR), known]
    try:
        found = _bounded(session, select(func.count(), *parts).select_from(page))
    except DataError as error:
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_TOOBIG:
            raise
        if limit > 1:
            raise TooLong from None
        return None
    rows = int(found[0])
    if not rows:
        return None
    columns = [
        Joined(found[2 * n + 1], rows, int(found[2 * n + 2]), isinstance(column.type, Integer))
        for n, column in enumerate(page.c)
    ]
    return JoinedRows(columns) if all(column.is_sound for column in columns) else None


def _bounded(session: ReadSession, statement: Select[*tuple[Any, ...]]) -> Any:
    """The row of a statement on SQLite, which makes no text that is longer than LONGEST."""
    driver: sqlite3.Connection = session.driver
    usual = driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    try:
        return session.execute(statement).one()
    finally:
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, usual)
