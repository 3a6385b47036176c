"""Calls as columns: what all calls of a batch share is said once, what none has is not said.

A batch of one caller shares most of its columns. Turned into columns the rest is also made into
COPY text by loops in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llm_cost_ops.server.ledger.entry import COLUMNS, Entry

Column = tuple[Any, ...]


class Columns(NamedTuple):
    """Names and values of the columns that differ between calls, and of those with one value that
    is not None. A column of which no call has a value is in neither."""

    names: tuple[str, ...]
    values: list[Column]
    shared: dict[str, Any]

    def rows(self) -> list[tuple[Any, ...]]:
        """Rows of the differing columns."""
        return list(zip(*self.values, strict=True))

    def copy_text(self) -> str:
        """Rows of the differing columns in PostgreSQL's COPY text format."""
        lines = map("\t".join, zip(*map(_copy_texts, self.values), strict=True))
        return "\n".join([*lines, ""])


def columns_of(entries: Sequence[Entry], *, share: bool = True) -> Columns:
    """The columns of at least one call. Without `share` only those without any value are left out.

    `id` always differs, so that there is a row for each call.
    """
    names: list[str] = []
    values: list[Column] = []
    shared: dict[str, Any] = {}
    for name, column in zip(COLUMNS, zip(*(e.row() for e in entries), strict=True), strict=True):
        first = column[0]
        if name != "id" and column.count(first) == len(column):
            if first is None:
                continue
            if share:
                shared[name] = first
                continue
        names.append(name)
        values.append(column)
    return Columns(tuple(names), values, shared)


def _copy_texts(column: Column) -> Sequence[str]:
    if None in column:
        return [r"\N" if value is None else _escaped(str(value)) for value in column]
    if column[0].__class__ is int:
        return [*map(str, column)]
    text = "\n".join(column)
    if "\\" in text or "\t" in text or "\r" in text or text.count("\n") != len(column) - 1:
        return [*map(_escaped, column)]
    return column


def _escaped(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
