"""Test messages that somebody waits for: a few at a time.

Each holds a thread of the API for as long as the other side likes, up to the time of a call.
Without a bound one organization whose receivers do not answer would take all threads.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from llm_cost_ops.core.errors import DomainError


class TooManyTrials(DomainError):
    """Other tests are still under way."""

    code = "RATE_LIMIT_EXCEEDED"


class Trials:
    """The tests that are under way in a process."""

    def __init__(self, *, most: int = 8, each: int = 2) -> None:
        self._most = most
        self._each = each
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, organization_id: str) -> Generator[None]:
        """A test of an organization, until the block ends. Raises TooManyTrials when `each` of its
        own, or `most` of all, are under way."""
        with self._lock:
            if self._running[organization_id] >= self._each or self._running.total() >= self._most:
                raise TooManyTrials("Other tests are under way: try again when they have ended.")
            self._running[organization_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[organization_id] -= 1
                if not self._running[organization_id]:
                    del self._running[organization_id]


TRIALS = Trials()
"""Those of this process."""
