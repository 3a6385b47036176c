"""Sums of calls by group, exact on every database, from the cheapest sources that can answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Label,
    RowMapping,
    Select,
    String,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import OperationalError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.analytics.calls import CALL, summed_calls
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.fields import CURRENCY, Dimension, Shape
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import (
    TOKENS,
    Piece,
    Source,
    calls_source,
    cost_of,
    pieces,
    rollup_source,
)
from llm_cost_ops.server.analytics.tags import joined_tags
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.dialects import exact_sum, json_text, read_sum
from llm_cost_ops.server.db.session import ReadSession

MAX_GROUPS = 100_000

Key = tuple[str | None, ...]
"""The value of each dimension in order, then the currency."""
Groups = dict[Key, Totals]


class TooManyGroups(DomainError):
    """A grouping with more groups than an answer may hold."""

    def __init__(self) -> None:
        super().__init__(
            f"gives more than {MAX_GROUPS} groups: narrow the period or the filters",
            field="group_by",
        )


def read_groups(
    session: ReadSession, selection: Selection, grouping: Grouping, *, from_calls: bool = False
) -> Groups:
    """Totals per group and currency; groups whose calls were all taken back are left out.

    `from_calls` reads no rollup, which makes `priced_tokens` known. Raises TooManyGroups.
    """
    groups: Groups = {}
    parts = [Piece(selection.window, None)] if from_calls else pieces(selection, grouping)
    for piece in parts:
        source = source_of(session, selection.within(piece.window), piece)
        for key, totals in _read(session, source, selection, grouping):
            known = groups.get(key)
            if known is None:
                groups[key] = totals
            else:
                known.add(totals)
        if len(groups) > MAX_GROUPS:
            raise TooManyGroups
    return {key: totals for key, totals in groups.items() if not totals.is_nothing}


def source_of(session: ReadSession, selection: Selection, piece: Piece) -> Source:
    """The source of a piece of the window."""
    if piece.rollup is None:
        return calls_source(summed_calls(session, selection.organization_id, selection.window))
    return rollup_source(session.kind, selection.organization_id, selection.window, piece.rollup)


@dataclass(frozen=True, slots=True)
class Grouped:
    """A source filtered, joined and grouped: `columns` are `g0, g1, ..., group_currency`."""

    columns: tuple[Label[Any], ...]
    tables: FromClause
    where: tuple[ColumnElement[bool], ...]
    by_tag: bool

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
        """One row per group; `aggregates` makes the columns of the named expressions.

        Groups are named by their labels, because a database does not know that two equal
        expressions with parameters are one.
        """
        names: list[ColumnElement[Any]] = [literal_column(c.name, String()) for c in self.columns]
        if not self.by_tag:
            columns = [*self.columns, *aggregates(named)]
            return select(*columns).select_from(self.tables).where(*self.where).group_by(*names)
        each = self.rows(named).subquery("each_call")
        groups = [each.c[column.name] for column in self.columns]
        return select(*groups, *aggregates(dict(each.c.items()))).group_by(*groups)


def grouped(source: Source, selection: Selection, grouping: Grouping) -> Grouped:
    """A source with the filters of a selection and the groups of a grouping."""
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
    columns.append(source.value(CURRENCY).label("group_currency"))
    where = (*source.where, *(holds(c, source.value, source.kind) for c in selection.conditions))
    by_tag = any(dimension.tag is not None for dimension in grouping.dimensions)
    return Grouped(tuple(columns), tables, where, by_tag)


def key_of(row: RowMapping, grouping: Grouping) -> Key:
    """The group that a row of `Grouped` is about."""
    values: list[str | None] = []
    for index, dimension in enumerate(grouping.dimensions):
        value = row[f"g{index}"]
        if dimension.grain is not None:
            value = grouping.buckets[dimension.grain].label(int(value))
        values.append(value)
    return (*values, row["group_currency"])


def _value(source: Source, dimension: Dimension) -> ColumnElement[Any]:
    field = dimension.field
    if field is None:
        raise LookupError(dimension.key)
    value = source.value(field)
    if field.shape is Shape.METADATA:
        return json_text(source.kind, value, field.metadata_key)
    return value


def _read(
    session: ReadSession, source: Source, selection: Selection, grouping: Grouping
) -> list[tuple[Key, Totals]]:
    made = grouped(source, selection, grouping)
    try:
        rows = _rows(session, source, made, exact=False)
    except OperationalError as error:
        if "integer overflow" not in str(error.orig):
            raise
        rows = _rows(session, source, made, exact=True)
    names = [*source.sums]
    return [(key_of(row, grouping), _totals(row, names)) for row in rows]


def _rows(
    session: ReadSession, source: Source, made: Grouped, *, exact: bool
) -> Sequence[RowMapping]:
    """SQLite sums in 64 bits and says so when they are too few; then, and only then, halves are
    summed, which takes twice as long."""

    def aggregates(of: Mapping[str, Any]) -> list[ColumnElement[Any]]:
        columns: list[ColumnElement[Any]] = []
        for name in source.sums:
            plain = (func.sum(of[name]).label(name),)
            columns += exact_sum(source.kind, of[name], name) if exact else plain
        return [*columns, func.min(of["low"]).label("low"), func.max(of["high"]).label("high")]

    named = {**source.sums, "low": source.low, "high": source.high}
    statement = made.totals(named, aggregates).limit(MAX_GROUPS + 1)
    return session.execute(statement).mappings().all()


def _totals(row: RowMapping, names: Sequence[str]) -> Totals:
    sums = {name: read_sum(cast("Mapping[str, Any]", row), name) or 0 for name in names}
    tokens = {name: sums[name] for name in TOKENS}
    priced_tokens = sums.get("priced_tokens")
    if priced_tokens is None and sums["unpriced"] == 0:
        priced_tokens = tokens["total_tokens"]
    return Totals(
        sums["requests"],
        sums["unpriced"],
        sums["partially_priced"],
        cost_of(sums, "cost"),
        cost_of(sums, "list_cost"),
        tokens,
        priced_tokens,
        None if row["low"] is None else int(row["low"]),
        None if row["high"] is None else int(row["high"]),
    )
