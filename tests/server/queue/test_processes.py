"""Real worker processes: killed in the middle of a job, many at once, and asked to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue, enqueue_all
from llm_cost_ops.server.queue.look import backlog
from llm_cost_ops.server.queue.tables import jobs, outbox
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.queue_workers import KILLER, PLAIN, SLOW, TOPIC

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0
JOBS = 60


@contextlib.contextmanager
def workers(url: str, count: int) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.queue_workers", url, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        yield process, [int(pid) for pid in line(process, "started")]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def line(process: subprocess.Popen[str], word: str) -> list[str]:
    """The words after the next line that begins with this one."""
    assert process.stdout is not None
    late = threading.Timer(WAIT_S, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    try:
        for text in process.stdout:
            if text.split()[:1] == [word]:
                return text.split()[1:]
    finally:
        late.cancel()
    raise AssertionError(f"no {word!r}")


def put(database: Database, *kinds: Any) -> list[str]:
    with write(database) as session:
        new = [NewJob(kind, {}, None) for kind in kinds]
        return enqueue_all(session, new, now_us=SystemClock().micros())


def states(database: Database) -> dict[str, tuple[str, int]]:
    with read(database) as session:
        rows = session.execute(select(jobs.c.id, jobs.c.state, jobs.c.attempts)).all()
    return {row.id: (row.state, row.attempts) for row in rows}


def until(database: Database, *wanted: str) -> dict[str, tuple[str, int]]:
    """When every job is in one of these states: all of them."""
    end = time.monotonic() + WAIT_S
    while True:
        found = states(database)
        if all(state in wanted for state, _ in found.values()):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


def leased_until(database: Database, job_id: str) -> int:
    with read(database) as session:
        return session.scalar(select(jobs.c.leased_until).where(jobs.c.id == job_id)) or 0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def effects(database: Database) -> Counter[str]:
    with read(database) as session:
        rows = session.execute(select(outbox.c.payload).where(outbox.c.topic == TOPIC)).scalars()
        return Counter(json.loads(payload)["job"] for payload in rows)


def test_killed_workers_and_many_at_once(database_settings: DatabaseSettings) -> None:
    """Four workers: one dies in the middle of a job, two at a job that kills its worker twice. All
    else is done exactly once, and the poison is dead."""
    database = open_database(database_settings)
    (slow,) = put(database, SLOW)
    with workers(database_settings.url, 4) as (process, pids):
        holder = int(line(process, "held")[0])
        assert holder in pids
        first = leased_until(database, slow)
        wait_for(lambda: leased_until(database, slow) > first)  # it is being kept
        plain = put(database, *[PLAIN] * JOBS)
        os.kill(holder, signal.SIGKILL)
        (poison,) = put(database, KILLER)
        found = until(database, "done", "dead")
    assert found[slow][0] == "done"
    assert found[slow][1] >= 2  # more, where a busy machine lets a lease run out
    assert found[poison] == ("dead", 2)
    assert {found[job_id] for job_id in plain} <= {("done", 1), ("done", 2), ("done", 3)}
    assert effects(database) == Counter([slow, *plain])
    with read(database) as session:
        assert backlog(session, 0).dead == 1
    database.dispose()


def test_a_stopped_worker_gives_back_what_it_cannot_finish(
    database_settings: DatabaseSettings,
) -> None:
    database = open_database(database_settings)
    (slow,) = put(database, SLOW)
    with workers(database_settings.url, 1) as (process, (pid,)):
        line(process, "held")
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        assert line(process, "ended") == [str(pid), "0"]
        assert time.monotonic() - began < 15
    assert states(database)[slow] == ("ready", 0)
    assert effects(database) == Counter()
    database.dispose()


def test_what_is_enqueued_in_the_process_is_run_without_polling(
    sqlite_settings: DatabaseSettings,
) -> None:
    from llm_cost_ops.server.queue.runner import Pace, Runner
    from llm_cost_ops.server.queue.work import Work
    from llm_cost_ops.server.worker import WorkerThread

    database = open_database(sqlite_settings)
    runner = Runner(
        database, Work({PLAIN: lambda running: None}), SystemClock(), pace=Pace(poll_s=WAIT_S)
    )
    thread = WorkerThread(runner)
    thread.start()
    time.sleep(0.3)
    with write(database) as session:
        enqueue(session, NewJob(PLAIN, {}, None), now_us=SystemClock().micros())
    began = time.monotonic()
    until(database, "done")
    assert time.monotonic() - began < WAIT_S / 2
    thread.stop()
    database.dispose()


def test_a_failure_of_the_runner_itself_does_not_end_the_thread(
    sqlite_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_cost_ops.server.queue import runner as running
    from llm_cost_ops.server.queue.look import look
    from llm_cost_ops.server.queue.work import Work
    from llm_cost_ops.server.worker import WorkerThread

    database = open_database(sqlite_settings)
    fails = iter([True, True])

    def faulty(*args: Any) -> Any:
        if next(fails, False):
            raise RuntimeError("unexpected")
        return look(*args)

    monkeypatch.setattr(running, "look", faulty)
    work = Work({PLAIN: lambda running: None})
    thread = WorkerThread(running.Runner(database, work, SystemClock()), pause_s=0.01)
    thread.start()
    with write(database) as session:
        enqueue(session, NewJob(PLAIN, {}, None), now_us=SystemClock().micros())
    until(database, "done")
    assert next(fails, None) is None
    thread.stop()
    database.dispose()
