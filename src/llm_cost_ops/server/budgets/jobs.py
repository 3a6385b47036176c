"""The work of budgets for the worker: booking what was reserved and never settled."""

from __future__ import annotations

from functools import lru_cache

from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.budgets.expire import BATCH, expire_apart
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Again, Kind, Running, SystemSchedule, Work

EXPIRE = Kind("budgets.expire", max_attempts=5, retry=exponential(first_s=5, most_s=60))


def work(database: Database, clock: Clock) -> Work:
    """The expiry of reservations, every minute; servers that take reservations look, too."""

    @lru_cache(maxsize=1)
    def prices() -> Prices:
        return Prices(PriceBook.packaged(), database, clock)

    def reap(running: Running) -> None:
        while expire_apart(running.write, prices(), clock.micros()) >= BATCH:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

    return Work(
        handlers={EXPIRE: reap},
        schedules=[SystemSchedule("budgets.expire", "* * * * *", EXPIRE)],
    )
