"""The work of schedules for the worker: what is due, files, deliveries, and what is old."""

from __future__ import annotations

from functools import partial

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.delivery.letter import send_letter
from llm_cost_ops.server.identity.users import get_user
from llm_cost_ops.server.queue.work import Again, Effect, GiveUp, Running, SystemSchedule, Work
from llm_cost_ops.server.schedules import store
from llm_cost_ops.server.schedules.deliveries import Deliveries
from llm_cost_ops.server.schedules.desk import ScheduleDesk
from llm_cost_ops.server.schedules.fire import fire_due
from llm_cost_ops.server.schedules.message import failure_letter
from llm_cost_ops.server.schedules.store import FIRE_LIMIT
from llm_cost_ops.server.schedules.work import DELIVER, FIRE, PRODUCE, RETENTION, TELL

CHUNK = 500


def work(database: Database, desk: ScheduleDesk) -> Work:
    """Everything that schedules do beside the requests."""
    deliveries = Deliveries(database, desk)

    def fire(running: Running) -> None:
        while running.write(lambda session: fire_due(session, desk.clock.micros())) >= FIRE_LIMIT:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

    return Work(
        handlers={
            FIRE: fire,
            PRODUCE: deliveries.make,
            DELIVER: deliveries.deliver,
            TELL: lambda running: _tell(running, database, desk),
            RETENTION: lambda running: _retain(running, database, desk),
        },
        schedules=[
            SystemSchedule("schedules.fire", "* * * * *", FIRE),
            SystemSchedule("schedules.retention", "27 * * * *", RETENTION),
        ],
        buried={PRODUCE: deliveries.never_made, DELIVER: deliveries.never_delivered},
    )


def _tell(running: Running, database: Database, desk: ScheduleDesk) -> Effect | None:
    """Mail to the owner about a run that failed. Programs that own a schedule have no address:
    they hear of it by the event."""
    organization_id = running.job.organization_id or ""
    with read(database) as session:
        run = store.run(session, organization_id, str(running.job.payload["run_id"]))
        schedule = run and store.get(session, organization_id, run["schedule_id"])
        if not run or not schedule or schedule["user_id"] is None:
            return None
        user = get_user(session, organization_id, schedule["user_id"])
    if user is None or user.email is None or not user.is_active:
        return None
    letter = failure_letter(
        user.email,
        schedule=schedule["name"],
        schedule_id=schedule["id"],
        reason=run["error"] or "no reason was recorded",
        key=run["id"],
        paused=schedule["paused_reason"] is not None,
    )
    outcome = send_letter(letter, desk.carriers.mail, desk.clock.now())
    if not outcome.delivered:
        raise (GiveUp if outcome.final else Again)(outcome.detail)
    return None


def _retain(running: Running, database: Database, desk: ScheduleDesk) -> None:
    """Let go of files that are kept no longer, then of runs."""
    now_us = desk.clock.micros()
    while True:
        with read(database) as session:
            found = store.expired(session, now_us, CHUNK)
        for organization_id, run_id, key in found:
            desk.files.delete(key)
            forget = partial(
                store.forget_file, organization_id=organization_id, run_id=run_id, key=key
            )
            running.write(forget)
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)
        if len(found) < CHUNK:
            break
    before_us = now_us - desk.keep_runs_us
    while running.write(partial(store.purge, before_us=before_us, limit=CHUNK)) >= CHUNK:
        if running.stopping:
            raise Again("the worker stops", delay_s=0, counted=False)
