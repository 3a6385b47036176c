"""Reservations that expired and are settled or released after all: the estimate that was booked for
them is corrected, each alone in its transaction because corrections take the organization's turn.
"""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.budgets import store, wire
from llm_cost_ops.server.budgets.booking import check_currency_of, is_unpriced, settled_entry
from llm_cost_ops.server.budgets.errand import RELEASE, Errand, Outcome
from llm_cost_ops.server.budgets.work import KEEP_SECONDS, already, deleted, stands, taken
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.problems import Problem, not_found, problem_of
from llm_cost_ops.server.ingest.draft import RESERVATION
from llm_cost_ops.server.ingest.record import record
from llm_cost_ops.server.ingest.submission import Answer, Item, Submission
from llm_cost_ops.server.ledger import correct
from llm_cost_ops.server.ledger import store as calls
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.lock import take_turn
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.spend.index import index_in

_IDENTITY = ("provider", "model_name", "service_tier", "processing", "region")
"""What a correction of counts cannot change."""


def carry_out_late(
    session: WriteSession, errand: Errand, prices: Prices, *, now_us: int
) -> Outcome:
    """Settle or release one expired reservation. Raises DomainError or Problem after the first row
    was written: the estimate then stays booked, because nothing may be committed."""
    take_turn(session, errand.organization_id)
    index_in(session, errand.organization_id)
    rows = store.locked(session, [errand.organization_id], [errand.reservation_id])
    row = rows.get(errand.reservation_id)
    if row is None:
        return not_found("Reservation not found")
    if row["status"] != store.EXPIRED:  # a twin was faster
        same = row["resolution"] == errand.resolution
        return Answer(200, wire.resolved(row)) if same else already(row)
    if errand.kind == RELEASE:
        _take_back(session, errand, row, now_us)
        row["status"], row["cost_e10"] = store.RELEASED, None
    else:
        try:
            entry = settled_entry(errand, row, now_us)
        except (DomainError, Problem) as error:
            return problem_of(error, "POST")
        _correct(session, errand, row, entry, prices, now_us)
        row["status"] = store.SETTLED
    row["resolution"], row["resolved_at"] = errand.resolution, now_us
    store.resolve(session, [row])
    return Answer(200, wire.resolved(row))


def _take_back(session: WriteSession, errand: Errand, row: dict[str, Any], now_us: int) -> None:
    booked = calls.calls(session, errand.organization_id, [row["record_id"]])
    occasion = correct.Occasion("void", None, errand.actor_id, now_us)
    correct.void(session, list(booked.values()), occasion)


def _correct(
    session: WriteSession,
    errand: Errand,
    row: dict[str, Any],
    entry: Entry,
    prices: Prices,
    now_us: int,
) -> None:
    fate: list[Item] = []
    standing = calls.calls(session, errand.organization_id, [row["record_id"]])
    booked = standing.get(row["record_id"])
    if booked is None:
        raise deleted(row)
    own = (entry.source, entry.event_id) == (RESERVATION, row["id"])
    if own and any(getattr(entry, name) != booked[name] for name in _IDENTITY):
        entry.event_id, own = f"{row['id']}:settled", False

    def render(items: list[Item]) -> Answer:
        fate[:] = items
        return Answer(200, b"")

    submission = Submission(
        errand.organization_id,
        [entry],
        render,
        recorded_by=errand.actor_id,
        correct=own,
        prices=errand.prices,
    )
    if not own:  # recorded under an id of its own: the estimate goes
        _take_back(session, errand, row, now_us)
    record(session, [submission], prices, now_us=now_us, keep_seconds=KEEP_SECONDS)
    if not stands(session, fate[0]) or store.is_recorded_by_another(
        session, errand.organization_id, row["id"], fate[0].id
    ):
        raise taken(row, str(entry.event_id))
    if not is_unpriced(row):
        check_currency_of(row, errand, fate[0].entry.currency)
    row["cost_e10"], row["record_id"] = fate[0].cost_e10, fate[0].id
