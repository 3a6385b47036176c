"""Re-rating: what stored calls would cost under today's knowledge of prices, and applying it.

A preview changes nothing. Applying adds one correction per call whose cost differs; the calls
themselves and earlier corrections stay as they are.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, insert, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.pricing.structures import volume_metric
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger import correct, store
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.ledger.wire import usage_of
from llm_cost_ops.server.pricing.resolve import OrganizationPrices, Prices, Quote, quote_of
from llm_cost_ops.server.pricing.tables import reratings

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which calls to look at: [start_us, end_us), optionally one provider or model."""

    organization_id: str
    start_us: int
    end_us: int
    provider: str | None = None
    model: str | None = None
    unpriced_only: bool = False


@dataclass(slots=True)
class Report:
    """Sums over the calls whose cost changes, in 1e-10 per currency and model."""

    records: int = 0
    examined: int = 0
    old_e10: int = 0
    new_e10: int = 0
    by_model: dict[tuple[str, str, str], list[int]] = field(
        default_factory=dict[tuple[str, str, str], list[int]]
    )
    rerate_id: str | None = None

    def add(self, call: Mapping[str, Any], quote: Quote) -> None:
        old, new = call["cost_e10"] or 0, quote.cost_e10 or 0
        self.records += 1
        self.old_e10 += old
        self.new_e10 += new
        key = (call["provider"], call["model_name"], call["currency"])
        entry = self.by_model.setdefault(key, [0, 0, 0])
        entry[0] += 1
        entry[1] += old
        entry[2] += new

    def wire(self) -> dict[str, object]:
        """The answer of `POST /api/v1/pricing/rerate`."""
        body: dict[str, object] = {
            "records": self.records,
            "examined": self.examined,
            "old_total": from_e10(self.old_e10),
            "new_total": from_e10(self.new_e10),
            "difference": from_e10(self.new_e10 - self.old_e10),
            "by_model": [
                {
                    "provider": provider,
                    "model": model,
                    "currency": currency,
                    "records": count,
                    "old_total": from_e10(old),
                    "new_total": from_e10(new),
                    "difference": from_e10(new - old),
                }
                for (provider, model, currency), (count, old, new) in sorted(self.by_model.items())
            ],
        }
        if self.rerate_id:
            body["rerate_id"] = self.rerate_id
        return body


class CurrencyChange(DomainError):
    """A new price in another currency than the call was recorded in."""

    code = "INVALID_PRICING"


def preview(session: ReadSession, selection: Selection, prices: OrganizationPrices) -> Report:
    """What applying would change. Raises CurrencyChange."""
    report = Report()
    for batch in _batches(session, selection):
        report.examined += len(batch)
        for call, quote in _changes(batch, prices):
            report.add(call, quote)
    return report


def rerate(
    session: WriteSession,
    selection: Selection,
    prices: Prices,
    *,
    actor_id: str | None,
    now_us: int,
) -> Report:
    """Add the corrections, in the caller's transaction. Raises CurrencyChange."""
    view = prices.view_in(session, selection.organization_id)
    report = Report(rerate_id=single_id("rer", now_us // 1_000, secrets.randbits(80)))
    occasion = correct.Occasion("rerate", report.rerate_id, actor_id, now_us)
    for batch in _batches(session, selection):
        report.examined += len(batch)
        changes: list[tuple[Mapping[str, Any], correct.NewPrice]] = []
        for call, quote in _changes(batch, view):
            report.add(call, quote)
            changes.append((call, _new_price(quote)))
        correct.rerate(session, changes, occasion)
        versions = {price.price_version for _, price in changes if price.price_version}
        prices.keep_cards(session, versions, now_us)
    session.execute(
        insert(reratings).values(
            id=report.rerate_id,
            organization_id=selection.organization_id,
            request=dumps(_request(selection)),
            records=report.records,
            difference_e10=report.new_e10 - report.old_e10,
            applied_by=actor_id,
            applied_at=now_us,
        )
    )
    return report


def _request(selection: Selection) -> dict[str, object]:
    return {
        "start_us": selection.start_us,
        "end_us": selection.end_us,
        "provider": selection.provider,
        "model": selection.model,
        "unpriced_only": selection.unpriced_only,
    }


def _new_price(quote: Quote) -> correct.NewPrice:
    return correct.NewPrice(
        quote.cost_e10,
        quote.list_cost_e10,
        quote.status,
        quote.version,
        quote.rule,
        quote.currency,
    )


def _changes(
    calls: Mapping[str, dict[str, Any]], prices: OrganizationPrices
) -> Iterator[tuple[dict[str, Any], Quote]]:
    for call in calls.values():
        if call["price_rule"] == "manual":
            continue
        quote = _quote(call, prices)
        if quote.cost_e10 == call["cost_e10"] and quote.status == call["cost_status"]:
            continue
        changed = quote.cost_e10 is not None and quote.currency != call["currency"]
        if changed and call["cost_e10"] is not None:
            raise CurrencyChange(
                f"{call['provider']}/{call['model_name']} was recorded in {call['currency']} "
                f"and is now priced in {quote.currency}",
                field="currency",
            )
        yield call, quote


def _quote(call: Mapping[str, Any], prices: OrganizationPrices) -> Quote:
    usage = usage_of(call)
    quote = prices.quote(
        call["provider"],
        call["model_name"],
        call["timestamp"],
        usage,
        service_tier=call["service_tier"],
        processing=call["processing"],
        region=call["region"],
    )
    if quote.volume is None or quote.version is None:
        return quote
    compiled = prices.compiled(quote.version)
    if volume_metric(compiled.card.structure) is None or call["volume"] is None:
        return quote_of(compiled, usage, quote.version, quote.rule or "")
    return quote_of(compiled, usage, quote.version, quote.rule or "", call["volume"])


def _batches(session: ReadSession, selection: Selection) -> Iterator[dict[str, dict[str, Any]]]:
    """Calls net of their corrections, by time, a bounded number at once."""
    last: tuple[int, str] | None = None
    while True:
        query = (
            select(usage_records)
            .where(*_conditions(selection, last))
            .order_by(usage_records.c.timestamp, usage_records.c.id)
            .limit(BATCH)
        )
        rows = [dict(row) for row in session.execute(query).mappings()]
        if not rows:
            return
        last = (rows[-1]["timestamp"], rows[-1]["id"])
        net = store.net_of_corrections(
            session, selection.organization_id, {row["id"]: row for row in rows}
        )
        if selection.unpriced_only:
            net = {key: row for key, row in net.items() if row["cost_status"] != "priced"}
        yield net


def _conditions(selection: Selection, last: tuple[int, str] | None) -> list[ColumnElement[bool]]:
    table = usage_records.c
    conditions: list[ColumnElement[bool]] = [
        table.organization_id == selection.organization_id,
        table.timestamp >= selection.start_us,
        table.timestamp < selection.end_us,
    ]
    if selection.provider:
        conditions.append(table.provider == selection.provider)
    if selection.model:
        conditions.append(table.model_name == selection.model)
    if last:
        at, record_id = last
        conditions.append(table.timestamp >= at)
        conditions.append((table.timestamp > at) | (table.id > record_id))
    return conditions
