"""`cost-ops jobs` and `cost-ops worker` on a local database."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.queue import leases
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.work import Kind
from llm_cost_ops.server.settings import DatabaseSettings
from tests.cli.conftest import Run, command_line

KIND = Kind("test.mail")


@pytest.fixture
def database(ledger: str) -> Iterator[Database]:
    opened = open_database(DatabaseSettings(url=ledger))
    yield opened
    opened.dispose()


def put(database: Database, *, dead: bool = False, organization_id: str | None = None) -> str:
    now_us = SystemClock().micros()
    with write(database) as session:
        job_id = enqueue(session, NewJob(KIND, {"to": "a"}, organization_id), now_us=now_us)
    if dead:
        with write(database) as session:
            (job,) = leases.take(
                session, [KIND.name], 1, token="t", holder="h", now_us=now_us, lease_us=1
            )
            leases.bury(session, job, reason="550 no such mailbox", now_us=now_us)
    return job_id


def test_listing_and_showing(run: Run, database: Database) -> None:
    dead, ready = put(database, dead=True), put(database)
    rows = run("jobs", "list", "-o", "json").rows()
    assert {row["id"] for row in rows} == {dead, ready}
    (row,) = run("jobs", "list", "--state", "dead", "--kind", "test.mail", "-o", "json").rows()
    assert row["id"] == dead
    assert (row["last_error"], row["attempts"]) == ("550 no such mailbox", 1)
    assert row["finished_at"].endswith("Z")
    shown = run("jobs", "show", dead, "-o", "json").json()
    assert shown["payload"] == {"to": "a"}
    assert "550 no such mailbox" in run("jobs", "list").out
    assert "No such jobs." in run("jobs", "list", "--state", "done").out
    assert len(run("jobs", "list", "--limit", "1", "-o", "json").rows()) == 1


def test_replaying_and_discarding(run: Run, database: Database) -> None:
    first, second = put(database, dead=True), put(database, dead=True)
    (row,) = run("jobs", "replay", first, "-o", "json").rows()
    assert (row["state"], row["attempts"], row["finished_at"]) == ("ready", 0, None)
    (row,) = run("jobs", "discard", first, "-o", "json").rows()
    assert row["state"] == "discarded"
    run("jobs", "replay", first)
    rows = run("jobs", "replay", "--all-dead", "--kind", "test.mail", "-o", "json").rows()
    assert [row["id"] for row in rows] == [second]
    assert run("jobs", "discard", "--all-dead", "-o", "json").rows() == []


def test_all_of_many_dead_jobs(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_cost_ops.server.queue import dead_letters

    monkeypatch.setattr(dead_letters, "BATCH", 2)
    ids = {put(database, dead=True) for _ in range(5)}
    rows = run("jobs", "discard", "--all-dead", "-o", "json").rows()
    assert {row["id"] for row in rows} == ids


def test_what_is_refused(run: Run, database: Database) -> None:
    ready = put(database)
    for arguments, message in (
        (("replay", ready), "only dead or discarded"),
        (("replay", "job_x"), "no job 'job_x'"),
        (("show", "job_x"), "no job 'job_x'"),
        (("replay",), "--all-dead"),
        (("discard", ready, "--all-dead"), "--all-dead"),
        (("discard", ready, "--kind", "x"), "--kind"),
        (("list", "--state", "lost"), "--state"),
        (("list", "--limit", "0"), "--limit"),
        (("list", "--api-url", "http://127.0.0.1:1"), "--api-url"),
    ):
        refused = run("jobs", *arguments)
        assert refused.code != 0
        assert message in refused.err
    dead = put(database, dead=True) if run("jobs", "discard", ready).code == 0 else ""
    assert run("jobs", "replay", dead, "job_x").code != 0
    assert run("jobs", "show", dead, "-o", "json").json()["state"] == "dead"  # all or none


def test_jobs_of_one_organization(run: Run, database: Database) -> None:
    assert run("init", "--organization", "Other", "--force").code == 0
    job_id = put(database, dead=True, organization_id="org-other")
    put(database)
    (row,) = run("jobs", "list", "--organization", "Other", "-o", "json").rows()
    assert row["id"] == job_id
    assert run("jobs", "list", "--organization", "nobody").code == 2


def test_a_worker_works_off_what_is_due(run: Run, ledger: str) -> None:
    assert run("worker", "--once").code == 0
    assert run("jobs", "list", "-o", "json").rows() == []  # the first slot is yet to come
    assert run("worker", "--once", "--api-url", "http://127.0.0.1:1").code == 2


def test_a_worker_of_a_schema_that_is_behind_does_not_start(run: Run, ledger: str) -> None:
    assert run("migrate", "revert", "--yes").code == 0
    assert run("worker", "--once").code == 5
    assert run("jobs", "list").code == 5
    assert run("migrate").code == 0
    assert run("worker", "--once").code == 0


def test_a_worker_process_ends_well_on_sigterm(ledger: str, place: Path) -> None:
    log_path = place / "worker.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command_line(["worker"]), stderr=log, env=dict(os.environ), stdout=log
        )
    until = time.monotonic() + 60
    while '"working"' not in log_path.read_text(encoding="utf-8"):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, log_path.read_text(encoding="utf-8")
