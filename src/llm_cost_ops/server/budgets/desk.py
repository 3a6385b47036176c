"""The desk: reservations of many requests are decided, settled and released in one transaction.

Requests queue up while a transaction is under way and share the next one, with one flush (as the
ingest writer does). In it every counter is locked once, in order; then the requests are decided one
after the other, each seeing what the ones before it hold.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from llm_cost_ops.server.budgets.errand import Denied, Errand, Late, Outcome
from llm_cost_ops.server.budgets.expire import expire
from llm_cost_ops.server.budgets.lanes import Lanes
from llm_cost_ops.server.budgets.late import carry_out_late
from llm_cost_ops.server.budgets.waiting import Waiting, tell
from llm_cost_ops.server.budgets.work import carry_out
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING, DatabaseUnavailable, Reason, SerializationRetry
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http.idempotency import InFlight
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.spend.lock import VersionHeld, in_haste

GROUP = 256
QUEUE = 20_000
EXPIRE_EVERY_S = 5.0
EXPIRE_LATER_S = 60.0
"""After a failure, which the worker's expiry deals with."""
T = TypeVar("T")


class _Write(Protocol):
    """Commits what is done in a session, or raises SerializationRetry."""

    def __call__(self, work: Callable[[WriteSession], T], /) -> T: ...


class Desk:
    """Takes errands from any thread; `start` before use, `close` to drain.

    Its thread serves all organizations and so waits for none: one whose locks are held goes to a
    lane of its own.
    """

    def __init__(self, database: Database, prices: Prices, clock: Clock) -> None:
        self._database = database
        self._prices = prices
        self._clock = clock
        self.in_flight = InFlight()
        self._waiting: deque[Errand] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._look_at_s = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="budget-desk", daemon=True)
        self._lanes = Lanes(self._serve_apart)
        self.waiting = Waiting()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_s: float = 30.0) -> None:
        """Refuse new errands, finish what waits, stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._lanes.close(timeout_s)

    def submit(self, errand: Errand) -> None:
        """Queue an errand; its future gets the outcome after the commit.

        Raises DatabaseUnavailable when too much waits or the server is stopping.
        """
        with self._changed:
            if self._closed:
                raise DatabaseUnavailable(Reason.CONNECTION)
            if len(self._waiting) >= QUEUE:
                raise DatabaseUnavailable(Reason.POOL)
            self._waiting.append(errand)
            self._changed.notify()

    async def outcome(self, errand: Errand, seconds: float) -> Outcome:
        """Submit and wait; who stops waiting before the transaction began is left out of it.

        Raises TimeoutError, what `submit` raises and what the commit fails with.
        """
        loop = asyncio.get_running_loop()
        waiter = errand.waiter = loop.create_future()
        self.submit(errand)
        timer = loop.call_later(seconds, _expire, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            errand.future.cancel()
            raise
        except TimeoutError:
            if errand.future.cancel() or not errand.future.done():
                raise
        finally:
            timer.cancel()
        return errand.future.result()

    def _take(self) -> list[Errand]:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            group: list[Errand] = []
            while self._waiting and len(group) < GROUP:
                errand = self._waiting.popleft()
                if errand.future.set_running_or_notify_cancel():
                    group.append(errand)
            return group

    def _run(self) -> None:
        while True:
            group = self._take()
            if not group:
                with self._changed:
                    if self._closed and not self._waiting:
                        return
                continue
            self._expire_due()
            here = [errand for errand in group if not self._lanes.joined(errand)]
            for blocked in self._serve(here):
                self._lanes.open(blocked)
            self._wake(group)

    def _expire_due(self) -> None:
        """Now and then, before others are decided, and not more than one transaction: what cannot
        be booked together, and who is in the way, is the worker's."""
        now_s = self._clock.monotonic()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + EXPIRE_EVERY_S
        now_us = self._clock.micros()
        try:
            self._in_haste(lambda session: expire(session, self._prices, now_us, wait=False))
        except PASSING:
            return  # met again by what follows
        except Exception as error:
            self._look_at_s = now_s + EXPIRE_LATER_S
            logger("budgets").error("expiry was left to the worker", error=type(error).__name__)

    def _serve(self, group: Sequence[Errand]) -> list[list[Errand]]:
        """Do the errands without waiting; those that met a lock come back by organization."""
        blocked: list[list[Errand]] = []
        while group:
            try:
                self._commit(group, self._in_haste, wait=False)
            except VersionHeld as held:
                name = held.organization_id
                blocked.append([e for e in _undone(group) if e.organization_id == name])
                group = [e for e in _undone(group) if e.organization_id != name]
                continue
            except SerializationRetry:
                shares = _by_organization(_undone(group))
                if len(shares) == 1:
                    blocked += shares
                else:
                    for share in shares:
                        blocked += self._serve(share)
            break
        return blocked

    def _serve_apart(self, group: Sequence[Errand]) -> Sequence[Errand]:
        """Do errands of one organization with the usual patience; those that met a lock."""
        with suppress(SerializationRetry):
            self._commit(group, self._patiently, wait=True)
        self._wake(group)
        return _undone(group)

    def _commit(self, group: Sequence[Errand], write: _Write, *, wait: bool) -> None:
        """Fill the futures. Raises SerializationRetry after all but those of blocked errands."""
        try:
            outcomes = write(
                lambda session: carry_out(
                    session, group, self._prices, now_us=self._clock.micros(), wait=wait
                )
            )
        except SerializationRetry:
            raise
        except DatabaseUnavailable as error:
            for errand in group:
                errand.future.set_exception(error)
        except Exception as error:
            self._in_parts(group, error, write, wait=wait)
        else:
            late: list[Errand] = []
            for errand, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, Late):
                    late.append(errand)
                else:
                    errand.future.set_result(outcome)
            self._each([[errand] for errand in late], lambda one: self._correct(one[0], write))

    def _in_parts(
        self, group: Sequence[Errand], error: Exception, write: _Write, *, wait: bool
    ) -> None:
        """A fault of one errand must not fail its neighbours, nor keep other organizations."""
        if len(group) == 1:
            group[0].future.set_exception(error)
            return
        parts = _by_organization(group)
        if len(parts) == 1:
            parts = [[errand] for errand in group]
        self._each(parts, lambda part: self._commit(part, write, wait=wait))

    def _each(
        self, parts: Sequence[Sequence[Errand]], serve: Callable[[Sequence[Errand]], None]
    ) -> None:
        """Serve one part after the other, each of one organization; after one that is blocked none
        of the same."""
        blocked: dict[str, SerializationRetry] = {}
        for part in parts:
            if part[0].organization_id not in blocked:
                try:
                    serve(part)
                except SerializationRetry as error:
                    blocked[part[0].organization_id] = error
        for error in blocked.values():
            raise error

    def _correct(self, errand: Errand, write: _Write) -> None:
        try:
            outcome = write(
                lambda session: carry_out_late(
                    session, errand, self._prices, now_us=self._clock.micros()
                )
            )
        except SerializationRetry:
            raise
        except Exception as error:
            errand.future.set_exception(error)
        else:
            errand.future.set_result(outcome)

    def _in_haste(self, work: Callable[[WriteSession], T]) -> T:
        usual_ms = self._database.settings.lock_timeout_ms

        def hurried(session: WriteSession) -> T:
            with in_haste(session, usual_ms):
                return work(session)

        return write_retrying(self._database, hurried, attempts=1)

    def _patiently(self, work: Callable[[WriteSession], T]) -> T:
        return write_retrying(self._database, work, attempts=1)

    def _wake(self, group: Sequence[Errand]) -> None:
        """Tell the event loops which outcomes are there, one wake-up for each loop; and those who
        wait for something to be given back, when anything of their organization may have been."""
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        done = [errand for errand in group if errand.future.done()]
        waiters = [errand.waiter for errand in done if errand.waiter is not None]
        for organization_id in {e.organization_id for e in done if e.reservation_id}:
            waiters += self.waiting.woken(organization_id)
        for waiter in waiters:
            loops.setdefault(waiter.get_loop(), []).append(waiter)
        for loop, mine in loops.items():
            with suppress(RuntimeError):  # a loop that was closed has nobody waiting
                loop.call_soon_threadsafe(tell, mine)


def _by_organization(group: Sequence[Errand]) -> list[list[Errand]]:
    shares: dict[str, list[Errand]] = {}
    for errand in group:
        shares.setdefault(errand.organization_id, []).append(errand)
    return list(shares.values())


def _undone(group: Sequence[Errand]) -> list[Errand]:
    return [errand for errand in group if not errand.future.done()]


def may_wait(outcome: Outcome) -> bool:
    """Whether an ask would fit if what others hold were given back."""
    return isinstance(outcome, Denied) and outcome.decision.waiting


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
