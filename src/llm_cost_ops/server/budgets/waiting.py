"""Who waits until something is given back: apart for each organization, equal asks as one.

Of asks that fit in the same budgets or in none, one looks again at a time, and the next as soon as
that one was admitted or has given up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Sequence
from weakref import WeakValueDictionary

POLL_S = 0.1
"""How often an organization's waiters look again, for what other processes give back."""
AT_ONCE = 16
"""So many of an organization look again together, those that have waited longest; with more, each
looks less often."""
Waiter = asyncio.Future[None]


class Waiting:
    """The waiters of one process, on any of its event loops."""

    def __init__(self) -> None:
        self._waiters: dict[str, dict[Waiter, None]] = {}
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def given_back(self, organization_id: str, seconds: float) -> None:
        """Wait until something that the organization reserved here is given back, or until it is
        time to look, at most so long."""
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        with self._lock:
            mine = self._waiters.setdefault(organization_id, {})
            mine[waiter] = None
            often_s = POLL_S * max(1.0, len(mine) / AT_ONCE)
        timer = loop.call_later(min(seconds, often_s), tell, [waiter])
        try:
            await waiter
        finally:
            timer.cancel()
            self._forget(organization_id, waiter)

    def _forget(self, organization_id: str, waiter: Waiter) -> None:
        with self._lock:
            mine = self._waiters.get(organization_id, {})
            mine.pop(waiter, None)
            if not mine:
                self._waiters.pop(organization_id, None)

    def woken(self, organization_id: str) -> list[Waiter]:
        """Those who look next because the organization gave something back; not twice."""
        with self._lock:
            mine = self._waiters.get(organization_id, {})
            found = list(mine)[:AT_ONCE]
            for waiter in found:
                del mine[waiter]
        return found

    def turn(self, organization_id: str, ask: Hashable) -> asyncio.Lock:
        """Held by that one of equal asks which looks again. Keep it while you wait for it."""
        key = (asyncio.get_running_loop(), organization_id, ask)
        with self._lock:
            return self._turns.setdefault(key, asyncio.Lock())


def tell(waiters: Sequence[Waiter]) -> None:
    """Wake waiters of the running loop."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
