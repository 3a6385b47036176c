"""A bounded memory of GET answers, off unless `enable_caching` is set.

Every write through the same client empties it. Writes of others are seen after `ttl` seconds: who
needs the ledger's present state must not switch it on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from llm_cost_ops.client.response import Response

MAX_ENTRIES = 256


class ResponseCache:
    """Answers by URL, each for `ttl` seconds of `clock`; the oldest goes first when full."""

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, Response]] = OrderedDict()
        self._lock = Lock()
        self.generation = 0
        """Moves with every write: an answer asked for before a write is not kept after it."""

    def get(self, url: str) -> Response | None:
        with self._lock:
            stored = self._entries.get(url)
            if stored is None or stored[0] <= self._clock():
                self._entries.pop(url, None)
                return None
            return stored[1]

    def put(self, url: str, response: Response, generation: int) -> None:
        with self._lock:
            if generation != self.generation:
                return
            self._entries[url] = (self._clock() + self._ttl, response)
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self.generation += 1
            self._entries.clear()
