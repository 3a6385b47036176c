"""The work of the ledger for the worker: sums by team of the days that are over."""

from __future__ import annotations

from llm_cost_ops.core.period import DAY_US
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.identity.organizations import list_organizations
from llm_cost_ops.server.ledger import teams
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue_all, organizations_of
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Again, Effect, Kind, Running, SystemSchedule, Work

SUM = Kind("ledger.teams", max_attempts=4, retry=exponential(first_s=30, most_s=600))
SUM_ONE = Kind("ledger.teams_of", max_attempts=4, retry=exponential(first_s=30, most_s=600))
SCHEDULE = SystemSchedule("ledger.teams", "13 * * * *", SUM)


def work(database: Database, clock: Clock) -> Work:
    """Each hour the days before today, of UTC, that have no sums by team or changed since."""

    def spread(_: Running) -> Effect:
        return lambda session: _spread(session, clock.micros())

    def make(running: Running) -> None:
        organization_id = running.job.organization_id or ""
        today = clock.micros() // DAY_US
        for _ in teams.make(database, organization_id, today, running.write):
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

    return Work(handlers={SUM: spread, SUM_ONE: make}, schedules=[SCHEDULE])


def _spread(session: WriteSession, now_us: int) -> None:
    """A job for each organization but those whose last one has not ended, one after the other."""
    busy = organizations_of(session, SUM_ONE)
    jobs = [
        NewJob(SUM_ONE, {}, organization.id, priority=Priority.LOW, lane=SUM_ONE.name)
        for organization in list_organizations(session)
        if organization.id not in busy
    ]
    enqueue_all(session, jobs, now_us=now_us)
