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
from typing import TypeVar

from llm_cost_ops.server.budgets.errand import Denied, Errand, Late, Outcome
from llm_cost_ops.server.budgets.expire import BATCH, expire_apart
from llm_cost_ops.server.budgets.late import carry_out_late
from llm_cost_ops.server.budgets.work import carry_out
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http.idempotency import InFlight
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.pricing.resolve import Prices

GROUP = 256
QUEUE = 20_000
ATTEMPTS = 8
EXPIRE_EVERY_S = 5.0
POLL_S = 0.1
"""How often who waits for a budget looks again, for what other processes give back."""
T = TypeVar("T")


class Desk:
    """Takes errands from any thread; `start` before use, `close` to drain."""

    def __init__(self, database: Database, prices: Prices, clock: Clock) -> None:
        self._database = database
        self._prices = prices
        self._clock = clock
        self.in_flight = InFlight()
        self._waiting: deque[Errand] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._looked_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="budget-desk", daemon=True)
        self._given_back: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_s: float = 30.0) -> None:
        """Refuse new errands, finish what waits, stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

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

    async def given_back(self, seconds: float) -> None:
        """Wait until something that was reserved here is given back, at most so long."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._given_back.add(waiter)
        timer = loop.call_later(min(seconds, POLL_S), _tell, [waiter])
        try:
            await waiter
        finally:
            timer.cancel()
            self._given_back.discard(waiter)

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
            self._commit(group)
            self._wake(group)

    def _expire_due(self) -> None:
        """Now and then, before others are decided. Whatever befalls it, these are decided."""
        now_s = self._clock.monotonic()
        if self._looked_s is not None and now_s - self._looked_s < EXPIRE_EVERY_S:
            return
        self._looked_s = now_s
        try:
            while expire_apart(self._write, self._prices, self._clock.micros()) == BATCH:
                pass
        except (DatabaseUnavailable, SerializationRetry):
            return  # met again by what follows
        except Exception as error:
            logger("budgets").error("expiry failed", error=type(error).__name__)

    def _commit(self, group: Sequence[Errand]) -> None:
        try:
            outcomes = self._write(
                lambda session: carry_out(session, group, self._prices, now_us=self._clock.micros())
            )
        except DatabaseUnavailable as error:
            for errand in group:
                errand.future.set_exception(error)
        except Exception as error:
            self._one_by_one(group, error)
        else:
            for errand, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, Late):
                    self._correct(errand)
                else:
                    errand.future.set_result(outcome)

    def _one_by_one(self, group: Sequence[Errand], error: Exception) -> None:
        """A fault of one errand must not fail its neighbours."""
        if len(group) == 1:
            group[0].future.set_exception(error)
            return
        for errand in group:
            self._commit([errand])

    def _correct(self, errand: Errand) -> None:
        try:
            outcome = self._write(
                lambda session: carry_out_late(
                    session, errand, self._prices, now_us=self._clock.micros()
                )
            )
        except Exception as error:
            errand.future.set_exception(error)
        else:
            errand.future.set_result(outcome)

    def _write(self, work: Callable[[WriteSession], T]) -> T:
        return write_retrying(self._database, work, attempts=ATTEMPTS)

    def _wake(self, group: Sequence[Errand]) -> None:
        """Tell the event loops which outcomes are there, one wake-up for each loop; and those who
        wait for something to be given back, when anything may have been."""
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for errand in group:
            if errand.waiter is not None:
                loops.setdefault(errand.waiter.get_loop(), []).append(errand.waiter)
        if any(errand.reservation_id for errand in group):
            for waiter in list(self._given_back):
                loops.setdefault(waiter.get_loop(), []).append(waiter)
        for loop, waiters in loops.items():
            with suppress(RuntimeError):  # a loop that was closed has nobody waiting
                loop.call_soon_threadsafe(_tell, waiters)


def may_wait(outcome: Outcome) -> bool:
    """Whether an ask would fit if what others hold were given back."""
    return isinstance(outcome, Denied) and outcome.decision.waiting


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _tell(waiters: Sequence[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
