"""The release before on the schema of the next one (fault row 35): while servers are replaced one
after the other, both work on one database, so columns, tables and indexes may be added to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from llm_cost_ops.server.db.base import metadata
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.exports import jobs as exports
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.work import together
from llm_cost_ops.server.reports import jobs as reports
from llm_cost_ops.server.schedules import jobs as schedules
from llm_cost_ops.server.schedules.desk import schedule_desk
from llm_cost_ops.server.storage.lazily import OnFirstUse
from llm_cost_ops.server.worker import create_worker
from tests.support.application import Application
from tests.support.made import made
from tests.support.operations import fresh, new_text, operations


def extend(application: Application) -> None:
    """What a later migration may add without asking the release before."""
    with write(application.database) as session:
        for table in metadata.sorted_tables:
            session.execute(text(f"ALTER TABLE {table.name} ADD COLUMN later_text VARCHAR(20)"))
            session.execute(
                text(f"ALTER TABLE {table.name} ADD COLUMN later_number INTEGER DEFAULT 7 NOT NULL")
            )
        session.execute(text("CREATE TABLE later (id INTEGER PRIMARY KEY)"))
        session.execute(text("CREATE INDEX ix_later ON usage_records (later_number)"))
        session.execute(text("UPDATE alembic_version SET version_num = '9999_later'"))


def work_off(application: Application) -> None:
    """What workers of the release before do there: files that are then downloaded."""
    database, clock = application.database, application.clock
    settings = application.app.api.state.settings
    work = together(
        [
            exports.work(settings, database, clock),
            reports.work(database, clock),
            schedules.work(database, schedule_desk(settings, clock, OnFirstUse(settings))),
        ]
    )
    metrics = QueueMetrics(CollectorRegistry())
    create_worker(settings, database, clock, metrics, work).run(until_idle=True)


@pytest.mark.slow
def test_every_operation_works_on_a_newer_schema(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # files are kept beside the server
    before = made(application, "before")
    extend(application)
    assert application.get(f"/api/v1/costs/{before['record_id']}").status_code == 200
    shown = made(application, new_text())
    work_off(application)
    for called in operations(application):
        own, ids = application, shown
        if "{" in called.path and called.method in ("POST", "DELETE"):  # it may end what is made
            own = application.another()
            ids = made(own, new_text())
        for body in called.operation.bodies or (None,):
            answer = own.request(
                called.method, called.at(ids), json=None if body is None else fresh(body)
            )
            # What erased nothing has no certificate and has not failed; no mail is set up; what is
            # made is not cancelled.
            missing = (called.id, answer.status_code) in (
                ("cancelReport", 409),
                ("getPrivacyCertificate", 404),
                ("retryPrivacyRequest", 409),
                ("sendWelcomeEmail", 409),
            )
            assert answer.is_success or missing, (called, answer.text)
    assert application.delete(f"/api/v1/costs/{before['record_id']}").status_code == 204
    assert application.get("/api/v1/ledger/verify").json()["ok"] is True
