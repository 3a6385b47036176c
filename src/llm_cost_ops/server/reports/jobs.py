"""Reports as jobs, and the end of those that are over."""

from __future__ import annotations

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.queue.work import Again, Effect, Job, Kind, Running, SystemSchedule, Work
from llm_cost_ops.server.reports import store
from llm_cost_ops.server.reports.claim import LEASE_S, Claim
from llm_cost_ops.server.reports.produce import failed, keep, outcome_of

MAKE = Kind("reports.make", max_attempts=4, time_limit_s=1800)
EXPIRE = Kind("reports.expire", max_attempts=3)
PAGE = 200


def work(database: Database, clock: Clock) -> Work:
    """The room's jobs."""

    def make(running: Running) -> Effect | None:
        organization_id = str(running.job.organization_id)
        report_id = str(running.job.payload["report_id"])
        with read(database) as session:
            row = store.row(session, organization_id, report_id)
        if row is None or row["status"] != store.PENDING:
            return None
        claim, made = Claim(database, clock, row), False
        if not claim.take():
            raise Again("A request makes it.", delay_s=LEASE_S, counted=False)
        try:
            outcome = outcome_of(database, clock, row)
            made = True
        finally:
            claim.end(made)
        return lambda session: keep(session, row, outcome)

    def expire(running: Running) -> None:
        while running.write(
            lambda session: store.remove_expired(session, clock.micros(), PAGE) == PAGE
        ):
            pass

    def bury(session: WriteSession, job: Job, reason: str) -> None:
        outcome = failed(reason, clock.micros())
        store.finish(session, str(job.organization_id), str(job.payload["report_id"]), outcome)

    return Work(
        handlers={MAKE: make, EXPIRE: expire},
        buried={MAKE: bury},
        schedules=[SystemSchedule("reports.expire", "41 * * * *", EXPIRE)],
    )
