"""Which table answers a question: the rollups where they can, the calls themselves where not.

A rollup can when it has every field asked for, and when the buckets of time asked for are made of
whole rows of it. What a window begins or ends inside of a row comes from the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, FromClause, case, func, literal_column
from sqlalchemy.sql import operators

from llm_cost_ops.core.buckets import Buckets, Run
from llm_cost_ops.core.money import E10
from llm_cost_ops.core.period import DAY_US, HOUR_US, Window
from llm_cost_ops.server.analytics.calls import CALL, Calls, Expression
from llm_cost_ops.server.analytics.fields import Field
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.db.dialects import floor_divide
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.tables import rollup_daily, rollup_hourly

TOKENS = (
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
COUNTS = ("requests", "unpriced", "partially_priced", *TOKENS)
_SPLIT_MONEY = ("cost_whole", "cost_fraction", "list_whole", "list_fraction")
_TABLES = {"rollup_hourly": rollup_hourly.alias("r"), "rollup_daily": rollup_daily.alias("r")}


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of sums: rows of `width_us` per value of its fields."""

    table: str
    width_us: int
    fields: frozenset[str]


HOURLY = Rollup(
    "rollup_hourly", HOUR_US, frozenset({"organization_id", "provider", "model", "currency"})
)
DAILY = Rollup("rollup_daily", DAY_US, HOURLY.fields | {"project_id"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the window and the rollup that answers for it; None stands for the calls."""

    window: Window
    rollup: Rollup | None


def pieces(selection: Selection, grouping: Grouping) -> list[Piece]:
    """The window in disjoint parts, each with its source."""
    window = selection.window
    if window.is_empty:
        return []
    rollup = _fitting(selection, grouping)
    if rollup is None:
        return [Piece(window, None)]
    width = rollup.width_us
    start = -(-window.start_us // width) * width
    end = window.end_us // width * width
    if start >= end:
        return [Piece(window, None)]
    parts = [
        Piece(Window(window.start_us, start), None),
        Piece(Window(start, end), rollup),
        Piece(Window(end, window.end_us), None),
    ]
    return [part for part in parts if not part.window.is_empty]


def _fitting(selection: Selection, grouping: Grouping) -> Rollup | None:
    if any(d.tag is not None for d in grouping.dimensions):
        return None
    wanted = {d.field.name for d in grouping.dimensions if d.field}
    wanted |= {c.field.name for c in selection.conditions}
    edges = [edge for made in grouping.buckets.values() for edge in made.edges]
    for rollup in (HOURLY, DAILY):
        if wanted <= rollup.fields and all(edge % rollup.width_us == 0 for edge in edges):
            return rollup
    return None


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
    """Counts, `priced_tokens` where known, and amounts as `cost` or `cost_whole` and
    `cost_fraction`, as far as the caller wants them."""
    low: Expression
    high: Expression

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
    kind: DatabaseKind, organization_id: str, window: Window, rollup: Rollup
) -> Source:
    """The rows of a rollup; the window is made of whole rows."""
    row = _TABLES[rollup.table].c
    width = rollup.width_us

    def value(field: Field) -> Expression:
        column = row[field.column]
        return func.nullif(column, "") if field.name == "project_id" else column

    where = (
        row.organization_id == organization_id,
        row.bucket >= window.start_us // width,
        row.bucket < window.end_us // width,
    )
    sums: dict[str, Expression] = {name: row[name] for name in (*COUNTS, *_SPLIT_MONEY)}
    low, high = row.min_cost_e10, row.max_cost_e10
    return Source(kind, _TABLES[rollup.table], where, value, row.bucket, width, sums, low, high)


def calls_source(calls: Calls) -> Source:
    """The calls themselves."""
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
    return Source(
        calls.kind, calls.tables, calls.where, calls.value, CALL.c.timestamp, 1, sums, cost, cost
    )


def cost_of(sums: Mapping[str, int], name: str) -> int:
    """A summed amount in units of 1e-10, whichever way it was summed."""
    key = {"cost": "cost", "list_cost": "list"}[name]
    if name in sums:
        return sums[name]
    return sums[f"{key}_whole"] * E10 + sums[f"{key}_fraction"]


def _whole(number: int) -> Expression:
    return literal_column(str(number), BigInteger())
