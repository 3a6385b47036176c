"""The work of forecasts for the worker: watching what organizations spend, each hour.

The hourly run makes a job for each organization, so that one whose ledger is in the way of nobody
but itself, and a worker that ends takes one of them with it and not all. They go through a few
lanes, whatever the number of workers: judging must not take the places of alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from zlib import crc32

from llm_cost_ops.core.period import DAY_US, HOUR_US
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, snapshot
from llm_cost_ops.server.forecasts import watch
from llm_cost_ops.server.identity.organizations import get_organization, list_organizations
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue_all, organizations_of
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.schedule import SLOT, fired_before
from llm_cost_ops.server.queue.work import Effect, Kind, Running, SystemSchedule, Work
from llm_cost_ops.server.settings import Settings

WATCH = Kind("forecasts.watch", max_attempts=4, retry=exponential(first_s=30, most_s=600))
WATCH_ONE = Kind("forecasts.watch_one", max_attempts=2, retry=exponential(first_s=30, most_s=60))
SCHEDULE = SystemSchedule("forecasts.watch", "7 * * * *", WATCH)
DAYS_EVERY = 6
"""Days are judged by every sixth run: more often they say nothing new."""
LANES = 2


def work(settings: Settings, database: Database, clock: Clock) -> Work:
    """Watching, each hour a little after its end. What is stored is stored once, however often an
    organization is looked at."""
    chosen = settings.anomalies
    watching = watch.Watching(chosen.least, chosen.sensitivity)

    def spread(running: Running) -> Effect:
        now_us = clock.micros()
        slot = running.job.payload.get(SLOT)
        return lambda session: _spread(session, slot if isinstance(slot, int) else now_us, now_us)

    def look(running: Running) -> Effect | None:
        now_us = clock.micros()
        asked = running.job.payload
        steps, since_us = cast("Sequence[str]", asked["steps"]), cast("int", asked["since_us"])
        with snapshot(database) as session:
            organization = get_organization(session, running.job.organization_id or "")
        if organization is None:
            return None
        found = watch.judge(database, organization, watching, steps, now_us, since_us)
        if not found:
            return None
        return lambda session: watch.keep(session, organization.id, found, now_us)

    handlers = {WATCH: spread, WATCH_ONE: look}
    return Work(handlers=handlers, schedules=[SCHEDULE] if chosen.watch else ())


def _spread(session: WriteSession, slot_us: int, now_us: int) -> None:
    """A job for each organization but those whose last one has not ended: it will look at the same
    hours, and a worker that cannot follow must not fall behind without end."""
    since_us = fired_before(session, SCHEDULE.name, slot_us) or now_us
    is_for_days = now_us // HOUR_US % DAYS_EVERY == 1
    steps = ["hour", "day"] if is_for_days or now_us - since_us > DAY_US else ["hour"]
    busy = organizations_of(session, WATCH_ONE)
    jobs = [
        NewJob(
            WATCH_ONE,
            {"steps": steps, "since_us": since_us},
            organization.id,
            priority=Priority.LOW,
            lane=f"{WATCH_ONE.name}/{crc32(organization.id.encode()) % LANES}",
        )
        for organization in list_organizations(session)
        if organization.id not in busy
    ]
    enqueue_all(session, jobs, now_us=now_us)
