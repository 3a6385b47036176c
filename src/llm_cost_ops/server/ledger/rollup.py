"""The rollups: sums of the ledger by hour and by day, moved in the ledger's own transaction.

A rollup is a projection: `verify` compares it with the ledger and `rebuild` makes it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, func, or_, select

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.money import E10
from llm_cost_ops.server.db.classify import classify
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.tables import MEASURES, rollup_daily, rollup_hourly, rollup_models
from llm_cost_ops.server.ledger.upsert import columns, upsert

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_BY_MODEL = ("organization_id", "bucket", "provider", "model_name", "currency")
_BY_PROJECT = ("organization_id", "bucket", "provider", "model_name", "project_id", "currency")
TOKENS = MEASURES[-6:]
LARGEST = 2**63 - 1
SUSPICIOUS = 2**43
"""Tokens that one transaction adds to one hour beyond which the sum is looked at: no real hour of a
model comes near it, and it takes a million of them to leave 64 bits."""

Key = tuple[Any, ...]


class Rollup(NamedTuple):
    """A table of sums, its key, and how many of its buckets make a day."""

    table: Table
    key: tuple[str, ...]
    buckets: int


ROLLUPS = (
    Rollup(rollup_hourly, _BY_MODEL, DAY_US // HOUR_US),
    Rollup(rollup_daily, _BY_PROJECT, 1),
    Rollup(rollup_models, _BY_MODEL, 1),
)
"""In the order in which every writer comes to them."""


class Delta:
    """What one group of calls adds, and its smallest and largest cost."""

    __slots__ = ("cost", "counts", "high", "list_cost", "low")

    def __init__(self) -> None:
        self.counts = [0] * 9
        self.cost = 0
        self.list_cost = 0
        self.low: int | None = None
        self.high: int | None = None

    def merge(self, other: Delta) -> None:
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.cost += other.cost
        self.list_cost += other.list_cost
        if other.low is not None and other.high is not None:
            self.widen(other.low, other.high)

    def widen(self, low: int, high: int) -> None:
        """Include costs of calls."""
        self.low = low if self.low is None else min(low, self.low)
        self.high = high if self.high is None else max(high, self.high)

    def values(self) -> tuple[Any, ...]:
        """In the order of `MEASURES`, then the extremes."""
        requests, unpriced, partial, *tokens = self.counts
        whole, fraction = divmod(self.cost, E10)
        list_whole, list_fraction = divmod(self.list_cost, E10)
        head = (requests, unpriced, partial, whole, fraction, list_whole, list_fraction)
        return (*head, *tokens, self.low, self.high)


def deltas_of(entries: Iterable[Entry]) -> dict[Key, Delta]:
    """Sums by organization, hour, provider, model, project, currency: all rollups follow."""
    groups: dict[Key, Delta] = {}
    for entry in entries:
        key = (
            entry.organization_id,
            entry.timestamp // HOUR_US,
            entry.provider,
            entry.model_name,
            entry.project_id or "",
            entry.currency,
        )
        delta = groups.get(key)
        if delta is None:
            delta = groups[key] = Delta()
        _add(delta, entry)
    return groups


def _add(delta: Delta, entry: Entry) -> None:
    counts = delta.counts
    requests = entry.requests
    counts[0] += requests
    counts[3] += entry.input_tokens
    counts[4] += entry.output_tokens
    counts[5] += entry.total_tokens
    counts[6] += entry.cached_tokens
    counts[7] += entry.cache_write_tokens
    counts[8] += entry.reasoning_tokens
    cost = entry.cost_e10
    if cost is None:
        counts[1] += requests
        return
    if entry.cost_status != "priced":
        counts[2] += requests
    delta.cost += cost
    delta.list_cost += cost if entry.list_cost_e10 is None else entry.list_cost_e10
    if delta.low is None or cost < delta.low:
        delta.low = cost
    if delta.high is None or cost > delta.high:
        delta.high = cost


def apply(session: WriteSession, groups: Mapping[Key, Delta]) -> None:
    """Add the deltas to all rollups, rows in key order so that writers never deadlock.

    Raises UsageError when a sum of tokens would leave 64 bits.
    """
    for rollup, found in zip(ROLLUPS, projected(groups), strict=True):
        _upsert(session, rollup.table, rollup.key, found)


def projected(groups: Mapping[Key, Delta]) -> tuple[dict[Key, Delta], ...]:
    """The deltas by the keys of each of `ROLLUPS`."""
    hourly: dict[Key, Delta] = {}
    daily: dict[Key, Delta] = {}
    models: dict[Key, Delta] = {}
    for (organization, hour, provider, model, project, currency), delta in groups.items():
        _fold(hourly, (organization, hour, provider, model, currency), delta)
        _fold(daily, (organization, hour // 24, provider, model, project, currency), delta)
    for (organization, hour, provider, model, currency), delta in hourly.items():
        _fold(models, (organization, hour // 24, provider, model, currency), delta)
    return hourly, daily, models


def _fold(target: dict[Key, Delta], key: Key, delta: Delta) -> None:
    existing = target.get(key)
    if existing is None:
        existing = target[key] = Delta()
    existing.merge(delta)


def rows_of(key: Sequence[str], groups: Mapping[Key, Delta]) -> list[dict[str, Any]]:
    """Rows of a rollup, in key order."""
    names = columns(key)
    return [dict(zip(names, row, strict=True)) for row in _values(groups)]


def _values(groups: Mapping[Key, Delta]) -> list[tuple[Any, ...]]:
    return [(*values, *groups[values].values()) for values in sorted(groups)]


def _upsert(
    session: WriteSession, table: Table, key: tuple[str, ...], groups: Mapping[Key, Delta]
) -> None:
    if not groups:
        return
    large = [values for values, delta in groups.items() if max(delta.counts) > SUSPICIOUS]
    if any(max(groups[values].counts) > LARGEST for values in large):
        raise _beyond_64_bits()
    try:
        upsert(session, table, key, _values(groups))
    except Exception as error:
        if large and classify(error) is None:
            raise _beyond_64_bits() from error
        raise
    if large and session.kind is DatabaseKind.SQLITE:
        _refuse_reals(session, table, key, large)


def _refuse_reals(
    session: WriteSession, table: Table, key: Sequence[str], values: Sequence[Key]
) -> None:
    """Where other databases fail, SQLite goes on in floating point."""
    here = [and_(*(table.c[n] == v for n, v in zip(key, row, strict=True))) for row in values]
    real: list[ColumnElement[bool]] = [func.typeof(table.c[name]) == "real" for name in TOKENS]
    for condition in here:
        if session.execute(select(table.c.bucket).where(condition, or_(*real))).first():
            raise _beyond_64_bits()


def _beyond_64_bits() -> UsageError:
    return UsageError("usage", f"would add up to more than {LARGEST} tokens within one hour or day")
