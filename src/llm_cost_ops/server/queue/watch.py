"""What a server process knows of the queue: measured now and then, told by metrics and `/ready`."""

from __future__ import annotations

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.queue.look import Backlog, backlog
from llm_cost_ops.server.queue.metrics import QueueMetrics

SECONDS = 15.0
LATE_MINUTES = 5
_MINUTE_US = 60 * 1_000_000


class Watch:
    """The last measurement of the queue."""

    def __init__(self, database: Database, clock: Clock, metrics: QueueMetrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._last: Backlog | None = None

    def measure(self) -> None:
        """Raises DatabaseUnavailable."""
        with read(self._database) as session:
            self._last = backlog(session, self._clock.micros())
        self._metrics.waiting(self._last)

    def warnings(self) -> list[str]:
        """What an operator should look after."""
        last = self._last
        if last is None:
            return []
        found: list[str] = []
        if last.dead:
            found.append(f"{last.dead} jobs are dead: see `cost-ops jobs list --state dead`")
        minutes = max(last.oldest_job_us, last.oldest_event_us) // _MINUTE_US
        if minutes >= LATE_MINUTES:
            found.append(f"jobs have waited for {minutes} minutes: is `cost-ops worker` running?")
        return found
