"""The work of forecasts for the worker: watching what organizations spend, each hour."""

from __future__ import annotations

from functools import partial

from llm_cost_ops.core.period import HOUR_US
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, snapshot
from llm_cost_ops.server.forecasts import watch
from llm_cost_ops.server.identity.organizations import list_organizations
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Again, Kind, Running, SystemSchedule, Work
from llm_cost_ops.server.settings import Settings

WATCH = Kind("forecasts.watch", max_attempts=4, retry=exponential(first_s=30, most_s=600))
SCHEDULE = SystemSchedule("forecasts.watch", "7 * * * *", WATCH)
DAYS_EVERY = 6
"""Days are judged by every sixth run: more often they say nothing new."""


def work(settings: Settings, database: Database, clock: Clock) -> Work:
    """Watching, each hour a little after its end. A run that is taken back begins again with the
    first organization; what it stored stays stored once."""
    chosen = settings.anomalies
    watching = watch.Watching(chosen.least, chosen.sensitivity)

    def look(running: Running) -> None:
        now_us = clock.micros()
        hour = now_us // HOUR_US
        steps = ("hour", "day") if hour % DAYS_EVERY == 1 else ("hour",)
        with snapshot(database) as session:
            organizations = list_organizations(session)
        for organization in organizations:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
            with snapshot(database) as session:
                found = watch.judge(session, organization, watching, steps, now_us)
            if found:
                running.write(partial(_kept, organization.id, found, now_us))

    if not chosen.watch:
        return Work(handlers={WATCH: look})
    return Work(handlers={WATCH: look}, schedules=[SCHEDULE])


def _kept(organization_id: str, found: list[watch.Row], now_us: int, session: WriteSession) -> int:
    return watch.keep(session, organization_id, found, now_us)
