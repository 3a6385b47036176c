"""One transaction of the desk: reservations decided, settled, released or expired together.

The order in which rows are locked is the one of everybody: the turn of the organization, the
version of its budgets (shared), reservations, calls, rollups, counters. The counters come last and
all at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard

from llm_cost_ops.core.budget import Amounts
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.budgets import store, wire
from llm_cost_ops.server.budgets.allowed import hidden, is_own
from llm_cost_ops.server.budgets.ask import NO_PRICE
from llm_cost_ops.server.budgets.booking import estimated_entry, settled_entry
from llm_cost_ops.server.budgets.errand import (
    EXPIRE,
    RELEASE,
    RESERVE,
    SETTLE,
    Denied,
    Errand,
    Late,
    Outcome,
)
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.http import idempotency
from llm_cost_ops.server.http.problems import Problem, not_found, problem_of
from llm_cost_ops.server.ingest.record import record
from llm_cost_ops.server.ingest.reprice import take_turns_for
from llm_cost_ops.server.ingest.submission import (
    CLOSED,
    CONFLICT,
    CREATED,
    Answer,
    Item,
    Submission,
)
from llm_cost_ops.server.ledger import store as calls
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.spend.counters import Counters, Place, places_of
from llm_cost_ops.server.spend.holdings import OPEN, amounts_of, holdings_of, holdings_text
from llm_cost_ops.server.spend.index import Index, facts_of, index_in
from llm_cost_ops.server.spend.move import (
    Changes,
    Moves,
    apply,
    labels_of_entry,
    labels_of_row,
    places_of_changes,
    tell,
)
from llm_cost_ops.server.spend.reserve import Decision, decide, hold

KEEP_SECONDS = idempotency.KEEP_SECONDS
_STATUS = {SETTLE: store.SETTLED, RELEASE: store.RELEASED, EXPIRE: store.EXPIRED}
Row = dict[str, Any]


def carry_out(
    session: WriteSession,
    errands: Sequence[Errand],
    prices: Prices,
    *,
    now_us: int,
    wait: bool = True,
) -> list[Outcome]:
    """Do the errands in the caller's transaction; one outcome each, in order. Raises VersionHeld
    when budgets are being changed and `wait` is false."""
    work = Work(session, errands, now_us, wait=wait)
    submissions = work.submissions()
    if submissions:
        record(session, submissions, prices, now_us=now_us, keep_seconds=KEEP_SECONDS, moves=work)
    else:
        work.settle(session)
    return work.outcomes()


class EstimateRefused(Exception):
    """The event id of a reservation that expired belongs to another call."""


class Work(Moves):
    """The errands of one transaction. It is settled with the moves that its settlements make."""

    def __init__(
        self, session: WriteSession, errands: Sequence[Errand], now_us: int, *, wait: bool
    ) -> None:
        super().__init__()
        self.now_us = now_us
        self._wait = wait
        self._session = session
        self._errands = errands
        self._outcomes: dict[int, Outcome] = {}
        self._resolved: dict[str, Row] = {}
        self._answering: dict[int, Row] = {}
        self._drafts: dict[int, Entry | Problem] = {}
        self._booked: list[tuple[int, Row, Entry]] = []
        self._recorded: dict[str, str] = {}
        self._reserving: list[int] = []
        self._new: list[Row] = []
        self._begin()

    def _begin(self) -> None:
        errands = self._errands
        self._draft()
        for organization_id in sorted({errand.organization_id for errand in errands}):
            index = index_in(self._session, organization_id, wait=self._wait)
            self.changes[organization_id] = (index, {})
        calls = [errand.call.scope for errand in errands if errand.call]
        saved = idempotency.lookup(self._session, calls, self.now_us)
        named = [errand for errand in errands if errand.reservation_id]
        rows = store.locked(
            self._session,
            (errand.organization_id for errand in named),
            (errand.reservation_id for errand in named),
        )
        for place, errand in enumerate(errands):
            if errand.call and errand.call.scope in saved:
                self._outcomes[place] = _replayed(saved[errand.call.scope], errand.call)
            elif errand.kind == RESERVE:
                self._reserving.append(place)
            else:
                self._plan(place, errand, rows.get(errand.reservation_id))

    def _draft(self) -> None:
        """Price what settlements book, and take the turns that recording it needs, before the
        budgets are held: whoever corrects calls has them in this order. What is read here of a
        reservation never changes."""
        settling = {
            place: errand for place, errand in enumerate(self._errands) if errand.kind == SETTLE
        }
        rows = store.seen(
            self._session,
            (errand.organization_id for errand in settling.values()),
            (errand.reservation_id for errand in settling.values()),
        )
        for place, errand in settling.items():
            row = rows.get(errand.reservation_id)
            if not _is_his(row, errand):
                self._drafts[place] = not_found("Reservation not found")
                continue
            try:
                self._drafts[place] = settled_entry(errand, row, self.now_us)
            except (DomainError, Problem) as error:
                self._drafts[place] = problem_of(error, "POST")
        drafted = self._drafts.values()
        take_turns_for(self._session, (entry for entry in drafted if isinstance(entry, Entry)))

    def _plan(self, place: int, errand: Errand, row: Row | None) -> None:
        if not _is_his(row, errand):
            self._outcomes[place] = not_found("Reservation not found")
            return
        if errand.kind == EXPIRE:
            self._expire(place, errand, row)
            return
        if row["status"] == store.EXPIRED:
            self._outcomes[place] = Late()
        elif row["status"] != OPEN:
            self._repeat(place, errand, row)
        elif errand.kind == RELEASE:
            self._close(place, errand, row)
        else:
            drafted = self._drafts[place]
            if isinstance(drafted, Problem):
                self._outcomes[place] = drafted
            else:
                self._close(place, errand, row)
                self._booked.append((place, row, drafted))

    def _expire(self, place: int, errand: Errand, row: Row) -> None:
        if row["status"] == OPEN and row["expires_at"] <= self.now_us:
            self._booked.append((place, row, estimated_entry(row, self.now_us)))
            self._close(place, errand, row)
        else:
            self._answering[place] = row  # somebody was faster

    def _close(self, place: int, errand: Errand, row: Row) -> None:
        row["status"], row["resolution"] = _STATUS[errand.kind], errand.resolution
        row["resolved_at"] = self.now_us
        self._resolved[row["id"]] = row
        self._answering[place] = row

    def _repeat(self, place: int, errand: Errand, row: Row) -> None:
        """The same again gets the same answer."""
        if row["resolution"] == errand.resolution:
            self._answering[place] = row
        else:
            self._outcomes[place] = already(row)

    def submissions(self) -> list[Submission]:
        """The calls that settlements bring to the ledger."""
        made: list[Submission] = []
        for place, row, entry in self._booked:
            errand = self._errands[place]
            made.append(
                Submission(
                    errand.organization_id,
                    [entry],
                    self._noting(place, row),
                    recorded_by=errand.actor_id,
                    prices=errand.prices,
                )
            )
        return made

    def _noting(self, place: int, row: Row) -> Callable[[list[Item]], Answer]:
        """Keep what the call became in the reservation's row; when its event id belongs to a call
        of another cost, other labels or another reservation, or to one that was taken back, nothing
        was booked and the reservation stays open.

        Raises EstimateRefused for an expiry, whose event id nobody chose.
        """

        def render(fate: list[Item]) -> Answer:
            if stands(self._session, fate[0]) and self._is_first(fate[0], row):
                row["cost_e10"], row["record_id"] = fate[0].cost_e10, fate[0].id
                return Answer(200, b"")
            if self._errands[place].kind == EXPIRE:
                raise EstimateRefused(row["id"])
            self._reopen(row, str(fate[0].entry.event_id))
            return Answer(409, b"")

        return render

    def _is_first(self, item: Item, row: Row) -> bool:
        """Whether no other reservation, also of this group, became the call of the item."""
        first = self._recorded.setdefault(item.id, row["id"]) == row["id"]
        if not first or item.status == CREATED:
            return first
        return not store.is_recorded_by_another(
            self._session, row["organization_id"], row["id"], item.id
        )

    def _reopen(self, row: Row, event_id: str) -> None:
        """Undo the end of a reservation, also for those who asked for the same in this group."""
        row["status"], row["resolution"], row["resolved_at"] = OPEN, None, None
        del self._resolved[row["id"]]
        for place in [place for place, known in self._answering.items() if known is row]:
            del self._answering[place]
            self._outcomes[place] = taken(row, event_id)

    def settle(self, session: WriteSession) -> None:
        """Move the counters, give back what was held, then decide who may reserve."""
        for organization_id in sorted(self.changes):
            index, changes = self.changes[organization_id]
            self._settle(session, organization_id, index, changes)
        self.changes.clear()
        store.add(session, self._new)
        store.resolve(session, list(self._resolved.values()))

    def _settle(
        self, session: WriteSession, organization_id: str, index: Index, changes: Changes
    ) -> None:
        resolved = [r for r in self._resolved.values() if r["organization_id"] == organization_id]
        asked = [
            place
            for place in self._reserving
            if self._errands[place].organization_id == organization_id
        ]
        counters = Counters(session, organization_id)
        counters.lock(self._places(index, changes, resolved, asked))
        apply(counters, changes)
        for row in resolved:
            amounts = amounts_of(row)
            for holding in holdings_of(row):
                if holding.place.budget_id in index.budgets:
                    given = Amounts().minus(holding.of(amounts))
                    counters.at(holding.place).hold(given)
        for place in asked:
            self._reserve(place, index, counters)
        tell(session, counters, index, now_us=self.now_us)
        counters.write()

    def _places(
        self, index: Index, changes: Changes, resolved: Iterable[Row], asked: Iterable[int]
    ) -> set[Place]:
        places = places_of_changes(changes, self.now_us)
        for row in resolved:
            for holding in holdings_of(row):
                if holding.place.budget_id in index.budgets:
                    places.add(holding.place)
        for place in asked:
            ask = self._errands[place].ask
            for budget in index.of(ask.labels) if ask else ():
                places.update(places_of(budget, self.now_us))
        return places

    def _reserve(self, place: int, index: Index, counters: Counters) -> None:
        errand = self._errands[place]
        ask = errand.ask
        if ask is None:
            raise AssertionError("a reservation without an ask")
        budgets = index.of(ask.labels)
        decision = decide(
            counters,
            budgets,
            ask.amounts,
            ask.currency,
            priced=ask.basis != NO_PRICE,
            now_us=self.now_us,
        )
        unseen = hidden(errand.reach, index, budgets)
        if not decision.admitted:
            self._outcomes[place] = Denied(decision, ask, unseen)
            return
        row = self._row(errand, decision, counters)
        self._new.append(row)
        answer = Answer(201, wire.reserved(row, decision, ask, unseen))
        if errand.call:
            idempotency.save(self._session, errand.call, 201, answer.body, self.now_us)
        self._outcomes[place] = answer

    def _row(self, errand: Errand, decision: Decision, counters: Counters) -> Row:
        ask = errand.ask
        if ask is None:
            raise AssertionError("a reservation without an ask")
        holdings = hold(counters, decision, ask.amounts, ask.currency, self.now_us)
        return {
            "id": single_id("rsv", self.now_us // 1_000, secrets.randbits(80)),
            "organization_id": errand.organization_id,
            "status": OPEN,
            "amount_e10": ask.amounts.e10,
            "currency": ask.currency,
            "requests": ask.amounts.requests,
            "tokens": ask.amounts.tokens,
            "held": holdings_text(holdings),
            "call": store.call_text(ask.call),
            "created_at": self.now_us,
            "expires_at": self.now_us + ask.ttl_us,
            "resolved_at": None,
            "resolution": None,
            "cost_e10": None,
            "record_id": None,
            "created_by": errand.actor_id,
        }

    def outcomes(self) -> list[Outcome]:
        """What became of each errand, in order."""
        for place, row in self._answering.items():
            self._outcomes[place] = Answer(200, wire.resolved(row))
        return [self._outcomes[place] for place in range(len(self._errands))]


def _is_his(row: Row | None, errand: Errand) -> TypeGuard[Row]:
    """Whether there is such a reservation for who sends the errand."""
    if row is None or row["organization_id"] != errand.organization_id:
        return False
    return is_own(errand.reach, row)


def stands(session: ReadSession, item: Item) -> bool:
    """Whether the call that has the item's event id is the item's and was not taken back. One that
    was told of in other words is, when it costs as much and counts in the same budgets."""
    if item.status == CLOSED:
        return False
    if item.status != CONFLICT:
        return item.cost_status != calls.VOIDED
    entry = item.entry
    found = calls.calls(session, entry.organization_id, [item.id]).get(item.id)
    return found is not None and (
        (found["cost_e10"], found["currency"]) == (entry.cost_e10, entry.currency)
        and facts_of(labels_of_row(found)) == facts_of(labels_of_entry(entry))
    )


def _replayed(saved: idempotency.Saved, call: idempotency.IdempotentCall) -> Outcome:
    try:
        response = idempotency.replay(saved, call)
    except Problem as problem:
        return problem
    return Answer(response.status_code, bytes(response.body), replayed=True)


def already(row: Row) -> Problem:
    """409 for a reservation that ended in another way."""
    return Problem(
        409,
        "CONFLICT",
        f"The reservation was {row['status']} already, with other values.",
        details={"reservation_id": row["id"], "status": row["status"]},
    )


def taken(row: Row, event_id: str) -> Problem:
    """409 for a settlement under the event id of another call."""
    return Problem(
        409,
        "CONFLICT",
        f"The event id belongs to another call. The reservation is still {row['status']}.",
        details={"reservation_id": row["id"], "event_id": event_id},
    )


def deleted(row: Row) -> Problem:
    """409 for a late settlement whose estimate somebody has deleted from the ledger."""
    return Problem(
        409,
        "CONFLICT",
        "The estimate that was booked for the reservation was deleted.",
        details={"reservation_id": row["id"], "record_id": row["record_id"]},
    )
