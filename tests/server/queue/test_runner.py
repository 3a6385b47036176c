"""The loop: outages, stopping, what must be declared, and what an idle worker asks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.retry import exponential, listed
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.watch import Watch
from llm_cost_ops.server.queue.work import Kind, Subscription, SystemSchedule, Work, together
from llm_cost_ops.server.settings import DatabaseSettings, Settings, WorkerSettings
from llm_cost_ops.server.worker import embedded, work_of_all
from tests.server.queue.conftest import KIND, Place


def test_an_idle_round_is_one_statement(place: Place) -> None:
    runner = place.runner()
    place.work_off(runner)
    seen: list[str] = []
    for engine in {place.database.reader, place.database.writer}:
        event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    assert runner.round() == Pace().poll_s
    reading = [each for each in seen if each.startswith("SELECT")]
    assert len(reading) == 1
    assert len(seen) <= 2  # MariaDB and SQLite begin with a statement


def test_the_next_look_is_when_something_is_due(quick_place: Place) -> None:
    quick_place.enqueue(in_s=0.25)
    assert quick_place.runner(poll_s=60).round() == 0.25
    assert quick_place.runner(poll_s=0.1).round() == 0.1


def test_a_database_that_is_down_is_waited_for(quick_place: Place) -> None:
    """With longer and longer waits; then the jobs are run."""
    place = quick_place
    place.enqueue()
    waits: list[float] = []

    class Broken(Runner):
        def round(self) -> float:
            if len(waits) < 6:
                raise DatabaseUnavailable(Reason.CONNECTION)
            return super().round()

    class Bell:
        def ring(self) -> None: ...

        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return False

    database: Any = replace(place.database, bell=Bell())  # type: ignore[arg-type]
    runner = Broken(
        database,
        Work({KIND: lambda running: place.ran.append(running.job)}),
        place.clock,
        spawn=lambda run: run(),
        jitter=lambda: 0.0,
    )
    runner.run(until_idle=True)
    assert waits[:6] == [0.25, 0.5, 1, 2, 4, 7.5]
    assert len(place.ran) == 1


def test_a_worker_is_not_idle_while_jobs_wait_for_a_place(quick_place: Place) -> None:
    """The one that had the place may end between the look and the question whether any runs."""
    place = quick_place
    for _ in range(3):
        place.enqueue()
    begun: list[Callable[[], None]] = []

    class Late(Runner):
        def round(self) -> float:
            ending = begun.copy()
            begun.clear()
            wait_s = super().round()
            for run in ending:
                run()
            return wait_s

    runner = Late(
        place.database,
        Work({KIND: lambda running: place.ran.append(running.job)}),
        place.clock,
        pace=Pace(concurrency=1),
        spawn=begun.append,
    )
    runner.run(until_idle=True)
    assert len(place.ran) == 3


def test_an_outage_while_a_job_ends_does_not_cost_an_attempt(quick_place: Place) -> None:
    place = quick_place
    job_id = place.enqueue()
    failures = [DatabaseUnavailable(Reason.CONNECTION)] * 3

    def effect(session: Any) -> None:
        if failures:
            raise failures.pop()

    place.runner(lambda running: effect).round()
    assert (place.row(job_id).state, place.row(job_id).attempts) == ("done", 1)


def test_an_outage_longer_than_the_lease_leaves_the_job_to_others(quick_place: Place) -> None:
    place = quick_place
    job_id = place.enqueue()

    def effect(session: Any) -> None:
        raise DatabaseUnavailable(Reason.CONNECTION)

    place.runner(lambda running: effect).round()
    assert place.row(job_id).state in ("running", "ready")
    place.later(120)
    runner = place.runner()
    place.work_off(runner)
    place.later(10)
    place.work_off(runner)
    assert place.row(job_id).state == "done"


def test_a_stopped_worker_waits_for_what_ends_in_time(quick_place: Place) -> None:
    place, go, begun = quick_place, threading.Event(), threading.Event()
    job_id = place.enqueue()

    def handler(running: Any) -> None:
        begun.set()
        go.wait(10)
        assert running.stopping

    def spawn(run: Any) -> None:
        threading.Thread(target=run).start()

    runner = place.runner(handler, spawn=spawn)
    thread = threading.Thread(target=runner.run)
    thread.start()
    assert begun.wait(10)
    runner.stop()
    go.set()
    thread.join(10)
    assert not thread.is_alive()
    assert place.row(job_id).state == "done"
    place.enqueue()
    runner.run()
    assert len(place.ran) == 1


def test_waits_grow_and_are_spread() -> None:
    wait = exponential(first_s=1, most_s=10)
    assert [wait(n, 0.0) for n in (1, 2, 3, 4, 5, 1000)] == [0.5, 1, 2, 4, 5, 5]
    assert wait(1, 0.5) == 0.75
    steps = listed(5, 300)
    assert [steps(n, 0.0) for n in (1, 2, 3)] == [5, 300, 300]
    assert steps(1, 0.5) == 5.25
    with pytest.raises(ValueError, match="at least one"):
        listed()


def test_what_is_declared_wrongly_is_refused() -> None:
    other, subscription = Kind("b"), Subscription("s", "t", KIND)
    handlers = {KIND: lambda running: None}
    fine = together([Work(handlers, [subscription]), Work({other: lambda running: None})])
    assert set(fine.handlers) == {KIND, other}
    for wrong in (
        [Work(handlers), Work({Kind(KIND.name, 1): lambda running: None})],
        [Work(handlers, [subscription, subscription])],
        [Work({}, [subscription])],
        [Work({}, schedules=[SystemSchedule("n", "0 0 * * *", KIND)])],
    ):
        with pytest.raises(ValueError, match=r"twice|nothing handles"):
            together(wrong)
    for name, attempts in (("", 1), ("x" * 65, 1), ("x", 0)):
        with pytest.raises(ValueError, match=r"has 1 to|at least once"):
            Kind(name, attempts)


def test_the_worker_is_beside_the_api_on_sqlite_only_unless_told() -> None:
    def chosen(url: str, value: str) -> bool:
        worker = WorkerSettings(embedded=value)
        return embedded(Settings(database=DatabaseSettings(url=url), worker=worker))

    urls = ("sqlite:x.db", "postgresql://h/d", "mysql://h/d")
    assert [chosen(url, "auto") for url in urls] == [True, False, False]
    assert [chosen(url, "off") for url in urls] == [False, False, False]
    assert [chosen(url, "on") for url in urls] == [True, True, True]


def test_metrics_and_warnings(sqlite_settings: DatabaseSettings) -> None:
    place = Place(open_database(sqlite_settings))
    registry = CollectorRegistry()
    metrics = QueueMetrics(registry)
    watch = Watch(place.database, place.clock, metrics)
    assert watch.warnings() == []

    def handler(running: Any) -> None:
        if running.job.payload:
            raise ValueError

    runner = Runner(
        place.database,
        Work({Kind("test.job", 1): handler}),
        place.clock,
        metrics=metrics,
        spawn=lambda run: run(),
    )
    place.enqueue(kind=Kind("test.job", 1))
    place.enqueue({"bad": 1}, kind=Kind("test.job", 1))
    place.work_off(runner)
    place.enqueue(kind=Kind("other"))
    place.later(299)
    watch.measure()
    assert watch.warnings() == ["1 jobs are dead: see `cost-ops jobs list --state dead`"]
    place.later(1)
    watch.measure()
    assert "5 minutes" in watch.warnings()[1]

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"llm_cost_ops_{name}", labels)

    assert value("job_runs_total", kind="test.job", outcome="done") == 1
    assert value("job_runs_total", kind="test.job", outcome="dead") == 1
    assert value("job_duration_seconds_count", kind="test.job") == 2
    assert value("jobs", state="ready") == value("jobs", state="dead") == 1
    assert value("jobs_oldest_due_seconds") == 300
    assert value("outbox_oldest_seconds") == 0
    place.database.dispose()


def test_our_own_work_is_declared_rightly(quick_place: Place) -> None:
    work = work_of_all(Settings(), quick_place.database, quick_place.clock)
    names = [each.name for each in work.schedules]
    assert names == [
        "queue.retention",
        "audit.checkpoint",
        "ledger.teams",
        "budgets.expire",
        "webhooks.retention",
        "webhooks.sweep",
        "signin.tidy",
        "alerts.sweep",
        "alerts.outlook",
        "alerts.retention",
        "forecasts.watch",
        "exports.sweep",
        "reports.expire",
        "schedules.fire",
        "schedules.retention",
        "privacy.retention",
    ]
    with write(quick_place.database) as session:
        session.announce()
    assert quick_place.database.bell.wait(0)


def test_jobs_that_wait_have_places_of_their_own(quick_place: Place) -> None:
    place = quick_place
    slow = Kind("test.slow", waits=True)
    for _ in range(5):
        place.enqueue(kind=slow)
        place.enqueue()
    begun: list[Callable[[], None]] = []
    runner = place.runner(kinds=[KIND, slow], spawn=begun.append, concurrency=2, waiting=3)
    assert runner.round() == 0
    assert Counter(job.kind for job in runner.held) == {"test.slow": 3, "test.job": 2}
    assert runner.round() > 0
    for run in begun[:]:
        run()
    assert runner.held == []
    assert runner.round() == 0
    assert Counter(job.kind for job in runner.held) == {"test.slow": 2, "test.job": 2}


@pytest.mark.parametrize(("waiting", "share"), [(1, 1), (4, 2), (5, 2)])
def test_places_for_those_who_wait_are_shared(place: Place, waiting: int, share: int) -> None:
    """Strangers that do not answer one organization hold up nobody else."""
    strangers, others = Kind("strangers", waits=True), Kind("others", waits=True)
    begun: list[Callable[[], None]] = []
    runner = place.runner(
        kinds=(strangers, others), spawn=begun.append, waiting=waiting, concurrency=1
    )
    for _ in range(9):
        place.enqueue(kind=strangers, organization_id="org_a")
    while runner.round() == 0:
        pass
    assert len(begun) == share
    place.later(1)
    wanted = [("org_b", strangers), ("org_a", others), (None, strangers)][: waiting - share]
    for organization_id, kind in wanted:
        place.enqueue(kind=kind, organization_id=organization_id)
    while runner.round() == 0:
        pass
    held = [(job.organization_id, job.kind) for job in runner.held]
    assert sorted(held, key=str) == sorted(
        [("org_a", "strangers")] * share + [(name, kind.name) for name, kind in wanted], key=str
    )
    for _ in range(20):
        while begun:
            begun.pop()()
        runner.round()
    assert len(place.ran) == 9 + len(wanted)
