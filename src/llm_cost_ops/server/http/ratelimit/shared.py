"""Counts shared by several processes through Redis or Memcached, behind the requests' backs.

Each process counts by itself and now and then adds what is new to the store, which answers the
total of all. So no request waits for the store, and when it is gone each process goes on with what
it counts itself: a limit then holds per process, which is bounded, logged, measured and told by
`/ready`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, cast

from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.http.ratelimit.meters import Limit, Meter, Meters
from llm_cost_ops.server.http.ratelimit.metrics import RateLimitMetrics
from llm_cost_ops.server.settings import Settings

PREFIX = "cost-ops-rate"
RETRY_SECONDS = 2.0
_CLOSE_SECONDS = 2.0
_KEPT_WINDOWS = 2
_PROBE = Meter("probe", Limit(1, 60))
"""Asked for while nothing is counted, to find out whether a store that was gone is back."""

Totals = list[tuple[Meter, int, int, int]]
"""Meter, index of its window, what was added, and the total of the window afterwards."""


class StoreMissing(Exception):
    """The package that speaks to the chosen store is not installed; the text is for `/ready`."""


class Store(Protocol):
    """A counter per key that ends by itself; `limits` has one for each kind of store."""

    def incr(self, key: str, expiry: float, amount: int = 1) -> int: ...


def store_of(settings: Settings) -> Store | None:
    """The store that the settings name, None for the memory of each process. Raises StoreMissing
    when its package is not installed; a store that does not answer is found out later."""
    chosen, timeout_s = settings.rate_limit.storage, settings.rate_limit.timeout_seconds
    if not settings.rate_limit.enabled:
        return None
    if chosen == "auto":
        chosen = "memory" if settings.redis.url is None else "redis"
    if chosen == "redis":
        times = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        return _open("RedisStorage", settings.redis.url, "redis", **times)
    if chosen == "memcached":
        times = {"timeout": timeout_s, "connect_timeout": timeout_s}
        return _open("MemcachedStorage", settings.rate_limit.memcached_url, "memcached", **times)
    return None


def _open(kind: str, url: str | None, extra: str, **options: Any) -> Store:
    import limits.storage as storages
    from limits.errors import ConfigurationError

    if url is not None and url.lower().startswith("unix://"):
        url = f"redis+{url}"
    make: Any = getattr(storages, kind)
    try:
        return cast("Store", make(url, wrap_exceptions=True, **options))
    except ConfigurationError:
        raise StoreMissing(
            f"Rate limits are not shared: {extra} needs pip install 'llm-cost-ops[{extra}]'."
        ) from None


class Sharing:
    """Keeps the meters of one process in step with the store."""

    def __init__(
        self, store: Store, meters: Meters, metrics: RateLimitMetrics, interval_s: float
    ) -> None:
        self.gone = False
        self._store = store
        self._meters = meters
        self._metrics = metrics
        self._interval_s = interval_s
        # One thread: the client of Memcached is one per thread.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ratelimit")
        self._log = logger("ratelimit")

    async def keep(self) -> None:
        """Share now and then, until cancelled."""
        while True:
            await asyncio.sleep(RETRY_SECONDS if self.gone else self._interval_s)
            await self.share()

    async def share(self) -> bool:
        """Add what is new to the store and learn the totals; whether the store answered."""
        pending = [(m, m.index, m.unshared) for m in self._meters.unshared()]
        if not pending:
            if not self.gone:
                return True
            pending = [(_PROBE, 0, 0)]
        for meter, _, count in pending:
            meter.unshared -= count
        loop = asyncio.get_running_loop()
        totals, error = await loop.run_in_executor(self._thread, self._push, pending)
        for meter, index, _, total in totals:
            if meter.index == index:
                meter.shared(total)
        for meter, index, count in pending[len(totals) :]:
            if meter.index == index:
                meter.unshared += count
        self._note(error)
        return error is None

    def _push(self, pending: Sequence[tuple[Meter, int, int]]) -> tuple[Totals, Exception | None]:
        """In a thread: what was added until it ended or failed."""
        done: Totals = []
        for meter, index, count in pending:
            key = f"{PREFIX}/{meter.name}/{meter.seconds}/{index}"
            try:
                total = self._store.incr(key, _KEPT_WINDOWS * meter.seconds, count)
            except Exception as error:  # whatever the store's client raises: limits go on without
                return done, error
            done.append((meter, index, count, int(total)))
        return done, None

    def _note(self, error: Exception | None) -> None:
        self._metrics.store(up=error is None)
        if error is not None and not self.gone:
            self._log.warning("rate limits not shared", reason=type(error).__name__)
        elif error is None and self.gone:
            self._log.info("rate limits shared again")
        self.gone = error is not None

    def close(self) -> None:
        """Let go of the store; what was not shared is lost with this process."""
        with suppress(Exception):  # whatever its client raises: we are done with it
            self._thread.submit(self._disconnect).result(_CLOSE_SECONDS)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _disconnect(self) -> None:
        client: Any = getattr(self._store, "storage", None)
        client.close()

    def warnings(self) -> Sequence[str]:
        """For `/ready`."""
        if not self.gone:
            return ()
        return ("The store of the rate limits is gone; each process limits by itself.",)


def sharing_of(settings: Settings, meters: Meters, metrics: RateLimitMetrics) -> Sharing | None:
    """None where each process counts for itself. Raises StoreMissing."""
    store = store_of(settings)
    if store is None:
        return None
    return Sharing(store, meters, metrics, settings.rate_limit.sync_seconds)
