"""The writer: submissions of many requests share one transaction and one flush (group commit).

A request is answered when its submission is committed. Nothing is kept in memory only: what is
not committed yet has not been acknowledged. SQLite has one writer thread, because it has one
writer; servers have several.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http.idempotency import KEEP_SECONDS, InFlight
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ingest.record import AtomicRefused, record
from llm_cost_ops.server.ingest.settle import audit_conflicts
from llm_cost_ops.server.ingest.submission import Answer, Submission
from llm_cost_ops.server.pricing.resolve import Prices

GROUP_ROWS = 2_000
QUEUE_ROWS = 200_000


class Writer:
    """Takes submissions from any thread; `start` before use, `close` to drain."""

    def __init__(
        self,
        database: Database,
        prices: Prices,
        clock: Clock,
        *,
        threads: int,
        keep_seconds: int = KEEP_SECONDS,
    ) -> None:
        self._database = database
        self._prices = prices
        self._clock = clock
        self._keep_seconds = keep_seconds
        self.in_flight = InFlight()
        self._waiting: deque[Submission] = deque()
        self._waiting_rows = 0
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"ingest-writer-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        """Start the writer threads."""
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float = 30.0) -> None:
        """Refuse new submissions, commit what waits, stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    def submit(self, submission: Submission) -> None:
        """Queue a submission; its future gets the answer after the commit.

        Raises DatabaseUnavailable when too much waits or the server is stopping.
        """
        with self._changed:
            if self._closed:
                raise DatabaseUnavailable(Reason.CONNECTION)
            if self._waiting_rows + len(submission.entries) > QUEUE_ROWS:
                raise DatabaseUnavailable(Reason.POOL)
            self._waiting.append(submission)
            self._waiting_rows += len(submission.entries)
            self._changed.notify()

    async def answer(self, submission: Submission, seconds: float) -> Answer:
        """Submit and wait for the answer. Raises TimeoutError, what `submit` raises, and what the
        commit fails with; who stops waiting before the commit began is not committed."""
        loop = asyncio.get_running_loop()
        waiter = submission.waiter = loop.create_future()
        self.submit(submission)
        timer = loop.call_later(seconds, _expire, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            submission.future.cancel()
            raise
        except TimeoutError:
            if submission.future.cancel() or not submission.future.done():
                raise
        finally:
            timer.cancel()
        return submission.future.result()

    def _take(self) -> list[Submission]:
        """What is committed next; nothing when the writer is closed and done. Who has stopped
        waiting for an answer is left out: nothing was promised."""
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return []
                group: list[Submission] = []
                rows = 0
                while self._waiting:
                    head = self._waiting[0]
                    size = len(head.entries)
                    if group and (head.alone or rows + size > GROUP_ROWS):
                        break
                    self._waiting.popleft()
                    self._waiting_rows -= size
                    if head.future.set_running_or_notify_cancel():
                        group.append(head)
                        rows += size
                        if head.alone:
                            break
                if group:
                    return group

    def _run(self) -> None:
        while group := self._take():
            self._commit(group)

    def _commit(self, group: Sequence[Submission]) -> None:
        self._settle(group)
        _wake(group)

    def _settle(self, group: Sequence[Submission]) -> None:
        try:
            answers = self._transact(group)
        except AtomicRefused as refused:
            self._refuse(group[0], refused)
        except DatabaseUnavailable as error:
            for submission in group:
                submission.future.set_exception(error)
        except Exception as error:
            self._one_by_one(group, error)
        else:
            for submission, answer in zip(group, answers, strict=True):
                if isinstance(answer, Problem):
                    submission.future.set_exception(answer)
                else:
                    submission.future.set_result(answer)

    def _refuse(self, submission: Submission, refused: AtomicRefused) -> None:
        """Everything was rolled back; what was refused is told to the audit log all the same."""
        now_us = self._clock.micros()
        try:
            write_retrying(
                self._database,
                lambda session: audit_conflicts(session, submission, refused.fate, now_us),
            )
        except Exception as error:
            submission.future.set_exception(error)
        else:
            submission.future.set_result(refused.answer)

    def _one_by_one(self, group: Sequence[Submission], error: Exception) -> None:
        """A fault of one submission must not fail its neighbours in the group."""
        if len(group) == 1:
            group[0].future.set_exception(error)
            return
        for submission in group:
            self._commit([submission])

    def _transact(self, group: Sequence[Submission]) -> list[Answer | Problem]:
        def work(session: WriteSession) -> list[Answer | Problem]:
            return record(
                session,
                group,
                self._prices,
                now_us=self._clock.micros(),
                keep_seconds=self._keep_seconds,
            )

        return write_retrying(self._database, work)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _wake(group: Sequence[Submission]) -> None:
    """Tell the event loops which answers are there: one wake-up for a whole commit, because each
    takes the interpreter's lock away from this thread."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for submission in group:
        if submission.waiter is not None:
            loops.setdefault(submission.waiter.get_loop(), []).append(submission.waiter)
    for loop, waiters in loops.items():
        with suppress(RuntimeError):  # a loop that was closed has nobody waiting
            loop.call_soon_threadsafe(_tell, waiters)


def _tell(waiters: Sequence[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
