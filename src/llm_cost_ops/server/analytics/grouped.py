"""A source with groups: what a statement selects, joins and groups by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Label, Select, String, literal_column, select

from llm_cost_ops.server.analytics.calls import CALL
from llm_cost_ops.server.analytics.fields import Dimension, Shape
from llm_cost_ops.server.analytics.selection import Grouping
from llm_cost_ops.server.analytics.sources import Source
from llm_cost_ops.server.analytics.tags import joined_tags
from llm_cost_ops.server.db.dialects import json_text

Key = tuple[str | None, ...]
"""The value of each dimension in order, then the currency."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """A source filtered, joined and grouped: `columns` are `g0, g1, ..., group_currency`."""

    columns: tuple[Label[Any], ...]
    tables: FromClause
    where: tuple[ColumnElement[bool], ...]
    by_tag: bool
    by: tuple[ColumnElement[Any], ...]
    """What to group by: the columns in the order in which they come from an index, which saves most
    of a sort. Columns are named by their labels, because a database does not know that two equal
    expressions with parameters are one."""

    def rows(self, named: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
        """One row per call (or row of a rollup) and group it is in, with further columns."""
        further = [expression.label(name) for name, expression in named.items()]
        rows = select(*self.columns, *further).select_from(self.tables).where(*self.where)
        # A tag that a call has twice must not count it twice.
        return rows.add_columns(CALL.c.id).distinct() if self.by_tag else rows

    def totals(
        self,
        named: Mapping[str, ColumnElement[Any]],
        aggregates: Callable[[Mapping[str, Any]], Sequence[ColumnElement[Any]]],
    ) -> Select[Any]:
        """One row per group; `aggregates` makes the columns of the named expressions."""
        if not self.by_tag:
            columns = [*self.columns, *aggregates(named)]
            return select(*columns).select_from(self.tables).where(*self.where).group_by(*self.by)
        each = self.rows(named).subquery("each_call")
        groups = [each.c[column.name] for column in self.columns]
        return select(*groups, *aggregates(dict(each.c.items()))).group_by(*groups)


def grouped(source: Source, grouping: Grouping) -> Grouped:
    """A source with the groups of a grouping."""
    tables = source.tables
    columns: list[Label[Any]] = []
    for index, dimension in enumerate(grouping.dimensions):
        if dimension.grain is not None:
            value = source.bucket(grouping.buckets[dimension.grain])
        elif dimension.tag is not None:
            tables, value = joined_tags(source.kind, tables, dimension.tag, f"t{index}")
        else:
            value = _value(source, dimension)
        columns.append(value.label(f"g{index}"))
    columns.append(source.currency.label("group_currency"))
    by_tag = any(dimension.tag is not None for dimension in grouping.dimensions)
    by_time = [f"g{i}" for i, dimension in enumerate(grouping.dimensions) if dimension.grain]
    rest = [f"g{i}" for i in _in_index_order(grouping) if f"g{i}" not in by_time]
    labels = [literal_column(name, String()) for name in (*by_time, *rest, "group_currency")]
    return Grouped(tuple(columns), tables, source.where, by_tag, source.in_order or tuple(labels))


def _in_index_order(grouping: Grouping) -> list[int]:
    places = {name: place for place, name in enumerate(("provider", "model", "project_id"))}
    names = [d.field.name if d.field else "" for d in grouping.dimensions]
    return sorted(range(len(names)), key=lambda i: places.get(names[i], len(places)))


def key_of(row: Sequence[Any], grouping: Grouping) -> Key:
    """The group that a row of `Grouped` is about: its first columns."""
    dimensions = grouping.dimensions
    values = list(row[: len(dimensions) + 1])
    for place, dimension in enumerate(dimensions):
        if dimension.grain is not None:
            values[place] = grouping.label(dimension.grain, int(values[place]))
    return tuple(values)


def keys_of(rows: Sequence[Sequence[Any]], grouping: Grouping) -> list[Key]:
    """The groups that rows of `Grouped` are about, in order."""
    columns: list[Sequence[Any]] = []
    for place, dimension in enumerate(grouping.dimensions):
        column = [row[place] for row in rows]
        if dimension.grain is not None:
            labels = {value: grouping.label(dimension.grain, int(value)) for value in set(column)}
            column = [labels[value] for value in column]
        columns.append(column)
    columns.append([row[len(grouping.dimensions)] for row in rows])
    return list(zip(*columns, strict=True))


def _value(source: Source, dimension: Dimension) -> ColumnElement[Any]:
    field = dimension.field
    if field is None:
        raise LookupError(dimension.key)
    value = source.value(field)
    if field.shape is Shape.METADATA:
        return json_text(source.kind, value, field.metadata_key)
    return value
