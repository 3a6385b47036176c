"""The queue on real databases, with a clock that tests move and threads that do not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.queue.enqueue import NewJob, Priority, enqueue
from llm_cost_ops.server.queue.retry import listed
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.queue.work import Kind, Subscription, SystemSchedule, Work
from llm_cost_ops.server.settings import DatabaseSettings

START = datetime(2026, 1, 1, tzinfo=UTC)
KIND = Kind("test.job", max_attempts=3, retry=listed(10, spread=0))


@dataclass
class Place:
    """A database, a clock, and what handlers were given."""

    database: Database
    clock: FixedClock = field(default_factory=lambda: FixedClock(START))
    ran: list[Any] = field(default_factory=list[Any])

    @property
    def now_us(self) -> int:
        return self.clock.micros()

    def later(self, seconds: float) -> None:
        self.clock.current += timedelta(seconds=seconds)
        self.clock.elapsed_s += seconds

    def enqueue(
        self,
        payload: Mapping[str, object] | None = None,
        *,
        kind: Kind = KIND,
        organization_id: str | None = None,
        in_s: float = 0,
        priority: Priority = Priority.NORMAL,
        lane: str | None = None,
        once: str | None = None,
    ) -> str:
        run_at = self.now_us + round(in_s * 1_000_000)
        job = NewJob(kind, payload or {}, organization_id, run_at, priority, lane)
        with write(self.database) as session:
            return enqueue(session, job, now_us=self.now_us, once=once)

    def runner(
        self,
        handler: Callable[[Any], Any] | None = None,
        *,
        kinds: Sequence[Kind] = (KIND,),
        subscriptions: Sequence[Subscription] = (),
        schedules: Sequence[SystemSchedule] = (),
        buried: Mapping[Kind, Any] | None = None,
        spawn: Callable[[Callable[[], None]], object] = lambda run: run(),
        **pace: Any,
    ) -> Runner:
        def note(running: Any) -> Any:
            self.ran.append(running.job)
            return handler(running) if handler else None

        return Runner(
            self.database,
            Work(dict.fromkeys(kinds, note), subscriptions, schedules, buried or {}),
            self.clock,
            pace=Pace(**pace),
            spawn=spawn,
            sleep=self.later,
            jitter=lambda: 0.0,
        )

    def work_off(self, runner: Runner) -> None:
        """Rounds until nothing is due."""
        while runner.round() == 0:
            pass

    def row(self, job_id: str) -> Any:
        with read(self.database) as session:
            return session.execute(select(jobs).where(jobs.c.id == job_id)).one()

    def rows(self, table: Any) -> list[Any]:
        with read(self.database) as session:
            return list(session.execute(select(table)).all())


@pytest.fixture
def place(database: Database) -> Place:
    return Place(database)


@pytest.fixture
def quick_place(sqlite_settings: DatabaseSettings) -> Iterator[Place]:
    """SQLite, for what no database can change."""
    database = open_database(sqlite_settings)
    yield Place(database)
    database.dispose()
