"""Several worker processes on one database, forked when everything is imported.

`python -m tests.support.queue_workers URL COUNT` runs COUNT workers and prints a line for each
thing that a test waits for. Kinds of jobs, each of which publishes an event as its effect:

test.job    ends at once
test.slow   in its first attempt prints "held PID" and never ends
test.killer kills its worker
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.retry import listed
from llm_cost_ops.server.queue.work import Kind, Work
from llm_cost_ops.server.settings import DatabaseSettings, Settings, WorkerSettings
from llm_cost_ops.server.worker import _until_signal, create_worker

PLAIN = Kind("test.job", retry=listed(0.1))
SLOW = Kind("test.slow", retry=listed(0.1))
KILLER = Kind("test.killer", max_attempts=2, retry=listed(0.1))
TOPIC = "test.effect"
LEASE_S = 3.0


def effect(running: Any) -> Any:
    event = Event("org-test", TOPIC, {"job": running.job.id, "worker": os.getpid()})
    return lambda session: publish(session, [event], now_us=SystemClock().micros())


def slow(running: Any) -> Any:
    if running.job.attempt == 1:
        print("held", os.getpid(), flush=True)
        threading.Event().wait()
    return effect(running)


def kill(running: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def worker(url: str) -> int:
    from prometheus_client import CollectorRegistry

    settings = Settings(
        database=DatabaseSettings(url=url, pool_size=6, lock_timeout_ms=20_000),
        worker=WorkerSettings(
            concurrency=2, poll_seconds=0.1, lease_seconds=LEASE_S, drain_seconds=1
        ),
    )
    database = open_database(settings.database)
    work = Work({PLAIN: effect, SLOW: slow, KILLER: kill})
    metrics = QueueMetrics(CollectorRegistry())
    runner = create_worker(settings, database, SystemClock(), metrics, work)
    code = _until_signal(runner, once=False, parent=None)
    database.dispose()
    return code


def main(url: str, count: int) -> None:
    import psycopg
    import pymysql
    import sqlalchemy.dialects.mysql.pymysql
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    assert psycopg
    assert pymysql
    told, telling = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(telling)
            os.read(told, 1)  # "started" is the first line that is read
            os._exit(worker(url))
        pids.append(pid)
    print("started", *pids, flush=True)
    os.close(telling)
    for _ in pids:
        pid, status = os.wait()
        print("ended", pid, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
