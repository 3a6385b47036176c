"""What a credential stood for a moment ago: remembered for less than a second, in one process.

What was revoked is refused everywhere within a second, because no process remembers longer. A
credential in constant use is looked up again in the background before its entry ends, so that its
requests never wait for the database. When the database is down, credentials end with their entries:
access fails closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from anyio import CapacityLimiter, to_thread

from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.clock import Clock

REMEMBER_SECONDS = 0.9
REFRESH_AFTER_SECONDS = 0.45
MAX_REMEMBERED = 10_000
READERS = 4


@dataclass(slots=True)
class _Entry:
    """What one lookup found; None is a credential that stands for nobody. Times are monotonic
    seconds."""

    principal: Principal | None
    fresh_until_s: float
    refresh_at_s: float


class Memory:
    """Credentials of one kind as one server process knows them. Used from one event loop.

    `find` looks one up in the database; it runs in a thread. Credentials are remembered by `name`,
    which is never the secret itself but its digest.
    """

    def __init__(self, find: Callable[[str], Principal | None], clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._loading: dict[str, asyncio.Task[_Entry]] = {}
        self._forgotten = 0
        self._readers: CapacityLimiter | None = None

    def __len__(self) -> int:
        return len(self._entries)

    async def principal(self, name: str, secret: str) -> Principal | None:
        """Who `secret` stands for, which `find` is asked for unless it is remembered. Raises what
        `find` raises."""
        entry = self._entries.get(name)
        if entry is None or entry.fresh_until_s <= self._clock.monotonic():
            entry = await asyncio.shield(self._load(name, secret))
        if entry.principal is None or self._expired(entry.principal):
            return None
        return entry.principal

    def remembered(self, name: str, secret: str) -> Principal | None:
        """Who it stands for, if it was looked up a moment ago: no waiting, no database."""
        entry = self._entries.get(name)
        if entry is None or entry.principal is None:
            return None
        now_s = self._clock.monotonic()
        if entry.fresh_until_s <= now_s or self._expired(entry.principal):
            return None
        if entry.refresh_at_s <= now_s and name not in self._loading:
            self._load(name, secret).add_done_callback(_seen)
        return entry.principal

    def forget(self, gone: Callable[[Principal], bool]) -> None:
        """Look these up again at their next use, also when a lookup is under way: it may have begun
        too early. For the process that changed them, in its event loop."""
        self._forgotten += 1
        self._loading.clear()
        self._entries = {
            name: entry
            for name, entry in self._entries.items()
            if entry.principal is None or not gone(entry.principal)
        }

    def _expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._clock.micros()

    def _load(self, name: str, secret: str) -> asyncio.Task[_Entry]:
        """The lookup of this credential that is under way, or a new one."""
        task = self._loading.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(name, secret))
            self._loading[name] = task
            task.add_done_callback(partial(self._loaded, name))
        return task

    def _loaded(self, name: str, task: asyncio.Task[_Entry]) -> None:
        if self._loading.get(name) is task:
            del self._loading[name]

    async def _read(self, name: str, secret: str) -> _Entry:
        if self._readers is None:
            self._readers = CapacityLimiter(READERS)
        began_s, forgotten = self._clock.monotonic(), self._forgotten
        found = await to_thread.run_sync(self._find, secret, limiter=self._readers)
        entry = _Entry(found, began_s + REMEMBER_SECONDS, began_s + REFRESH_AFTER_SECONDS)
        if forgotten != self._forgotten:  # what was read may be from before the change
            return entry
        self._entries.pop(name, None)
        self._entries[name] = entry
        while len(self._entries) > MAX_REMEMBERED:
            del self._entries[next(iter(self._entries))]
        return entry


def _seen(task: asyncio.Task[_Entry]) -> None:
    """A failed refresh is told by the foreground lookup that follows when the entry has ended."""
    if not task.cancelled():
        task.exception()
