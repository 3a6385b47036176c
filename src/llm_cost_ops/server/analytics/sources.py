"""The tables that answer reads, as expressions to group, sum and compare by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    case,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.selectable import Subquery

from llm_cost_ops.core.buckets import Buckets, Run
from llm_cost_ops.server.analytics.calls import CALL, Expression, summed_calls
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.fields import CURRENCY, Field
from llm_cost_ops.server.analytics.pieces import Rollup
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.db.dialects import floor_divide
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind

TOKENS = (
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""Columns of tokens; `total_tokens` is the first."""
COUNTS = ("requests", "unpriced", "partially_priced", *TOKENS)
BASE = frozenset({"requests", "unpriced", "partially_priced", "total_tokens", "cost"})
"""The sums that every read of groups needs."""
EVERY = BASE | frozenset(TOKENS) | {"list_cost"}
_COLUMNS = {"model": "model_name"}


@dataclass(frozen=True, slots=True)
class Source:
    """A table with the expressions to group, sum and compare by."""

    kind: DatabaseKind
    tables: FromClause
    where: tuple[ColumnElement[bool], ...]
    value: Callable[[Field], Expression]
    time: Expression
    unit_us: int
    sums: dict[str, Expression]
    """Counts and amounts of EVERY that are wanted, and `priced_tokens` where known. A rollup's
    amounts are two: `cost` is whole units and `cost_fraction` the rest in 1e-10."""
    low: Expression
    high: Expression
    currency: Expression
    last_currency: Expression
    """Another one than `currency` where a row adds up several: then it must be read apart."""
    usage: Expression | None = None
    """The quantities by kind; rollups have none."""

    def bucket(self, made: Buckets) -> Expression:
        """The index of the bucket that a row falls into."""
        return self._bucket(made.runs())

    def _bucket(self, runs: Sequence[Run]) -> Expression:
        if not runs:
            return literal_column("0", BigInteger())
        if len(runs) == 1:
            run = runs[0]
            passed = self.time - _whole(run.start_us // self.unit_us)
            passed = passed.self_group(against=operators.truediv)
            return floor_divide(self.kind, passed, run.step_us // self.unit_us) + _whole(run.first)
        middle = len(runs) // 2
        early = self.time < _whole(runs[middle].start_us // self.unit_us)
        return case((early, self._bucket(runs[:middle])), else_=self._bucket(runs[middle:]))


def rollup_source(
    kind: DatabaseKind,
    selection: Selection,
    rollup: Rollup,
    grouping: Grouping,
    wanted: frozenset[str] = EVERY,
    *,
    by_currency: bool = False,
) -> Source:
    """The rows of a rollup; first added up over the fields that are not asked for, where there are
    such: in the order of the key that needs no sort, so that little is left to sort.

    `by_currency` is for what turned out to have several currencies.
    """
    fields = _leading(rollup, grouping)
    whole = by_currency or fields == rollup.fields
    if whole:
        table = _whole_rows(kind, rollup, selection)
    else:
        table = _added_up(kind, rollup, selection, fields, wanted)

    def value(field: Field) -> Expression:
        if field.name == "organization_id":
            return literal(selection.organization_id)
        column = table.c[field.column]
        return func.nullif(column, "") if field.name == "project_id" else column

    return Source(
        kind,
        table,
        (),
        value,
        table.c.bucket,
        rollup.width_us,
        _rollup_sums(table.c, wanted),
        table.c.min_cost_e10,
        table.c.max_cost_e10,
        table.c.currency,
        table.c.currency if whole else table.c.last_currency,
    )


def _whole_rows(kind: DatabaseKind, rollup: Rollup, selection: Selection) -> Subquery:
    return select(rollup.table).where(*_rollup_rows(kind, rollup, selection)).subquery("r")


def _added_up(
    kind: DatabaseKind,
    rollup: Rollup,
    selection: Selection,
    fields: Sequence[str],
    wanted: frozenset[str],
) -> Subquery:
    row = rollup.table.c
    keys = [row.bucket, *(row[_COLUMNS.get(name, name)] for name in fields)]
    return (
        select(
            *keys,
            *(func.sum(column).label(column.name) for column in _rollup_sums(row, wanted).values()),
            func.min(row.min_cost_e10).label("min_cost_e10"),
            func.max(row.max_cost_e10).label("max_cost_e10"),
            func.min(row.currency).label("currency"),
            func.max(row.currency).label("last_currency"),
        )
        .where(*_rollup_rows(kind, rollup, selection))
        .group_by(*keys)
        .subquery("r")
    )


def _leading(rollup: Rollup, grouping: Grouping) -> tuple[str, ...]:
    """The fields of the key up to the last one that is asked for."""
    asked = {dimension.field.name for dimension in grouping.dimensions if dimension.field}
    places = [place for place, name in enumerate(rollup.fields) if name in asked]
    return rollup.fields[: max(places, default=-1) + 1]


def _rollup_sums(row: Any, wanted: frozenset[str]) -> dict[str, Any]:
    sums: dict[str, Any] = {name: row[name] for name in COUNTS if name in wanted}
    for name, column in (("cost", "cost"), ("list_cost", "list")):
        if name in wanted:
            sums[name] = row[f"{column}_whole"]
            sums[f"{name}_fraction"] = row[f"{column}_fraction"]
    return sums


def _rollup_rows(
    kind: DatabaseKind, rollup: Rollup, selection: Selection
) -> list[ColumnElement[bool]]:
    """The window, which is made of whole rows, and the filters."""
    row, window = rollup.table.c, selection.window

    def value(field: Field) -> Expression:
        column = row[field.column]
        return func.nullif(column, "") if field.name == "project_id" else column

    return [
        row.organization_id == selection.organization_id,
        row.bucket >= window.start_us // rollup.width_us,
        row.bucket < window.end_us // rollup.width_us,
        *(holds(item, value, kind) for item in selection.conditions),
    ]


def calls_source(
    session: ReadSession, selection: Selection, wanted: frozenset[str] = EVERY
) -> Source:
    """The calls themselves."""
    calls = summed_calls(session, selection.organization_id, selection.window)
    cost = calls.column("cost_e10")
    requests = calls.column("requests")
    partial = calls.column("cost_status") == "partially_priced"
    tokens = {name: calls.column(name) for name in TOKENS}
    sums: dict[str, Expression] = {
        "requests": requests,
        "unpriced": case((cost.is_(None), requests), else_=0),
        "partially_priced": case((partial, requests), else_=0),
        **tokens,
        "priced_tokens": case((cost.is_(None), 0), else_=tokens["total_tokens"]),
        "cost": cost,
        "list_cost": calls.column("list_cost_e10"),
    }
    sums = {name: e for name, e in sums.items() if name in wanted or name == "priced_tokens"}
    conditions = [holds(item, calls.value, calls.kind) for item in selection.conditions]
    currency = calls.value(CURRENCY)
    return Source(
        calls.kind,
        calls.tables,
        (*calls.where, *conditions),
        calls.value,
        CALL.c.timestamp,
        1,
        sums,
        cost,
        cost,
        currency,
        currency,
        calls.usage(),
    )


def _whole(number: int) -> Expression:
    return literal_column(str(number), BigInteger())
