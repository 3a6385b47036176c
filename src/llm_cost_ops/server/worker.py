"""The worker as a program of its own and as a thread beside the API; all rooms' jobs together."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType

from prometheus_client import CollectorRegistry, start_http_server

from llm_cost_ops.server.admin import jobs as admin
from llm_cost_ops.server.alerts import jobs as alerts
from llm_cost_ops.server.alerts.desk import alert_desk
from llm_cost_ops.server.audit import jobs as audit
from llm_cost_ops.server.audit.who import CALLER, THE_PROGRAM
from llm_cost_ops.server.budgets import jobs as budgets
from llm_cost_ops.server.clock import Clock, SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import DatabaseConfiguration, DatabaseUnavailable
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.urls import DatabaseKind, kind_of
from llm_cost_ops.server.exports import jobs as exports
from llm_cost_ops.server.forecasts import jobs as forecasts
from llm_cost_ops.server.http.logs import abandon_unwritten, configure_logging, logger
from llm_cost_ops.server.ledger import jobs as ledger
from llm_cost_ops.server.periods import closing as periods
from llm_cost_ops.server.privacy import jobs as privacy
from llm_cost_ops.server.queue import jobs as queue
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.runner import Pace, Runner, in_thread
from llm_cost_ops.server.queue.work import Work, together
from llm_cost_ops.server.reports import jobs as reports
from llm_cost_ops.server.schedules import jobs as schedules
from llm_cost_ops.server.schedules.desk import schedule_desk
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.signin import jobs as signin
from llm_cost_ops.server.storage.lazily import OnFirstUse
from llm_cost_ops.server.webhooks import jobs as webhooks

EXIT_OK = 0
EXIT_GENERAL = 1
EXIT_DATABASE = 5
AFTER_FAILURE_S = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def work_of_all(settings: Settings, database: Database, clock: Clock) -> Work:
    """The work of every room. A room that has jobs is added here."""
    sender = alert_desk(settings, clock).sender(database, clock)
    return together(
        [
            queue.work(settings.worker, clock),
            admin.work(settings, clock),
            audit.work(settings, database, clock),
            ledger.work(database, clock),
            budgets.work(database, clock),
            webhooks.work(settings, database, clock),
            signin.work(settings, database, clock),
            alerts.work(database, clock, sender, settings.worker.keep_alerts_days),
            forecasts.work(settings, database, clock),
            exports.work(settings, database, clock),
            periods.work(database, clock),
            reports.work(database, clock),
            schedules.work(database, schedule_desk(settings, clock, OnFirstUse(settings))),
            privacy.work(settings, database, clock),
        ]
    )


def embedded(settings: Settings) -> bool:
    """Whether the server works off jobs itself."""
    chosen = settings.worker.embedded
    if chosen == "auto":
        return kind_of(settings.database.url) is DatabaseKind.SQLITE
    return chosen == "on"


def create_worker(
    settings: Settings,
    database: Database,
    clock: Clock,
    metrics: QueueMetrics,
    work: Work | None = None,
) -> Runner:
    """A runner of all rooms' work, or of the work that is given, at the pace of the settings."""
    worker = settings.worker
    return Runner(
        database,
        work or work_of_all(settings, database, clock),
        clock,
        pace=Pace(
            concurrency=worker.concurrency,
            waiting=worker.waiting,
            poll_s=worker.poll_seconds,
            lease_s=worker.lease_seconds,
            drain_s=worker.drain_seconds,
        ),
        metrics=metrics,
        holder=f"{socket.gethostname()}:{os.getpid()}"[:120],
        spawn=_as_program,
    )


def _as_program(run: Callable[[], None]) -> None:
    """A thread in which nobody but the program acts."""

    def begin() -> None:
        CALLER.set(THE_PROGRAM)
        run()

    in_thread(begin)


class WorkerThread:
    """A runner in a thread; `start`, then `stop`, which drains.

    Nobody starts a thread again as a supervisor starts a process, so it goes on after a failure of
    the runner itself, logged, a moment later.
    """

    def __init__(self, runner: Runner, *, pause_s: float = AFTER_FAILURE_S) -> None:
        self._runner = runner
        self._pause_s = pause_s
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let it drain, and wait for that."""
        self._told.set()
        self._runner.stop()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                return self._runner.run()
            except Exception as error:
                logger("worker").error("the worker failed", reason=str(error), exc_info=error)
            if self._told.wait(self._pause_s):
                return None


def run_worker(settings: Settings, *, once: bool = False) -> int:
    """Work off jobs until SIGTERM or SIGINT, then drain; the exit code of the process.

    With `once` until nothing is due. 0 after a drained stop, 1 when the metrics' port is taken or
    the loop failed, 5 for a database that is not fit to be used.
    """
    configure_logging(settings.logging)
    return _run(settings, once=once, alone=True)


def worker_beside(settings: Settings, sockets: list[socket.socket], parent: Connection) -> None:
    """The worker process of a server with several processes, from beginning to end."""
    for opened in sockets:
        opened.close()
    configure_logging(settings.logging)
    raise SystemExit(_run(settings, once=False, alone=False, parent=parent))


def _run(settings: Settings, *, once: bool, alone: bool, parent: Connection | None = None) -> int:
    log = logger("worker")
    try:
        Migrations().prepare(settings.database)
    except DatabaseConfiguration as error:
        log.error("database not usable", reason=error.message)
        return EXIT_DATABASE
    except DatabaseUnavailable as error:
        if once:
            log.error("database not usable", reason=error.message)
            return EXIT_DATABASE
        log.warning("starting without the database", reason=error.message)
    registry = CollectorRegistry()
    metrics = QueueMetrics(registry)
    port = settings.worker.metrics_port
    if alone and not once and port is not None:
        try:
            start_http_server(port, addr=settings.server.host, registry=registry)
        except OSError as error:
            log.error("cannot listen", port=port, reason=error.strerror)
            return EXIT_GENERAL
    clock = SystemClock()
    database = open_database(settings.database, monotonic=clock.monotonic)
    try:
        log.info("working", concurrency=settings.worker.concurrency)
        runner = create_worker(settings, database, clock, metrics)
        return _until_signal(runner, once=once, parent=parent)
    finally:
        database.dispose()
        abandon_unwritten()


def _until_signal(runner: Runner, *, once: bool, parent: Connection | None) -> int:
    """Run in a thread while this one waits for a signal: a handler may interrupt a thread that
    holds a lock, so it only writes a byte."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            runner.run(until_idle=once)
        except BaseException as error:
            failed.append(error)
        finally:
            os.write(writing, b".")

    def told(_number: int, _frame: FrameType | None) -> None:
        os.write(writing, b".")

    before = {number: signal.signal(number, told) for number in _SIGNALS}
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent, writing), daemon=True).start()
    thread = threading.Thread(target=work, name="worker", daemon=True)
    thread.start()
    try:
        os.read(reading, 1)
        runner.stop()
        thread.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed:
        logger("worker").error("the worker failed", reason=str(failed[0]), exc_info=failed[0])
        return EXIT_GENERAL
    return EXIT_OK


def _end_with(parent: Connection, writing: int) -> None:
    """Nothing is ever sent by the parent; reading ends when it does."""
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        os.write(writing, b".")
