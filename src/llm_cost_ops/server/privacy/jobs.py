"""Erasures as jobs: each page is committed with the lease, so that two workers never do one."""

from __future__ import annotations

from typing import Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.audit.erase import new_pseudonym
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.identity.last_admin import LastAdmin
from llm_cost_ops.server.privacy import store
from llm_cost_ops.server.privacy.certificate import certificate
from llm_cost_ops.server.privacy.erase import Erasure
from llm_cost_ops.server.privacy.requests import DONE, ERASE, JOB, PENDING, failed
from llm_cost_ops.server.privacy.retention import organizations_with_policies, run
from llm_cost_ops.server.privacy.rewrite import Subject
from llm_cost_ops.server.privacy.subject import subject_of
from llm_cost_ops.server.queue.work import (
    Again,
    Effect,
    GiveUp,
    Kind,
    Running,
    SystemSchedule,
    Work,
)
from llm_cost_ops.server.settings import Settings

RETAIN = Kind("privacy.retention", max_attempts=5, time_limit_s=6 * 3600)


def work(settings: Settings, database: Database, clock: Clock) -> Work:
    """The room's jobs."""

    def erase(running: Running) -> Effect | None:
        organization_id = str(running.job.organization_id)
        request_id = str(running.job.payload["request_id"])
        with read(database) as session:
            row = store.row(session, organization_id, request_id)
        if row is None or row["kind"] != ERASE or row["status"] == DONE:
            return None
        return _erased(running, row, settings, database, clock)

    def retain(running: Running) -> None:
        organization_id = running.job.organization_id
        with read(database) as session:
            named = organizations_with_policies(session)
        for one in named if organization_id is None else [organization_id]:
            _retained(running, one, settings, database, clock)

    return Work(
        handlers={JOB: erase, RETAIN: retain},
        buried={JOB: lambda session, job, reason: failed(session, job, reason, clock.micros())},
        schedules=[SystemSchedule("privacy.retention", "17 3 * * *", RETAIN)],
    )


def _retained(
    running: Running, organization_id: str, settings: Settings, database: Database, clock: Clock
) -> None:
    for done in run(database, organization_id, settings, clock.micros(), running.write):
        if done.failed is not None:
            logger("privacy").error(
                "retention removed nothing more",
                organization_id=organization_id,
                kept=done.kept,
                reason=done.failed,
            )
        if running.stopping:
            raise Again("the worker stops", delay_s=0, counted=False)


def _erased(
    running: Running, row: dict[str, Any], settings: Settings, database: Database, clock: Clock
) -> Effect:
    organization_id, named, started = row["organization_id"], row["subject"], clock.micros()
    actor = Actor(organization_id, row["created_by"], None, started)
    detail = loads(row["detail"] or "{}")
    if "pseudonym" not in detail:  # kept before it is used: a second attempt goes on with it
        with read(database) as session:
            subject = subject_of(session, organization_id, named)
        detail = {
            "named": named,
            "pseudonym": new_pseudonym(),
            "user_ids": list(subject.user_ids),
            "emails": list(subject.emails),
            "account_ids": list(subject.account_ids),
        }

    def keep(session: WriteSession) -> None:
        values = {"status": PENDING, "detail": dumps(detail), "finished_at": None}
        store.change(session, organization_id, row["id"], values)

    running.write(keep)
    subject = Subject(
        organization_id,
        tuple(detail["user_ids"]),
        tuple(detail["emails"]),
        tuple(detail["account_ids"]),
    )
    pseudonym = str(detail["pseudonym"])
    erasure = Erasure(subject, pseudonym, actor, Vault.of(settings, CHANNELS))
    try:
        places = [
            {"place": place, "done": done, "rows": rows}
            for place, done, rows in erasure.run(running.write)
        ]
    except LastAdmin as refused:
        raise GiveUp(refused.message) from None
    facts = {
        "kind": ERASE,
        "request_id": row["id"],
        "organization_id": organization_id,
        "pseudonym": pseudonym,
        "requested_at": from_micros(row["created_at"]).isoformat(),
        "erased_at": from_micros(clock.micros()).isoformat(),
        "places": places,
    }
    signed = certificate(settings, facts, str(detail["named"]))

    def done(session: WriteSession) -> None:
        values = {
            "status": DONE,
            "subject": pseudonym,
            "detail": dumps({"pseudonym": pseudonym}),
            "certificate": dumps(signed),
            "finished_at": clock.micros(),
        }
        store.change(session, organization_id, row["id"], values)

    return done
