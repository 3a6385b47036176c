"""Sums of calls by group, exact on every database, from the cheapest sources that can answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Label,
    Select,
    String,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import OperationalError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import E10
from llm_cost_ops.server.analytics.calls import CALL
from llm_cost_ops.server.analytics.fields import Dimension, Shape
from llm_cost_ops.server.analytics.pieces import Piece, pieces
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import (
    EVERY,
    TOKENS,
    Source,
    calls_source,
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
    session: ReadSession,
    selection: Selection,
    grouping: Grouping,
    wanted: frozenset[str] = EVERY,
    *,
    from_calls: bool = False,
) -> Groups:
    """Totals per group and currency; groups whose calls were all taken back are left out.

    `wanted` are the sums to read. `from_calls` reads no rollup, which makes `priced_tokens` known.
    Raises TooManyGroups.
    """
    groups: Groups = {}
    whole = [Piece(selection.window, None)]
    for piece in whole if from_calls else pieces(session, selection, grouping):
        for key, totals in _read(session, selection.within(piece.window), piece, grouping, wanted):
            known = groups.get(key)
            if known is None:
                groups[key] = totals
            else:
                known.add(totals)
        if len(groups) > MAX_GROUPS:
            raise TooManyGroups
    return {key: totals for key, totals in groups.items() if not totals.is_nothing}


@dataclass(frozen=True, slots=True)
class Grouped:
    """A source filtered, joined and grouped: `columns` are `g0, g1, ..., group_currency`."""

    columns: tuple[Label[Any], ...]
    tables: FromClause
    where: tuple[ColumnElement[bool], ...]
    by_tag: bool
    time_first: tuple[str, ...]
    """The columns in the order in which they come from an index, which saves most of a sort."""

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
        names: list[ColumnElement[Any]] = [literal_column(n, String()) for n in self.time_first]
        if not self.by_tag:
            columns = [*self.columns, *aggregates(named)]
            return select(*columns).select_from(self.tables).where(*self.where).group_by(*names)
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
    order = (*by_time, *rest, "group_currency")
    return Grouped(tuple(columns), tables, source.where, by_tag, order)


def _in_index_order(grouping: Grouping) -> list[int]:
    places = {name: place for place, name in enumerate(("provider", "model", "project_id"))}
    names = [d.field.name if d.field else "" for d in grouping.dimensions]
    return sorted(range(len(names)), key=lambda i: places.get(names[i], len(places)))


def key_of(row: Sequence[Any], grouping: Grouping) -> Key:
    """The group that a row of `Grouped` is about: its first columns."""
    values: list[str | None] = []
    for dimension, value in zip(grouping.dimensions, row, strict=False):
        if dimension.grain is not None:
            value = grouping.label(dimension.grain, int(value))
        values.append(value)
    return (*values, row[len(values)])


def _value(source: Source, dimension: Dimension) -> ColumnElement[Any]:
    field = dimension.field
    if field is None:
        raise LookupError(dimension.key)
    value = source.value(field)
    if field.shape is Shape.METADATA:
        return json_text(source.kind, value, field.metadata_key)
    return value


def _read(
    session: ReadSession,
    selection: Selection,
    piece: Piece,
    grouping: Grouping,
    wanted: frozenset[str],
) -> list[tuple[Key, Totals]]:
    if piece.rollup is None:
        source = calls_source(session, selection, wanted)
        rows = _rows(session, source, grouping)
    else:
        source = rollup_source(session.kind, selection, piece.rollup, grouping, wanted)
        rows = _rows(session, source, grouping)
        place = len(grouping.dimensions)
        if any(row[-1] != row[place] for row in rows):
            source = rollup_source(
                session.kind, selection, piece.rollup, grouping, wanted, by_currency=True
            )
            rows = _rows(session, source, grouping)
    totals_of = _totals_of(tuple(source.sums), len(grouping.dimensions) + 1)
    return [(key_of(row, grouping), totals_of(row)) for row in rows]


def _rows(session: ReadSession, source: Source, grouping: Grouping) -> Sequence[Sequence[Any]]:
    """Groups and currency, the sums in order, the smallest and the largest cost, last currency.

    SQLite sums in 64 bits and says so when they are too few; then, and only then, halves are
    summed, which takes twice as long.
    """
    try:
        return _summed(session, source, grouping, exact=False)
    except OperationalError as error:
        if "integer overflow" not in str(error.orig):
            raise
        return _summed(session, source, grouping, exact=True)


def _summed(
    session: ReadSession, source: Source, grouping: Grouping, *, exact: bool
) -> Sequence[Sequence[Any]]:
    def aggregates(of: Mapping[str, Any]) -> list[ColumnElement[Any]]:
        columns: list[ColumnElement[Any]] = []
        for name in source.sums:
            plain = (func.sum(of[name]).label(name),)
            columns += exact_sum(source.kind, of[name], name) if exact else plain
        ends = {"low": func.min, "high": func.max, "last_currency": func.max}
        return [*columns, *(end(of[name]).label(name) for name, end in ends.items())]

    made = grouped(source, grouping)
    named = {**source.sums, "low": source.low, "high": source.high}
    named["last_currency"] = source.last_currency
    result = session.execute(made.totals(named, aggregates).limit(MAX_GROUPS + 1))
    if not exact:
        return result.all()
    groups = [column.name for column in made.columns]
    return [
        (
            *(row[name] for name in groups),
            *(read_sum(cast("Mapping[str, Any]", row), name) for name in source.sums),
            *(row[name] for name in ("low", "high", "last_currency")),
        )
        for row in result.mappings()
    ]


def _totals_of(names: Sequence[str], width: int) -> Callable[[Sequence[Any]], Totals]:
    """What reads the totals of a row: after `width` columns the sums under their names, then the
    extremes and a currency. PostgreSQL and MySQL give sums of integers as decimals."""
    place = {name: width + index for index, name in enumerate(names)}
    requests, unpriced, partial = (place[n] for n in ("requests", "unpriced", "partially_priced"))
    cost, list_cost = place["cost"], place.get("list_cost")
    split = "cost_fraction" in place
    tokens = [place.get(name) for name in TOKENS]
    priced_tokens = place.get("priced_tokens")

    def amount(row: Sequence[Any], at: int) -> int:
        return int(row[at] or 0) * E10 + int(row[at + 1] or 0) if split else int(row[at] or 0)

    def read(row: Sequence[Any]) -> Totals:
        without_price = int(row[unpriced])
        counts = tuple([0 if at is None else int(row[at]) for at in tokens])
        if priced_tokens is not None:
            priced = int(row[priced_tokens])
        else:
            priced = None if without_price else counts[0]
        low, high = row[-3], row[-2]
        return Totals(
            int(row[requests]),
            without_price,
            int(row[partial]),
            amount(row, cost),
            0 if list_cost is None else amount(row, list_cost),
            counts,
            priced,
            None if low is None else int(low),
            None if high is None else int(high),
        )

    return read
