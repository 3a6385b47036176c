"""What is not a call as an exported table: the audit log, prices, budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.grants import Reach
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import EXACT, PLACES
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.audit import store as audit
from llm_cost_ops.server.audit.shown import shown
from llm_cost_ops.server.budgets import wire
from llm_cost_ops.server.budgets.allowed import hidden
from llm_cost_ops.server.budgets.standings import standings
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.exports.columns import Batch, Column, Exported, Kind
from llm_cost_ops.server.identity.emails import emails_of
from llm_cost_ops.server.pricing import catalogue
from llm_cost_ops.server.spend import store as budgets
from llm_cost_ops.server.spend.index import Index

AUDIT, PRICING, BUDGETS = "audit", "pricing", "budgets"
BATCH_ROWS = 1_000
_T, _C, _M, _N, _I, _J = (
    Kind.TEXT, Kind.COUNT, Kind.MONEY, Kind.NUMBER, Kind.INSTANT, Kind.JSON,
)  # fmt: skip
_COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    AUDIT: {
        "timestamp": _I, "seq": _C, "action": _T, "outcome": _T, "actor_kind": _T, "actor_id": _T,
        "user_id": _T, "user_email": _T, "ip": _T, "resource_type": _T, "resource_id": _T,
        "before": _J, "after": _J, "request_id": _T, "id": _T, "previous_hash": _T, "hash": _T,
    },
    PRICING: {
        "provider": _T, "model": _T, "source": _T, "currency": _T, "region": _T,
        "service_tier": _T, "processing": _T, "effective_date": _I, "end_date": _I,
        "input_price_per_million": _N, "output_price_per_million": _N,
        "cached_input_price_per_million": _N, "prices": _J, "pricing_structure": _J, "id": _T,
        "version": _C, "recorded_at": _I,
    },
    BUDGETS: {
        "id": _T, "name": _T, "description": _T, "status": _T, "enforcement": _T, "period": _T,
        "period_start": _I, "period_end": _I, "currency": _T, "amount": _M, "limit": _M,
        "spent": _M, "reserved": _M, "remaining": _M, "utilization": _N, "carried_over": _M,
        "adjusted": _M, "request_limit": _C, "requests": _C, "token_limit": _C, "tokens": _C,
        "unpriced_requests": _C, "scope": _J, "parent_id": _T, "created_at": _I,
    },
}  # fmt: skip
TYPES = tuple(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Records:
    """Which rows. `audit` are those of the log, `prices` those of a listing, `reach` the budgets'
    as far as the calls that they are about are reached."""

    kind: str
    organization_id: str
    at: datetime
    reach: Reach
    columns: tuple[Column, ...]
    audit: audit.Filters
    prices: catalogue.Wanted

    def table(self, database: Database, book: Callable[[], PriceBook]) -> Exported:
        """The table, read when its first rows are."""
        rows = {
            AUDIT: lambda: self._audit(database),
            PRICING: lambda: self._prices(database, book()),
            BUDGETS: lambda: self._budgets(database),
        }[self.kind]
        return Exported(self.kind, self.columns, self._batches(rows), adds_up=False)

    def _batches(self, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> Iterator[Batch]:
        batch: list[Sequence[Any]] = []
        for row in rows():
            batch.append([_value(column.kind, row.get(column.name)) for column in self.columns])
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch

    def _audit(self, database: Database) -> Iterator[Mapping[str, Any]]:
        for rows in audit.pages(database, self.organization_id, self.audit):
            users = {row["user_id"] for row in rows if row["user_id"] and not row["user_email"]}
            with read(database) as session:
                emails = emails_of(session, self.organization_id, users)
            for row in rows:
                yield shown(row, emails)

    def _prices(self, database: Database, book: PriceBook) -> Sequence[Mapping[str, Any]]:
        with read(database) as session:
            return [*catalogue.listing(session, book, self.organization_id, self.prices)]

    def _budgets(self, database: Database) -> Sequence[Mapping[str, Any]]:
        now_us = to_micros(self.at)
        with read(database) as session:
            rows = budgets.rows(session, self.organization_id)
            index = Index(1, map(budgets.budget_of, rows))
            unseen = hidden(self.reach, index, index.budgets.values())
            kept = [row for row in rows if row["id"] not in unseen]
            where = standings(session, [index.budgets[row["id"]] for row in kept], now_us)
            return [
                wire.budget_row(index.budgets[row["id"]], row, where[row["id"]]) for row in kept
            ]


def columns_of(kind: str, names: Sequence[str]) -> tuple[Column, ...] | None:
    """The columns that were named, or all of the type; None when one is not known."""
    known = _COLUMNS[kind]
    if any(name not in known for name in names):
        return None
    return tuple(Column(name, known[name]) for name in dict.fromkeys(names or known))


def fields_of(kind: str) -> tuple[str, ...]:
    """What a table of this type may have as a column."""
    return tuple(_COLUMNS[kind])


def _value(kind: Kind, value: Any) -> Any:
    """A value of the API as one of a table."""
    if value is None:
        return None
    if kind is Kind.MONEY:
        return int(Decimal(value).scaleb(PLACES, EXACT))
    if kind is Kind.NUMBER:
        return Decimal(value)
    if kind is Kind.INSTANT:
        return to_micros(parse_instant(value, "timestamp"))
    return dumps(value) if kind is Kind.JSON else value
