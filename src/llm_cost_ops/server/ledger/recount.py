"""Counters made anew from the ledger, or compared with it to the last digit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from llm_cost_ops.core.budget import Amounts, Budget
from llm_cost_ops.core.money import from_e10, plain
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.ahead import Ahead
from llm_cost_ops.server.ledger.closed import CLOSED_TEXT, DayClosed, until_us
from llm_cost_ops.server.ledger.scoped import Sums, is_rolled_up, series
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records
from llm_cost_ops.server.spend import store as definitions
from llm_cost_ops.server.spend.counters import Counter, Counters, Place, counter_of
from llm_cost_ops.server.spend.holdings import held_of
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.lock import hold_alone
from llm_cost_ops.server.spend.tables import budgets, spend_counters

AHEAD_US = 25 * 3_600_000_000
"""Calls may be this far in the future."""


@dataclass(frozen=True, slots=True)
class CounterDifference:
    """The first counter that is not what the ledger says."""

    budget_id: str
    period_start: int
    ledger: dict[str, Any]
    stored: dict[str, Any]


def windows_of(budget: Budget, now_us: int) -> list[Window]:
    """The periods, or steps, that a budget has counted in so far, and that of tomorrow."""
    found: list[Window] = []
    at_us = max(budget.counts_from_us, budget.bounds.start_us)
    last_us = min(now_us + AHEAD_US, budget.bounds.end_us - 1)
    if budget.slide is not None:  # older steps count no more
        at_us = max(at_us, budget.slide.at(now_us).start_us)
    while at_us <= last_us:
        window = budget.window_of(at_us)
        found.append(window)
        at_us = window.end_us
    return found


def recount(
    session: WriteSession,
    index: Index,
    budget: Budget,
    now_us: int,
    *,
    from_calls: bool = False,
    ahead: Ahead | None = None,
) -> None:
    """Set what a budget has used and holds from the ledger and the open reservations, `from_calls`
    without a look at the rollups, `ahead` with what was summed before. The caller holds the
    organization's budgets alone; what was told or granted stays, and so does the amount that an
    earlier period had. Raises UsageError when a sum would leave 64 bits."""
    windows = windows_of(budget, now_us)
    scopes = scopes_of(index, budget)
    organization_id, currency = budget.organization_id, budget.currency
    found = ahead and ahead.series(session, organization_id, scopes, windows, currency)
    if found is None:
        found = series(session, organization_id, scopes, windows, currency, from_calls=from_calls)
    held = held_of(session, budget.organization_id, budget)
    places = {Place(budget.id, start): sums for start, sums in found.items() if _some(sums)}
    closed_us = until_us(session, organization_id)
    known = {w.start_us for w in windows if not from_calls and is_rolled_up(scopes, w)}
    for counter in _stored(session, budget):  # without its calls a period keeps what it had
        start_us = counter.place.start_us
        if start_us < closed_us and start_us not in known:
            places.pop(counter.place, None)
    now = budget.counted_in(now_us)
    if now is not None:
        places.setdefault(Place(budget.id, now.start_us), Sums())
    for counter in _stored(session, budget):
        start_us = counter.place.start_us
        if start_us >= closed_us and _is_checked(budget, start_us, windows):
            places.setdefault(counter.place, found.get(counter.place.start_us, Sums()))
    since_us = now_us if now is None else now.start_us
    counters = Counters(session, budget.organization_id)
    counters.lock({*places, *held})
    for place, sums in places.items():
        counter = counters.at(place)
        counter.spent_e10, counter.requests, counter.tokens = sums.e10, sums.requests, sums.tokens
        counter.unpriced, counter.other_currency = sums.unpriced, sums.other_currency
        if counter.amount_e10 is None or place.start_us >= since_us:
            counter.amount_e10 = budget.limits.e10
    for place in {*places, *held}:  # an old step gets no sum, but gives back what it holds
        counter, amounts = counters.at(place), held.get(place, Amounts())
        counter.reserved_e10 = amounts.e10
        counter.reserved_requests, counter.reserved_tokens = amounts.requests, amounts.tokens
    counters.write()


def refuse_closed(session: ReadSession, index: Index, budget: Budget, now_us: int) -> None:
    """Raises DayClosed for a budget whose period under way began before the days whose calls are
    kept, and whose calls the rollups do not know apart: its sum would be too low."""
    now = budget.counted_in(now_us)
    if now is None or is_rolled_up(scopes_of(index, budget), now):
        return
    if now.start_us < until_us(session, budget.organization_id):
        raise DayClosed(f"The period of budget {budget.name!r} {CLOSED_TEXT}.")


def look_ahead(
    session: ReadSession, ahead: Ahead, index: Index, budget: Budget, now_us: int
) -> None:
    """Sum what `recount` will ask for, before the budgets are held. Give it a snapshot."""
    ahead.look(
        session, budget.organization_id, scopes_of(index, budget), windows_of(budget, now_us)
    )


def scopes_of(index: Index, budget: Budget) -> Sequence[Scope]:
    """The scopes whose calls count in a budget: its own and those of the budgets below it that can
    hold others."""
    below = [b.scope for b in index.family(budget.id) if b.id != budget.id]
    return (budget.scope, *(scope for scope in below if not scope.is_within(budget.scope)))


def _some(sums: Sums) -> bool:
    return bool(sums.e10 or sums.requests or sums.tokens or sums.unpriced)


def _stored(session: ReadSession, budget: Budget) -> Iterator[Counter]:
    query = select(spend_counters).where(
        spend_counters.c.budget_id == budget.id,
        spend_counters.c.organization_id == budget.organization_id,
    )
    for row in session.execute(query).mappings():
        yield counter_of(row)


def first_difference(
    session: ReadSession, organization_id: str | None = None
) -> CounterDifference | None:
    """Compare every counter of one organization, or of all, with the ledger's calls. Give it a
    snapshot."""
    for organization in _organizations(session, organization_id):
        index = Index(1, definitions.load(session, organization))
        last_us = _last_us(session, organization)
        for budget in index.budgets.values():
            found = _compare(session, index, budget, last_us)
            if found is not None:
                return found
    return None


def _last_us(session: ReadSession, organization_id: str) -> int:
    """The time of the last call or counter."""
    times = (usage_records.c.timestamp, usage_corrections.c.timestamp)
    found = [
        session.scalar(
            select(func.max(column)).where(column.table.c.organization_id == organization_id)
        )
        for column in (*times, spend_counters.c.period_start)
    ]
    return max((int(at_us) for at_us in found if at_us is not None), default=0)


def _compare(
    session: ReadSession, index: Index, budget: Budget, last_us: int
) -> CounterDifference | None:
    windows = windows_of(budget, last_us)
    expected = series(
        session,
        budget.organization_id,
        scopes_of(index, budget),
        windows,
        budget.currency,
        from_calls=True,
    )
    stored = {counter.place.start_us: counter for counter in _stored(session, budget)}
    held = held_of(session, budget.organization_id, budget)
    known = {*stored, *(place.start_us for place in held)}
    starts = {start for start in known if _is_checked(budget, start, windows)}
    closed_us = until_us(session, budget.organization_id)
    for start in sorted({*expected, *starts}):
        if start < closed_us:
            continue
        place = Place(budget.id, start)
        ledger = _shown(expected.get(start, Sums()), held.get(place, Amounts()))
        counter = stored.get(start) or Counter(budget.organization_id, place)
        found = _shown(_sums(counter), counter.held)
        if ledger != found:
            return CounterDifference(budget.id, start, ledger, found)
    return None


def _is_checked(budget: Budget, start_us: int, windows: Sequence[Window]) -> bool:
    """Steps that count no more, and the row that is only locked, are not."""
    return budget.slide is None or any(window.start_us == start_us for window in windows)


def _sums(counter: Counter) -> Sums:
    return Sums(
        counter.spent_e10,
        counter.requests,
        counter.tokens,
        counter.unpriced,
        counter.other_currency,
    )


def _shown(sums: Sums, held: Amounts) -> dict[str, Any]:
    return {
        "spent": plain(from_e10(sums.e10)),
        "requests": sums.requests,
        "tokens": sums.tokens,
        "unpriced": sums.unpriced,
        "other_currency": sums.other_currency,
        "reserved": plain(from_e10(held.e10)),
    }


def rebuild(session: WriteSession, now_us: int, organization_id: str | None = None) -> int:
    """Make the counters of one organization, or of all, anew from the calls themselves, because
    the rollups may be as wrong; how many budgets there are."""
    count = 0
    for organization in _organizations(session, organization_id):
        hold_alone(session, organization)
        index = Index(1, definitions.load(session, organization))
        for budget in sorted(index.budgets.values(), key=_by_id):
            recount(session, index, budget, now_us, from_calls=True)
            count += 1
    return count


def _by_id(budget: Budget) -> str:
    return budget.id


def _organizations(session: ReadSession, organization_id: str | None) -> Iterable[str]:
    if organization_id is not None:
        return (organization_id,)
    query = (
        select(budgets.c.organization_id, func.count())
        .where(budgets.c.deleted_at.is_(None))
        .group_by(budgets.c.organization_id)
        .order_by(budgets.c.organization_id)
    )
    return [row[0] for row in session.execute(query)]
