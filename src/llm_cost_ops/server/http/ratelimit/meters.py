"""Counters of sliding windows, in this process: no lock, no wait, a fixed size per name.

A window is counted in two numbers: what the present window of the clock holds and what the one
before held, of which as much still counts as lies within the last `seconds`. So a limit of 100 a
minute is about 100 in any 60 seconds, not 200 around the turn of a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MICROS = 1_000_000
MAX_METERS = 50_000


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds."""

    amount: int
    seconds: int


class Meter:
    """What one name has used of one limit. `unshared` is what other processes do not know yet."""

    __slots__ = ("amount", "current", "index", "name", "previous", "seconds", "unshared", "width")

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.amount = limit.amount
        self.seconds = limit.seconds
        self.width = limit.seconds * MICROS
        self.index = 0
        self.current = 0
        self.previous = 0
        self.unshared = 0

    def used(self, now_us: int) -> int:
        """What counts at this time."""
        index, elapsed = divmod(now_us, self.width)
        if index != self.index:
            # A clock that was set back begins anew too.
            self.previous = self.current if index == self.index + 1 else 0
            self.current = self.unshared = 0
            self.index = index
        if not self.previous:
            return self.current
        return self.current + self.previous * (self.width - elapsed) // self.width

    def fits(self, count: int, now_us: int) -> bool:
        """Whether `count` more are within the limit; more than the limit itself fit when nothing
        is used, so that a batch larger than a limit is held up and not refused for ever."""
        used = self.used(now_us)
        return used + count <= self.amount or (used == 0 and count > self.amount)

    def add(self, count: int) -> None:
        """Count; `used` or `fits` was asked for the same time before."""
        self.current += count
        self.unshared += count

    def give_back(self, count: int) -> None:
        """Take back what was counted, unless other processes know of it by now."""
        back = min(count, self.unshared)
        self.current -= back
        self.unshared -= back

    def wait_us(self, count: int, now_us: int) -> int:
        """How long until `count` fit, if nothing else comes."""
        if self.fits(count, now_us):
            return 0
        room = max(0, self.amount - count)
        left = self.width - now_us % self.width
        if self.current <= room:  # the window before has to fade
            return max(1, left - (room - self.current) * self.width // self.previous)
        return left + self.width - room * self.width // self.current

    def shared(self, total: int) -> None:
        """All processes together have so many in this window, without what is unshared here."""
        self.current = max(self.current, total + self.unshared)

    def stale(self, now_us: int) -> bool:
        """Whether nothing of it counts any more."""
        return now_us // self.width > self.index + 1


class Meters:
    """The meters of one process by name and window; those of names that went quiet make room."""

    def __init__(self, now: Callable[[], int], capacity: int = MAX_METERS) -> None:
        self._now = now
        self._capacity = capacity
        self._known: dict[tuple[str, int], Meter] = {}
        self.dropped = 0
        """Counts how often meters were let go: who keeps some looks them up again."""

    def __len__(self) -> int:
        return len(self._known)

    def of(self, name: str, limits: Sequence[Limit]) -> tuple[Meter, ...]:
        """The meters of a name for its limits. A changed amount keeps what was counted."""
        return tuple(self._one(name, limit) for limit in limits)

    def _one(self, name: str, limit: Limit) -> Meter:
        key = (name, limit.seconds)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= self._capacity:
                self._make_room()
            found = self._known[key] = Meter(name, limit)
        found.amount = limit.amount
        return found

    def _make_room(self) -> None:
        """Let go of what no longer counts, and of the oldest until a tenth is free: the next name
        must not have to look through all of them again."""
        now_us = self._now()
        kept = {key: meter for key, meter in self._known.items() if not meter.stale(now_us)}
        surplus = len(kept) - (self._capacity - self._capacity // 10 - 1)
        if surplus > 0:
            kept = dict(list(kept.items())[surplus:])
        self._known = kept
        self.dropped += 1

    def unshared(self) -> list[Meter]:
        """Meters with counts that other processes do not know."""
        now_us = self._now()
        found: list[Meter] = []
        for meter in list(self._known.values()):
            if meter.unshared:
                meter.used(now_us)  # moves it into the present window
                if meter.unshared:
                    found.append(meter)
        return found
