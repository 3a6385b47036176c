"""Alerts that are over are kept for a while, then removed with their history and deliveries.

Those of a budget stay until its period is over: they are why its thresholds are not told again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.server.alerts import store
from llm_cost_ops.server.alerts.rules import BUDGET, PROJECTED
from llm_cost_ops.server.alerts.store import Row
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.queue.work import Again, Running
from llm_cost_ops.server.spend.index import index_seen

CHUNK = 500
_DAY_US = 86_400_000_000


def retain(clock: Clock, keep_days: int) -> Callable[[Running], None]:
    """The handler: removes what has been over for `keep_days`, some at a time."""

    def run(running: Running) -> None:
        now_us, after = clock.micros(), ""
        while True:
            last = running.write(
                partial(purge, before_us=now_us - keep_days * _DAY_US, now_us=now_us, after=after)
            )
            if last is None:
                return
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
            after = last

    return run


def purge(session: WriteSession, before_us: int, now_us: int, after: str) -> str | None:
    """Remove alerts that were over before an instant, of the next CHUNK whose ids are later than
    `after`; the id to go on from, None at the end."""
    end = single_id("alt", max(before_us, 0) // 1_000, 0)
    rows = store.ended_before(session, before_us, after, end, CHUNK)
    gone = [row["id"] for row in rows if not is_needed(session, row, now_us)]
    if gone:
        store.remove_alerts(session, gone)
    return rows[-1]["id"] if len(rows) == CHUNK else None


def is_needed(session: ReadSession, alert: Row, now_us: int) -> bool:
    """Whether an alert is why a threshold of the budget's present period is not told again."""
    if alert["kind"] not in (BUDGET, PROJECTED) or alert["budget_id"] is None:
        return False
    budget = index_seen(session, alert["organization_id"]).budgets.get(alert["budget_id"])
    window = None if budget is None or budget.slide is not None else budget.in_force_at(now_us)
    return window is not None and window.start_us <= int(alert["fired_at"])
