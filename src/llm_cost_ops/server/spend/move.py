"""Move the counters of budgets in the transaction that changes the ledger.

What the ledger adds is added to every budget that it counts in, to that period which holds the time
of the call: a late record, a call taken back and a new price all change the period of the call.
Thresholds that are reached, also those that were jumped over, are told to the outbox once a period.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from llm_cost_ops.core.budget import WHOLE_SHARE, Budget, crossed
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.spend.counters import Counters, Place, Standing
from llm_cost_ops.server.spend.index import Index, Labels, index_in

THRESHOLD_TOPIC = "budget.threshold_exceeded"
EXCEEDED_TOPIC = "budget.exceeded"
_COLUMNS = (
    "provider", "model_name", "project_id", "team_id", "user_id", "api_key_id", "environment",
    "feature", "tags", "metadata",
)  # fmt: skip
labels_of_entry = attrgetter(*_COLUMNS)
labels_of_row = itemgetter(*_COLUMNS)


class Movement(NamedTuple):
    """What one entry of the ledger adds: money in units of 1e-10 of its currency."""

    organization_id: str
    timestamp: int
    currency: str
    e10: int
    requests: int
    tokens: int
    unpriced: int
    labels: Labels


class Change:
    """What a transaction adds to one counter."""

    __slots__ = ("e10", "other_currency", "requests", "tokens", "unpriced")

    def __init__(self) -> None:
        self.e10 = self.requests = self.tokens = self.unpriced = self.other_currency = 0

    def add(self, budget: Budget, movement: Movement) -> None:
        self.requests += movement.requests
        self.tokens += movement.tokens
        self.unpriced += movement.unpriced
        if movement.currency == budget.currency:
            self.e10 += movement.e10
        else:
            self.other_currency += movement.requests


Changes = dict[Place, tuple[Budget, Change]]


def of_entry(entry: Any) -> Movement:
    """What a new call adds."""
    cost = entry.cost_e10
    return Movement(
        entry.organization_id,
        entry.timestamp,
        entry.currency,
        cost or 0,
        entry.requests,
        entry.total_tokens,
        entry.requests if cost is None else 0,
        labels_of_entry(entry),
    )


def of_row(row: Mapping[str, Any], *, e10: int, unpriced: int, sign: int = 1) -> Movement:
    """What a call or correction that is a row adds, or with `sign` -1 takes away."""
    return Movement(
        row["organization_id"],
        row["timestamp"],
        row["currency"],
        sign * e10,
        sign * row["requests"],
        sign * row["total_tokens"],
        sign * unpriced,
        labels_of_row(row),
    )


class Moves:
    """What a transaction adds to counters, collected until `settle`, which comes after everything
    that it writes to the ledger and its rollups: all lock in this order."""

    def __init__(self) -> None:
        self.changes: dict[str, tuple[Index, Changes]] = {}
        self.now_us = 0

    def add_calls(
        self, session: WriteSession, entries: Sequence[Any], now_us: int
    ) -> dict[str, int]:
        """Collect what new calls add; the versions of the budgets of their organizations, kept from
        changing. Those of organizations without budgets cost a look at the version of these."""
        self.now_us = now_us
        indexes = {
            organization_id: self._known(session, organization_id)[0]
            for organization_id in sorted({entry.organization_id for entry in entries})
        }
        counting = {organization_id for organization_id, index in indexes.items() if index}
        if counting:
            mine = (entry for entry in entries if entry.organization_id in counting)
            self.add(session, map(of_entry, mine), now_us)
        return {organization_id: index.version for organization_id, index in indexes.items()}

    def add(self, session: WriteSession, movements: Iterable[Movement], now_us: int) -> None:
        """Collect what rows add that this transaction has written."""
        self.now_us = now_us
        for movement in movements:
            index, changes = self._known(session, movement.organization_id)
            if index:
                count(index, movement, changes)

    def _known(self, session: WriteSession, organization_id: str) -> tuple[Index, Changes]:
        known = self.changes.get(organization_id)
        if known is None:
            changes: Changes = {}
            known = (index_in(session, organization_id), changes)
            self.changes[organization_id] = known
        return known

    def settle(self, session: WriteSession) -> None:
        """Lock, change and write the counters, once and at the end."""
        for organization_id in sorted(self.changes):
            index, changes = self.changes[organization_id]
            if changes:
                counters = Counters(session, organization_id)
                counters.lock(places_of_changes(changes, self.now_us))
                apply(counters, changes)
                tell(session, counters, index, now_us=self.now_us)
                counters.write()
        self.changes.clear()


def count(index: Index, movement: Movement, changes: Changes) -> None:
    """Add a movement to what is added to each counter that it counts in."""
    for budget in index.of(movement.labels):
        window = budget.counted_in(movement.timestamp)
        if window is None:
            continue
        place = Place(budget.id, window.start_us)
        found = changes.get(place)
        if found is None:
            found = changes[place] = (budget, Change())
        found[1].add(budget, movement)


def places_of_changes(changes: Changes, now_us: int) -> set[Place]:
    """The counters to lock for changes: theirs, and the step under way of each sliding budget,
    because an earlier step counts against the limit of now, too."""
    places = set(changes)
    for budget, _ in changes.values():
        own = None if budget.slide is None else budget.counted_in(now_us)
        if own is not None:
            places.add(Place(budget.id, own.start_us))
    return places


def apply(counters: Counters, changes: Changes) -> None:
    """Add to locked counters."""
    for place, (budget, change) in changes.items():
        counter = counters.at(place)
        counter.spent_e10 += change.e10
        counter.requests += change.requests
        counter.tokens += change.tokens
        counter.unpriced += change.unpriced
        counter.other_currency += change.other_currency
        if counter.amount_e10 is None:  # that of an earlier period may have been another
            counter.amount_e10 = budget.limits.e10


def tell(session: WriteSession, counters: Counters, index: Index, *, now_us: int) -> None:
    """Publish the thresholds that the changed counters of now have reached and were not told of.
    Of a sliding budget every step inside its window is of now."""
    events: list[Event] = []
    changed = set(counters.changed())
    for budget_id in sorted({place.budget_id for place in changed}):
        budget = index.budgets.get(budget_id)
        own = None if budget is None else budget.counted_in(now_us)
        if budget is None or own is None:
            continue
        place = Place(budget_id, own.start_us)
        if place not in (counters if budget.slide is not None else changed):
            continue  # a past period: who would act on it
        standing = counters.standing(budget, now_us)
        if standing is not None:
            events += _reached(counters, place, standing)
    publish(session, events, now_us=now_us)


def _reached(counters: Counters, place: Place, standing: Standing) -> list[Event]:
    budget, share = standing.budget, standing.share
    counter = counters.at(place)
    counter.carried_e10, counter.amount_e10 = standing.carried_e10, budget.limits.e10
    levels = crossed(budget.thresholds, standing.told, share)
    events = [
        Event(budget.organization_id, THRESHOLD_TOPIC, _payload(standing, level))
        for level in levels
    ]
    if levels:
        counter.told = levels[-1]
    if not standing.told_exceeded and not standing.limits.fits(standing.used):
        counter.told_exceeded = 1
        events.append(Event(budget.organization_id, EXCEEDED_TOPIC, _payload(standing, None)))
    return events


def _payload(standing: Standing, level: int | None) -> dict[str, object]:
    budget, limits = standing.budget, standing.limits
    payload: dict[str, object] = {
        "budget_id": budget.id,
        "budget_name": budget.name,
        "enforcement": budget.enforcement,
        "currency": budget.currency,
        "amount": None if limits.e10 is None else from_e10(limits.e10),
        "spent": from_e10(standing.used.e10),
        "requests": standing.used.requests,
        "tokens": standing.used.tokens,
        "utilization": from_e10(standing.share * (10**10 // WHOLE_SHARE)),
        "period_start": format_micros(standing.window.start_us),
        "period_end": format_micros(standing.window.end_us),
    }
    if level is not None:
        payload["threshold"] = from_e10(level * (10**10 // WHOLE_SHARE))
    return payload
