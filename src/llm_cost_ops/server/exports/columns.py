"""Columns of exported tables: a name, and what kind of values it has, so that each format can write
an amount as an amount and an instant as an instant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from llm_cost_ops.server.db.joined import JoinedRows
from llm_cost_ops.server.exports.arrays import Values, listed


class Kind(Enum):
    """What the values of a column are; None is an absent value in each."""

    TEXT = "text"
    COUNT = "count"
    """A whole number."""
    MONEY = "money"
    """Units of 1e-10 of the currency, a whole number."""
    NUMBER = "number"
    """A Decimal."""
    INSTANT = "instant"
    """Microseconds since 1970 UTC."""
    JSON = "json"
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table."""

    name: str
    kind: Kind


GROUPS = "aggregates"
"""The title of a table whose rows are groups of calls."""
Batch = Sequence[Sequence[Any]]


def values_at(batch: Batch, places: Sequence[int]) -> list[Sequence[Any]]:
    """The values of the columns at these places."""
    if isinstance(batch, JoinedRows):
        return [batch.columns[place].values() for place in places]
    return [[row[place] for row in batch] for place in places]


@dataclass(frozen=True, slots=True)
class Exported:
    """A table to be written: its columns, and its rows in batches, each a value per column of the
    kind that the column has. `title` is what a sheet is called."""

    title: str
    columns: tuple[Column, ...]
    batches: Iterator[Batch]
    adds_up: bool = True
    """Whether sums of its rows mean anything: budgets count the same call more than once."""
    hidden: tuple[Column, ...] = ()
    """What rows have behind their columns, for their totals alone: nobody asked to see it."""

    def place_of(self, name: str) -> int | None:
        """Where a column stands in the rows, shown or not."""
        every = enumerate((*self.columns, *self.hidden))
        return next((n for n, column in every if column.name == name), None)

    def values(self, batch: Batch) -> Sequence[Sequence[Any]]:
        """The values of each column that is shown; none of an empty batch."""
        return [listed(each) for each in self.arrays(batch)]

    def arrays(self, batch: Batch) -> Sequence[Values]:
        """The same, for `array_of`."""
        columns = batch.columns if isinstance(batch, JoinedRows) else list(zip(*batch, strict=True))
        return columns[: len(self.columns)]
