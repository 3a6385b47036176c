"""Schedules of a running app whose worker is turned by hand, with a clock that tests move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.queue import jobs as queue_jobs
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.work import together
from llm_cost_ops.server.schedules import jobs as schedule_jobs
from llm_cost_ops.server.schedules.desk import ScheduleDesk
from llm_cost_ops.server.schedules.fire import fire_due
from llm_cost_ops.server.settings import (
    DatabaseSettings,
    DeliverySettings,
    EmailSettings,
    ScheduleSettings,
    SecuritySettings,
    ServerSettings,
    Settings,
    StorageSettings,
)
from tests.support.application import Application, running
from tests.support.calls import accepted, send

START = datetime(2027, 3, 10, 12, tzinfo=UTC)
PUBLIC_URL = "https://costs.example.com"
SECRET_KEY = "a-secret-key-of-forty-characters-or-more"


@dataclass
class Room:
    """An app, its clock and its worker; `folder` is the directory that schedules may write to."""

    app: Application
    clock: FixedClock
    folder: Path
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.runner = self.worker()
        self.work()  # plans when it will look next

    @property
    def desk(self) -> ScheduleDesk:
        return self.app.app.state.schedules

    def mail_to(self, port: int) -> None:
        """Let mail go to a sink."""
        mail = EmailSettings(
            smtp_host="127.0.0.1", smtp_port=port, smtp_use_tls=False,
            from_address="costs@example.com",
        )  # fmt: skip
        carriers = replace(self.desk.carriers, mail=mail)
        self.app.app.state.schedules = replace(self.desk, carriers=carriers)
        self.runner = self.worker()

    def worker(self, spawn: Callable[[Callable[[], None]], object] | None = None) -> Runner:
        work = together(
            [
                queue_jobs.work(Settings().worker, self.clock),
                schedule_jobs.work(self.app.database, self.desk),
            ]
        )
        return Runner(
            self.app.database,
            work,
            self.clock,
            pace=Pace(concurrency=2),
            spawn=spawn or (lambda run: run()),
            sleep=lambda _: None,
            jitter=lambda: 0.0,
        )

    def work(self, *runners: Runner) -> None:
        """Rounds of the workers in turn until nothing is due."""
        while 0.0 in [each.round() for each in runners or (self.runner,)]:
            pass

    def at(self, now: datetime, *runners: Runner) -> None:
        """Move the clock to an instant and do what is due then."""
        self.clock.elapsed_s += max((now - self.clock.current).total_seconds(), 0)
        self.clock.current = now
        self.work(*runners)

    def compete(self, now: datetime, *runners: Runner) -> None:
        """The same by workers in threads of their own, each of which fires by itself, too: as when
        one of them lost its lease and has not heard of it."""
        self.clock.elapsed_s += max((now - self.clock.current).total_seconds(), 0)
        self.clock.current = now
        now_us, begin = self.clock.micros(), threading.Barrier(len(runners))

        def work(runner: Runner) -> None:
            begin.wait(30)
            write_retrying(self.app.database, lambda session: fire_due(session, now_us))
            begin.wait(30)
            self.work(runner)

        with ThreadPoolExecutor(len(runners)) as pool:
            for ended in [pool.submit(work, each) for each in runners]:
                ended.result()
        self.work(*runners)  # what one of them gave back when the other had ended

    def later(self, **duration: float) -> None:
        self.at(self.clock.current + timedelta(**duration))

    def spend(self, cost: str, when: datetime, **fields: Any) -> None:
        """Record a call with this cost."""
        body = {
            "model": "m", "provider": "openai", "cost": cost, "tokens_used": 10,
            "timestamp": when.isoformat(), **fields,
        }  # fmt: skip
        accepted(send(self.app, "/costs", body), 201)

    def schedule(self, **fields: Any) -> dict[str, Any]:
        """A new daily schedule at nine in New York that is fetched."""
        body = {
            "frequency": "daily", "time": "09:00", "timezone": "America/New_York",
            "delivery": {"type": "download"}, **fields,
        }  # fmt: skip
        given = {name: value for name, value in body.items() if value is not None}
        return accepted(send(self.app, "/exports/schedules", given), 201)

    def get(self, schedule_id: str) -> dict[str, Any]:
        return accepted(self.app.get(f"/api/v1/exports/schedules/{schedule_id}"), 200)

    def runs(self, schedule_id: str) -> list[dict[str, Any]]:
        """Runs of a schedule, the oldest first."""
        path = f"/api/v1/exports/schedules/{schedule_id}/runs"
        return list(reversed(accepted(self.app.get(path, params={"limit": 100}), 200)["data"]))

    def run(self, schedule_id: str) -> dict[str, Any]:
        """Run a schedule now, and what became of it."""
        accepted(send(self.app, f"/exports/schedules/{schedule_id}/run", {}), 202)
        self.work()
        return self.runs(schedule_id)[-1]

    def file(self, run: dict[str, Any]) -> bytes:
        answer = self.app.get(f"/api/v1/exports/schedules/runs/{run['id']}/file")
        assert answer.status_code == 200, answer.text
        return answer.content


@contextmanager
def room_on(settings: DatabaseSettings, path: Path) -> Iterator[Room]:
    """A room on a migrated database."""
    clock, folder = FixedClock(START), path / "allowed"
    folder.mkdir()
    patient = replace(settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    made = Settings(
        database=patient,
        storage=StorageSettings(directory=str(path / "kept")),
        schedules=ScheduleSettings(folders=(str(folder),)),
        security=SecuritySettings(secret_key=SECRET_KEY),
        server=ServerSettings(public_url=PUBLIC_URL),
        delivery=DeliverySettings(allow_networks=("127.0.0.0/8",)),
    )
    with running(made, clock=clock) as app:
        yield Room(app, clock, folder)
