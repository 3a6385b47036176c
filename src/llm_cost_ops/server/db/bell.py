"""A bell that is rung after a commit: whoever waits in this process for rows need not poll."""

from __future__ import annotations

import threading


class Bell:
    """One waiter, any number of ringers. What is rung while nobody waits is heard at the next
    `wait`."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Until it is rung, or for `seconds`; whether it was rung."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung
