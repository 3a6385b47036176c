"""Counters: what is used and held of budgets, locked in one order, changed in memory, written back.

Everybody who changes a counter locks its row first, in the order of the rows' ids, and writes it
before the transaction ends; so what a transaction read stays true until it commits, on every
database, and two that share rows cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Insert, Select, bindparam, func, select

from llm_cost_ops.core.budget import Amounts, Budget, Limits
from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.money import E10
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows, upsert_add
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.spend.tables import spend_counters

CHUNK = 500
_ROW = spend_counters.c
_SEEN = (
    select(spend_counters).where(_ROW.id.in_(bindparam("ids", expanding=True))).order_by(_ROW.id)
)
_LOCKED = lock_rows(_SEEN)
_MUTABLE = tuple(
    column.name
    for column in spend_counters.columns
    if column.name not in ("id", "organization_id", "budget_id", "period_start")
)


_COUNTED = (
    "requests", "tokens", "unpriced", "other_currency", "reserved_e10", "reserved_requests",
    "reserved_tokens", "adjusted_e10",
)  # fmt: skip
"""What is added to again and again."""
LARGEST = 2**63 - 1


class Place(NamedTuple):
    """One counter: of a budget, from a start (microseconds) on."""

    budget_id: str
    start_us: int

    @property
    def id(self) -> str:
        """Its row's id; ids order as budgets and, within one, as starts do."""
        return f"{self.budget_id}@{self.start_us:014x}"


@dataclass(slots=True)
class Counter:
    """One row, money in units of 1e-10 (`spent_e10` of any size)."""

    organization_id: str
    place: Place
    spent_e10: int = 0
    requests: int = 0
    tokens: int = 0
    unpriced: int = 0
    other_currency: int = 0
    reserved_e10: int = 0
    reserved_requests: int = 0
    reserved_tokens: int = 0
    adjusted_e10: int = 0
    carried_e10: int | None = None
    amount_e10: int | None = None
    told: int = 0
    told_exceeded: int = 0
    minute: int = 0
    minute_calls: int = 0

    @property
    def used(self) -> Amounts:
        return Amounts(self.spent_e10, self.requests, self.tokens)

    @property
    def held(self) -> Amounts:
        return Amounts(self.reserved_e10, self.reserved_requests, self.reserved_tokens)

    def hold(self, amounts: Amounts) -> None:
        """Reserve more; negative amounts give back."""
        self.reserved_e10 += amounts.e10
        self.reserved_requests += amounts.requests
        self.reserved_tokens += amounts.tokens

    def row(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            name: getattr(self, name) for name in _MUTABLE if not name.startswith("spent_")
        }
        values["spent_whole"], values["spent_fraction"] = divmod(self.spent_e10, E10)
        values["id"] = self.place.id
        values["organization_id"] = self.organization_id
        values["budget_id"], values["period_start"] = self.place
        return values


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts against a budget at one instant: in which window, with which limits."""

    budget: Budget
    window: Window
    limits: Limits
    used: Amounts
    held: Amounts
    carried_e10: int
    adjusted_e10: int
    unpriced: int
    other_currency: int
    told: int
    told_exceeded: int

    @property
    def share(self) -> int:
        """The used share of the limits in millionths."""
        return self.limits.share(self.used)


class Counters:
    """The counters of one transaction of an organization. `lock` before use, `write` at the end;
    for who only asks, `look` instead of both."""

    def __init__(self, session: ReadSession, organization_id: str) -> None:
        self._session = session
        self._organization_id = organization_id
        self._held: dict[Place, Counter] = {}
        self._changed: set[Place] = set()
        self._past: dict[Place, list[Counter]] = {}
        self._carried: dict[Place, int] = {}

    def lock(self, places: Iterable[Place]) -> None:
        """Lock these counters, new ones made first, in the order of their ids."""
        wanted = sorted({place for place in places if place not in self._held}, key=_id)
        for start in range(0, len(wanted), CHUNK):
            self._lock(wanted[start : start + CHUNK])

    def look(self, places: Iterable[Place]) -> None:
        """Read these counters without a lock, for who only asks; one that is not there is empty.
        Never `write` after it."""
        wanted = [place for place in places if place not in self._held]
        self._read(wanted, _SEEN)
        for place in wanted:
            self._held.setdefault(place, Counter(self._organization_id, place))

    def _lock(self, wanted: Sequence[Place]) -> None:
        self._read(wanted)
        absent = [place for place in wanted if place not in self._held]
        if absent:
            statement = insert_ignore(self._session.kind, spend_counters, ("id",))
            rows = [Counter(self._organization_id, place).row() for place in absent]
            self._session.execute(statement, rows)
            self._read(absent)

    def _read(self, wanted: Sequence[Place], query: Select[Any] | None = None) -> None:
        for start in range(0, len(wanted), CHUNK):
            ids = {"ids": [place.id for place in wanted[start : start + CHUNK]]}
            rows = self._session.execute(_LOCKED if query is None else query, ids)
            for row in rows.mappings():
                counter = counter_of(row)
                self._held[counter.place] = counter

    def at(self, place: Place) -> Counter:
        """A locked counter, which the caller may change."""
        self._changed.add(place)
        return self._held[place]

    def peek(self, place: Place) -> Counter:
        """A locked counter to look at."""
        return self._held[place]

    def __contains__(self, place: object) -> bool:
        return place in self._held

    def changed(self) -> list[Place]:
        """The counters that were taken to be changed, in the order of their ids."""
        return sorted(self._changed, key=_id)

    def standing(self, budget: Budget, now_us: int) -> Standing | None:
        """What counts against the budget now, its counter of now being locked; None when it is not
        in force."""
        window, own = budget.in_force_at(now_us), budget.counted_in(now_us)
        if window is None or own is None:
            return None
        place = Place(budget.id, own.start_us)
        counter = self._held[place]
        if budget.slide is not None:
            if place not in self._past:
                self._past[place] = list(steps(self._session, budget, window, own))
            past = [self._held.get(step.place, step) for step in self._past[place]]
            return summed(budget, window, counter, past)
        if place not in self._carried:
            self._carried[place] = carried_into(self._session, budget, own, self._held)
        return of_period(budget, window, counter, self._carried[place])

    def write(self) -> None:
        """Write what was changed. Raises UsageError when a counter would leave 64 bits."""
        rows = [self._held[place].row() for place in self.changed()]
        for row in rows:
            if any(abs(row[name]) > LARGEST for name in _COUNTED):
                text = f"would add up to more than {LARGEST} within one period of a budget"
                raise UsageError("usage", text)
        if rows:
            self._session.execute(_written(self._session.kind), rows)
        self._changed.clear()


def _id(place: Place) -> str:
    return place.id


@lru_cache(maxsize=4)
def _written(kind: DatabaseKind) -> Insert:
    """Locked rows exist: this replaces them, all in one statement on every database."""
    return upsert_add(kind, spend_counters, ("id",), (), replace=_MUTABLE)


def head(budget: Budget) -> Place:
    """What is locked before the steps of a sliding budget are added up: two who reserve in
    different steps must not both see the sum before."""
    return Place(budget.id, 0)


def places_of(budget: Budget, now_us: int) -> Iterator[Place]:
    """The counters to lock before something is reserved of the budget."""
    own = budget.counted_in(now_us)
    if own is not None:
        if budget.slide is not None:
            yield head(budget)
        yield Place(budget.id, own.start_us)


def counter_of(row: Mapping[Any, Any]) -> Counter:
    """A row as a counter."""
    values = {name: row[name] for name in _MUTABLE if not name.startswith("spent_")}
    return Counter(
        row["organization_id"],
        Place(row["budget_id"], int(row["period_start"])),
        int(row["spent_whole"]) * E10 + int(row["spent_fraction"]),
        **values,
    )


def steps(session: ReadSession, budget: Budget, window: Window, own: Window) -> Iterator[Counter]:
    """The steps of a sliding window but for the one under way. Those after it count, too: another
    process, whose clock is ahead, may have admitted calls there."""
    query = select(spend_counters).where(
        _ROW.budget_id == budget.id,
        _ROW.organization_id == budget.organization_id,
        _ROW.period_start >= max(window.start_us, 1),
        _ROW.period_start != own.start_us,
    )
    for row in session.execute(query).mappings():
        yield counter_of(row)


def summed(budget: Budget, window: Window, own: Counter, past: Sequence[Counter]) -> Standing:
    """The standing of a sliding budget: all its steps together."""
    used, held = own.used, own.held
    adjusted, unpriced, other = own.adjusted_e10, own.unpriced, own.other_currency
    for step in past:
        used, held = used.plus(step.used), held.plus(step.held)
        adjusted += step.adjusted_e10
        unpriced, other = unpriced + step.unpriced, other + step.other_currency
    return Standing(
        budget,
        window,
        budget.limits_with(adjusted),
        used,
        held,
        0,
        adjusted,
        unpriced,
        other,
        max((step.told for step in (own, *past)), default=0),
        max((step.told_exceeded for step in (own, *past)), default=0),
    )


def of_period(budget: Budget, window: Window, own: Counter, carried_e10: int) -> Standing:
    """The standing of a budget in a period of the calendar."""
    return Standing(
        budget,
        window,
        budget.limits_with(own.adjusted_e10 + carried_e10),
        own.used,
        own.held,
        carried_e10,
        own.adjusted_e10,
        own.unpriced,
        own.other_currency,
        own.told,
        own.told_exceeded,
    )


def carried_into(
    session: ReadSession,
    budget: Budget,
    own: Window,
    known: Mapping[Place, Counter] | None = None,
) -> int:
    """What a period got from the one before it: of the last that was touched, what was not used and
    not held then, carried on through periods that nobody touched.

    A counter that was made by a late call or a lock alone does not say what it got itself; the ones
    before it do, back to one that does. `known` are counters as this transaction has changed them.
    """
    rollover, amount = budget.rollover, budget.limits.e10
    if rollover is None or amount is None or own.start_us <= budget.counts_from_us:
        return 0
    at_us, carried = budget.counts_from_us, 0
    for stored in _before(session, budget, own):
        last = (known or {}).get(stored.place, stored)
        came = last.carried_e10
        if came is None:
            came = rollover.across(carried, amount, _periods(budget, at_us, last.place.start_us))
        given = amount if last.amount_e10 is None else last.amount_e10
        room = given + came + last.adjusted_e10
        carried = rollover.carried(room - last.spent_e10 - last.reserved_e10, amount)
        at_us = budget.window_of(last.place.start_us).end_us
    return rollover.across(carried, amount, _periods(budget, at_us, own.start_us))


def _before(session: ReadSession, budget: Budget, own: Window) -> list[Counter]:
    """The counters before a period, from the last on that says what it got."""
    earlier = (
        _ROW.budget_id == budget.id,
        _ROW.organization_id == budget.organization_id,
        _ROW.period_start >= budget.counts_from_us,
        _ROW.period_start < own.start_us,
    )
    known = session.scalar(
        select(func.max(_ROW.period_start)).where(*earlier, _ROW.carried_e10.is_not(None))
    )
    query = select(spend_counters).where(*earlier).order_by(_ROW.period_start)
    if known is not None:
        query = query.where(_ROW.period_start >= int(known))
    return [counter_of(row) for row in session.execute(query).mappings()]


def _periods(budget: Budget, from_us: int, until_us: int) -> int:
    """How many periods lie between; as many as matter."""
    count = 0
    while from_us < until_us and count < 1_000:
        from_us = budget.window_of(from_us).end_us
        count += 1
    return count
