"""The tables that answer reads, as expressions to group, sum and compare by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    case,
    literal_column,
)
from sqlalchemy.sql import operators

from llm_cost_ops.core.buckets import Buckets, Run
from llm_cost_ops.server.analytics.calls import CALL, Expression, summed_calls
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.fields import CURRENCY, Field
from llm_cost_ops.server.analytics.selection import Selection
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
    in_order: tuple[Expression, ...] = ()
    """Columns to group by instead of the groups asked for: as fine, and sorted as they are read.
    `currency` is then a sum's, not a group's."""

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
