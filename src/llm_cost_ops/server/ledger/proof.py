"""Proof that the stored books of closed months are what the ledger says as of their closing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.months import month_at, window_of
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.books import books_of, corrected_of, lines_digest, totals_of
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.closed import totals_of as totals_of_day
from llm_cost_ops.server.ledger.late import months_corrected, months_recognizing
from llm_cost_ops.server.ledger.periods import (
    CLOSED,
    Period,
    closed_periods,
    period_of,
    stored_lines,
)
from llm_cost_ops.server.ledger.rollup import DAY_US

Amounts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A closed month, what the ledger says of it and what is stored."""

    month: str
    ledger: dict[str, Any]
    stored: dict[str, Any]


def first_wrong_period(session: ReadSession, organization_id: str) -> Wrong | None:
    """The first closed month whose totals, lines or digest are not the ledger's. Give it a
    snapshot."""
    periods = [p for p in closed_periods(session, organization_id) if p.status == CLOSED]
    if not periods:
        return None
    gone = {month_at(day * DAY_US) for day in closed_of(session, organization_id)}
    recognized = _recognized(session, organization_id, periods) if gone else {}
    for period in periods:
        lines = stored_lines(session, organization_id, period.month)
        stored = _amounts(totals_of(lines))
        own = lines_digest(lines)
        if own != period.lines_digest or stored != _not_zero(period.totals or {}):
            return Wrong(
                period.month,
                {"totals": dict(period.totals or {}), "lines_digest": period.lines_digest},
                {"totals": stored, "lines_digest": own},
            )
        corrected = months_corrected(session, organization_id, period.month)
        if gone.isdisjoint({period.month, *corrected}):
            wrong = _by_entries(session, organization_id, period)
        elif period.month in gone:
            wrong = _by_sums(session, organization_id, period, recognized)
        else:
            wrong = None  # the sums of the months that it corrects are compared
        if wrong is not None:
            return wrong
    return _first_empty_wrong(session, organization_id, periods, gone, recognized)


def _first_empty_wrong(
    session: ReadSession,
    organization_id: str,
    periods: list[Period],
    gone: set[str],
    recognized: dict[str, Amounts],
) -> Wrong | None:
    """Of months without a row, in which there was nothing when they were closed, some may be
    archived, with what came late for them."""
    stored = {period.month for period in periods}
    for month in sorted(gone - stored):
        if month < periods[-1].month:
            period = period_of(session, organization_id, month)
            if period.status == CLOSED:
                wrong = _by_sums(session, organization_id, period, recognized)
                if wrong is not None:
                    return wrong
    return None


def _by_entries(session: ReadSession, organization_id: str, period: Period) -> Wrong | None:
    frozen = books_of(session, organization_id, period.month)
    if period.digest is None:  # closed by sums, which know no teams, and put back since
        ledger, totals = _amounts(totals_of(frozen.lines)), _not_zero(period.totals or {})
        same = ledger == totals
        return None if same else Wrong(period.month, {"totals": ledger}, {"totals": totals})
    found = {"digest": frozen.digest, "lines_digest": lines_digest(frozen.lines)}
    stored = {"digest": period.digest, "lines_digest": period.lines_digest}
    return None if found == stored else Wrong(period.month, found, stored)


def _by_sums(
    session: ReadSession, organization_id: str, period: Period, recognized: dict[str, Amounts]
) -> Wrong | None:
    """Of a month whose calls are archived the sums are left: what all books say of its calls."""
    window, sums = window_of(period.month), Amounts()
    for day in range(window.start_us // DAY_US, window.end_us // DAY_US):
        for currency, units in totals_of_day(session, organization_id, day).items():
            sums[currency] = sums.get(currency, 0) + units
    ledger, stored = _not_zero(sums), _not_zero(recognized.get(period.month, {}))
    if ledger == stored:
        return None
    return Wrong(period.month, {"totals": ledger}, {"totals": stored})


def _recognized(
    session: ReadSession, organization_id: str, periods: list[Period]
) -> dict[str, Amounts]:
    """What all books say of the calls of each closed month, by currency: those of closed months as
    they are stored, and those of others, whose corrections retention leaves there."""
    found: dict[str, Amounts] = {}
    for period in periods:
        for line, delta in stored_lines(session, organization_id, period.month):
            sums = found.setdefault(line.corrects or period.month, {})
            sums[line.currency] = sums.get(line.currency, 0) + delta.cost
    closed = {period.month for period in periods}
    for recognized in months_recognizing(session, organization_id):
        if recognized in closed:
            continue
        for month, currency, units in corrected_of(session, organization_id, recognized):
            sums = found.setdefault(month, {})
            sums[currency] = sums.get(currency, 0) + units
    return found


def _amounts(totals: dict[str, Any]) -> Amounts:
    return _not_zero({currency: delta.cost for currency, delta in totals.items()})


def _not_zero(amounts: Any) -> Amounts:
    return {currency: units for currency, units in sorted(amounts.items()) if units}
