"""Re-rating: what stored calls would cost under today's knowledge of prices, and applying it.

A preview changes nothing. Applying adds one correction per call whose cost differs; the calls
themselves and earlier corrections stay as they are.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, insert, or_, select

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.pricing.rate import PRICED
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger import correct, store
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.extremes import Extremes
from llm_cost_ops.server.ledger.report import Report
from llm_cost_ops.server.ledger.requote import Requoting
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records
from llm_cost_ops.server.ledger.unpriced import waiting
from llm_cost_ops.server.ledger.wire import usage_of
from llm_cost_ops.server.pricing.lock import take_turn
from llm_cost_ops.server.pricing.resolve import Prices, Quote
from llm_cost_ops.server.pricing.tables import reratings

BATCH = 2_000
LARGEST = 2**63 - 1
MANUAL = "manual"
_Batch = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which calls to look at: [start_us, end_us), optionally one provider or model."""

    organization_id: str
    start_us: int
    end_us: int
    provider: str | None = None
    model: str | None = None
    unpriced_only: bool = False


def preview(session: ReadSession, selection: Selection, prices: Prices) -> Report:
    """What applying would change, with the prices that the session sees."""
    report = Report(archived=_archived(session, selection))
    requoting = Requoting(session, prices.view_in(session, selection.organization_id))
    for batch in _batches(session, selection):
        for call, quote in _changes(batch, requoting, report):
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
    """Add the corrections, in the caller's transaction."""
    take_turn(session, selection.organization_id)
    return _apply(session, selection, [selection], prices, actor_id, now_us)


def backfill(
    session: WriteSession,
    selection: Selection,
    prices: Prices,
    *,
    actor_id: str | None,
    now_us: int,
) -> int:
    """Price the calls of the selection that wait for a price, in the transaction that brought it;
    how many got one. Most calls are not even looked at."""
    take_turn(session, selection.organization_id)
    parts = [
        replace(selection, provider=p, model=m, start_us=start, end_us=end, unpriced_only=True)
        for p, m, start, end in waiting(
            session,
            selection.organization_id,
            selection.provider,
            selection.start_us,
            selection.end_us,
        )
    ]
    return _apply(session, selection, parts, prices, actor_id, now_us).records if parts else 0


def _apply(
    session: WriteSession,
    selection: Selection,
    parts: Sequence[Selection],
    prices: Prices,
    actor_id: str | None,
    now_us: int,
) -> Report:
    view = prices.view_in(session, selection.organization_id)
    rerate_id = single_id("rer", now_us // 1_000, secrets.randbits(80))
    report = Report(archived=_archived(session, selection), rerate_id=rerate_id)
    occasion = correct.Occasion("rerate", report.rerate_id, actor_id, now_us)
    requoting, extremes, versions = Requoting(session, view), Extremes(), set[str]()
    for part in parts:
        for batch in _batches(session, part):
            changes: list[tuple[Mapping[str, Any], correct.NewPrice]] = []
            for call, quote in _changes(batch, requoting, report):
                report.add(call, quote)
                changes.append((call, _new_price(quote)))
                versions |= {quote.version} if quote.version else set()
            correct.rerate(session, changes, occasion, extremes)
    extremes.settle(session)
    prices.keep_cards(session, versions, now_us, view.compiled)
    session.execute(insert(reratings).values(_rerating(selection, report, actor_id, now_us)))
    return report


def _rerating(
    selection: Selection, report: Report, actor_id: str | None, now_us: int
) -> dict[str, Any]:
    differences = {
        currency: change.new_e10 - change.old_e10 for currency, change in report.by_currency.items()
    }
    only = next(iter(differences.values())) if len(differences) == 1 else 0
    request = {
        "start_us": selection.start_us,
        "end_us": selection.end_us,
        "provider": selection.provider,
        "model": selection.model,
        "unpriced_only": selection.unpriced_only,
        "differences": {name: from_e10(units) for name, units in sorted(differences.items())},
    }
    return {
        "id": report.rerate_id,
        "organization_id": selection.organization_id,
        "request": dumps(request),
        "records": report.records,
        # The exact differences, one per currency and however large, are in the request.
        "difference_e10": max(-LARGEST, min(LARGEST, only)),
        "applied_by": actor_id,
        "applied_at": now_us,
    }


def _new_price(quote: Quote) -> correct.NewPrice:
    return correct.NewPrice(
        quote.cost_e10,
        quote.list_cost_e10,
        quote.status,
        quote.version,
        quote.rule,
        quote.currency,
        quote.at_volume,
    )


def _changes(
    batch: _Batch, requoting: Requoting, report: Report
) -> Iterator[tuple[dict[str, Any], Quote]]:
    """Calls whose price differs from the one they have."""
    report.examined += len(batch)
    for call in batch.values():
        if call["price_rule"] == MANUAL:
            continue
        quote = requoting.quote(call, usage_of(call))
        if _differs(call, quote):
            yield call, quote


def _differs(call: Mapping[str, Any], quote: Quote) -> bool:
    if quote.cost_e10 is None:
        return call["cost_e10"] is not None
    listed = quote.cost_e10 if quote.list_cost_e10 is None else quote.list_cost_e10
    now = (call["cost_e10"], call["cost_status"], call["currency"], correct.list_cost(call))
    return now != (quote.cost_e10, quote.status, quote.currency, listed)


def _archived(session: ReadSession, selection: Selection) -> int:
    """Calls of the closed days that the selection reaches into."""
    closed = closed_of(session, selection.organization_id).values()
    days = range(selection.start_us // DAY_US, -(-selection.end_us // DAY_US))
    return sum(each.records for each in closed if each.day in days)


def _batches(session: ReadSession, selection: Selection) -> Iterator[_Batch]:
    """Calls net of their corrections, by time, a bounded number at once. Those of closed days that
    are not removed yet take no corrections any more."""
    closed = closed_of(session, selection.organization_id)
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
            session,
            selection.organization_id,
            {row["id"]: row for row in rows if row["timestamp"] // DAY_US not in closed},
        )
        if selection.unpriced_only:
            net = {key: row for key, row in net.items() if row["cost_status"] != PRICED}
        yield net


def _conditions(selection: Selection, last: tuple[int, str] | None) -> list[ColumnElement[bool]]:
    table = usage_records.c
    conditions: list[ColumnElement[bool]] = [
        table.organization_id == selection.organization_id,
        # One bound below: SQLite would begin at the selection's with every page.
        table.timestamp >= (last[0] if last else selection.start_us),
        table.timestamp < selection.end_us,
    ]
    if selection.provider:
        conditions.append(table.provider == selection.provider)
    if selection.model:
        conditions.append(table.model_name == selection.model)
    if selection.unpriced_only:
        corrected = select(usage_corrections.c.id).where(usage_corrections.c.record_id == table.id)
        conditions.append(or_(table.cost_status != PRICED, corrected.exists()))
    if last:
        at, record_id = last
        conditions.append((table.timestamp > at) | (table.id > record_id))
    return conditions
