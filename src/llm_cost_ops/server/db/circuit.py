"""A breaker, so that an outage costs one caller the wait and the others an answer at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason

OPEN_SECONDS = 1.0


class Circuit:
    """Opens when no connection can be had; after a second one caller at a time tries again.

    Only a failed connection opens it: one that breaks in use may be a single killed session.
    """

    def __init__(self, monotonic: Callable[[], float], open_seconds: float = OPEN_SECONDS) -> None:
        self._monotonic = monotonic
        self._open_seconds = open_seconds
        self._lock = threading.Lock()
        self._retry_at: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._retry_at is not None

    def admit(self) -> None:
        """Raises `DatabaseUnavailable` while open, except to the one caller who is to try.

        An admitted caller reports `connected` or `failed`.
        """
        if not self.is_open:
            return
        with self._lock:
            retry_at = self._retry_at
            if retry_at is None:
                return
            wait = retry_at - self._monotonic()
            if self._probing or wait > 0:
                raise DatabaseUnavailable(Reason.CONNECTION, retry_after=max(1, math.ceil(wait)))
            self._probing = True

    def connected(self) -> None:
        if not self.is_open:
            return
        with self._lock:
            self._retry_at = None
            self._probing = False

    def failed(self) -> None:
        with self._lock:
            self._retry_at = self._monotonic() + self._open_seconds
            self._probing = False
