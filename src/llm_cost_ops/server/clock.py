"""The clock of the server: the only place that reads wall time, so that tests can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from llm_cost_ops.core.instant import to_micros


class Clock(Protocol):
    """Wall time for facts, monotonic time for deadlines."""

    def now(self) -> datetime: ...

    def micros(self) -> int: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def micros(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()


class FixedClock:
    """A clock that a test sets and moves."""

    def __init__(self, now: datetime) -> None:
        self.current = now
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        return self.current

    def micros(self) -> int:
        return to_micros(self.current)

    def monotonic(self) -> float:
        return self.elapsed_s
