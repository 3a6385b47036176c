"""Sums of calls by group, exact on every database, from the cheapest sources that can answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, func
from sqlalchemy.exc import OperationalError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import E10
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.server.analytics.grouped import Key, grouped, keys_of
from llm_cost_ops.server.analytics.pieces import Piece, is_by_team, pieces
from llm_cost_ops.server.analytics.rollups import rollup_source
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import EVERY, TOKENS, Source, calls_source
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.dialects import exact_sum, read_sum, short_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.teams import PROJECT, TEAM, known_days

MAX_GROUPS = 100_000

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

    def by_team(window: Window, by_project: bool) -> Iterable[int]:
        days = (-(-window.start_us // DAY_US), window.end_us // DAY_US)
        grains = (PROJECT,) if by_project else (PROJECT, TEAM)
        return known_days(session, selection.organization_id, days, grains)

    whole = [Piece(selection.window, None)]
    for piece in whole if from_calls else pieces(selection, grouping, by_team):
        for key, totals in _read(session, selection.within(piece.window), piece, grouping, wanted):
            known = groups.get(key)
            if known is None:
                groups[key] = totals
            else:
                known.add(totals)
        if len(groups) > MAX_GROUPS:
            raise TooManyGroups
    if not from_calls and is_by_team(selection, grouping):
        _as_of_rollups(groups.values())
    return {key: totals for key, totals in groups.items() if not totals.is_nothing}


def _as_of_rollups(found: Iterable[Totals]) -> None:
    """An answer must not depend on which days the worker has summed."""
    for totals in found:
        if totals.unpriced:
            totals.priced_tokens = None


def _read(
    session: ReadSession,
    selection: Selection,
    piece: Piece,
    grouping: Grouping,
    wanted: frozenset[str],
) -> list[tuple[Key, Totals]]:
    place = len(grouping.dimensions)
    source = _source(session, selection, piece, grouping, wanted)
    try:
        rows = _summed(session, source, grouping, exact=False)
        if any(row[-1] != row[place] for row in rows):
            source = _source(session, selection, piece, grouping, wanted, apart=True)
            rows = _summed(session, source, grouping, exact=False)
    except OperationalError as error:
        # SQLite sums in 64 bits and says so when they are too few; then, and only then, halves
        # are summed, which takes twice as long.
        if "integer overflow" not in str(error.orig):
            raise
        source = _source(session, selection, piece, grouping, wanted, apart=True)
        rows = _summed(session, source, grouping, exact=True)
    totals_of = _totals_of(tuple(source.sums), place + 1)
    return list(zip(keys_of(rows, grouping), map(totals_of, rows), strict=True))


def _source(
    session: ReadSession,
    selection: Selection,
    piece: Piece,
    grouping: Grouping,
    wanted: frozenset[str],
    *,
    apart: bool = False,
) -> Source:
    if piece.rollup is None:
        return calls_source(session, selection, wanted)
    return rollup_source(session.kind, selection, piece.rollup, grouping, wanted, apart=apart)


def _summed(
    session: ReadSession, source: Source, grouping: Grouping, *, exact: bool
) -> Sequence[Sequence[Any]]:
    """Groups and currency, the sums in order, the smallest and the largest cost, last currency."""

    def aggregates(of: Mapping[str, Any]) -> list[ColumnElement[Any]]:
        columns: list[ColumnElement[Any]] = []
        for name in source.sums:
            plain = (short_sum(source.kind, of[name]).label(name),)
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
    extremes and a currency. PostgreSQL gives sums as text, MySQL as decimals."""
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
