"""Lanes: who has to wait for a lock of his own organization waits apart from everybody else.

An organization that the desk could not serve at once gets a lane. What it asks for meanwhile joins
the lane, whose threads have the usual patience, and serve the lanes in turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from llm_cost_ops.server.budgets.errand import Errand
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry

THREADS = 4
GROUP = 256
QUEUE = 2_000
"""The most that waits in a lane."""
TRIES = 12


class Lanes:
    """`serve` does errands of one organization, waits for its locks, and returns those that met one
    for too long. It fills the futures of the others."""

    def __init__(self, serve: Callable[[Sequence[Errand]], Sequence[Errand]]) -> None:
        self._serve = serve
        self._lanes: dict[str, deque[Errand]] = {}
        self._turns: deque[str] = deque()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    def joined(self, errand: Errand) -> bool:
        """Whether the errand is now in the lane of its organization, if that has one."""
        with self._lock:
            lane = self._lanes.get(errand.organization_id)
            if lane is None:
                return False
            if len(lane) < QUEUE:
                lane.append(errand)
                return True
        errand.future.set_exception(DatabaseUnavailable(Reason.POOL))
        return True

    def open(self, errands: Sequence[Errand]) -> None:
        """Set errands of one organization apart."""
        organization_id = errands[0].organization_id
        with self._lock:
            if organization_id in self._lanes:
                self._lanes[organization_id].extend(errands)
                return
            self._lanes[organization_id] = deque(errands)
            self._turns.append(organization_id)
            if len(self._threads) < THREADS:
                thread = threading.Thread(target=self._run, name="budget-lane", daemon=True)
                self._threads.add(thread)
                thread.start()

    def close(self, timeout_s: float) -> None:
        """Wait for what is in the lanes; nobody may open one any more."""
        for thread in list(self._threads):
            thread.join(timeout_s)

    def _run(self) -> None:
        while (organization_id := self._next()) is not None:
            group = self._group(organization_id)
            again = list(self._serve(group)) if group else []
            self._put_back(organization_id, again)

    def _next(self) -> str | None:
        with self._lock:
            if self._turns:
                return self._turns.popleft()
            self._threads.discard(threading.current_thread())
            return None

    def _group(self, organization_id: str) -> list[Errand]:
        """The next of a lane, without those whose request was answered meanwhile: nothing was
        promised to them."""
        with self._lock:
            lane = self._lanes[organization_id]
            taken = [lane.popleft() for _ in range(min(len(lane), GROUP))]
        return [errand for errand in taken if not _is_gone(errand)]

    def _put_back(self, organization_id: str, errands: Sequence[Errand]) -> None:
        kept: list[Errand] = []
        for errand in errands:
            errand.tries += 1
            if errand.tries < TRIES:
                kept.append(errand)
            else:
                errand.future.set_exception(SerializationRetry())
        with self._lock:
            lane = self._lanes[organization_id]
            lane.extendleft(reversed(kept))
            if lane:
                self._turns.append(organization_id)
            else:
                del self._lanes[organization_id]


def _is_gone(errand: Errand) -> bool:
    return errand.waiter is not None and errand.waiter.done()
