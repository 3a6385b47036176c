"""Streams that stay on one value: whether leaving it is rare, and what is part of one departure.

The base is the value of the latest run of at least `least` equal values. Leaving it is rare when
none of the latest `every` values was another one; those before a base that followed straight on
another base do not count, unless it is the base before that. So the first value after a stretch of
zeros is rare and a step from there to a third level is, but not the second value of a sparse
series, nor the Monday after a silent weekend.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from llm_cost_ops.anomalies.windows import SortedWindow

_MOST = 0.85
_FURTHER = 2.0


class Flat:
    """The state of one stream; it holds `memory` values at most."""

    def __init__(self, *, least: int, every: float, memory: int) -> None:
        self._least = least
        self._every = every
        self._memory = memory
        self._count = 0
        self._base: float | None = None
        self._before: float | None = None
        self._left = 0
        self._differed: int | None = None
        self._value = 0.0
        self._run = 0
        self._latest = SortedWindow(memory)
        self._away = 0
        self._furthest = 0.0

    @property
    def base(self) -> float:
        """The base; 0 as long as there is none."""
        return self._base or 0.0

    @property
    def away(self) -> int:
        """How many values the rare departure has that is not over; 0 where there is none."""
        return self._away

    def is_rare(self, value: float) -> bool:
        """Whether this next value leaves a base that is hardly ever left."""
        if self._base is None or self._value != self._base or value == self._base:
            return False
        since = self._left if value == self._before else self._differed
        recent = since is not None and self._count - since < self._every
        return self._run >= self._least and not recent

    def is_sparse(self) -> bool:
        """Whether almost all of the latest values are equal, and some are not."""
        ordered, most = self._latest.ordered, self._latest.median()
        same = bisect_right(ordered, most) - bisect_left(ordered, most)
        return _MOST * len(ordered) <= same < len(ordered)

    def is_further(self, value: float) -> bool:
        """Whether this is far beyond what the present departure has shown so far."""
        return abs(value - self.base) > _FURTHER * self._furthest

    def depart(self, value: float) -> None:
        """This next value, yet to be learnt, is one of a rare departure."""
        self._away += 1
        self._furthest = max(self._furthest, abs(value - self.base))

    def settle(self) -> None:
        """The departure has become a level."""
        self._away, self._furthest = 0, 0.0
        self._latest = SortedWindow(self._memory)

    def push(self, value: float) -> None:
        """Learn a value."""
        changed = self._count > 0 and value != self._value
        if changed and self._value == self._base:
            self._left = self._count
        self._count += 1
        self._run = 1 if changed else self._run + 1
        self._value = value
        self._latest.push(value)
        if value == self._base:
            if changed:
                self._differed = self._count - 1
            self._away, self._furthest = 0, 0.0
        elif self._run >= self._least:
            self._rebase()

    def _rebase(self) -> None:
        start = self._count - self._run
        straight = not start or (start == self._left and self._value != self._before)
        self._differed = None if straight else start
        self._before, self._base = self._base, self._value
