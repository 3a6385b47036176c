"""An app, a worker that runs when told, and a storage that a test can look into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.exports import jobs
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.work import Work
from llm_cost_ops.server.settings import DatabaseSettings, Settings, StorageSettings
from tests.server.exports.conftest import NOW
from tests.support.application import Application, running
from tests.support.factories import make_call, record_calls

ORDERS = "/api/v1/export"
LEASE_S = 60.0


@dataclass
class Desk:
    """`folder` is where the files are."""

    app: Application
    settings: Settings
    clock: FixedClock
    folder: Path

    def calls(self, count: int, **fields: Any) -> None:
        record_calls(
            self.app.database,
            [
                make_call(
                    f"2026-10-{1 + n % 28:02}T12:00:00Z", "1.5",
                    organization_id=self.app.organization_id, **fields,
                )
                for n in range(count)
            ],
        )  # fmt: skip

    def order(self, status: int = 202, key: str = "", **body: Any) -> dict[str, Any]:
        answer = self.app.post(ORDERS, json=body, key=key)
        assert answer.status_code == status, answer.text
        return dict(loads(answer.text))

    def shown(self, export_id: str, key: str = "") -> dict[str, Any]:
        answer = self.app.get(f"{ORDERS}/{export_id}", key=key)
        assert answer.status_code == 200, answer.text
        return dict(loads(answer.text))

    def file(self, export_id: str, **options: Any) -> httpx.Response:
        return self.app.get(f"{ORDERS}/{export_id}/download", **options)

    def runner(
        self,
        spawn: Callable[[Callable[[], None]], object] = lambda run: run(),
        wrap: Callable[[Work], Work] = lambda work: work,
    ) -> Runner:
        """A worker of exports alone."""
        return Runner(
            self.app.database,
            wrap(jobs.work(self.settings, self.app.database, self.clock)),
            self.clock,
            pace=Pace(lease_s=LEASE_S),
            spawn=spawn,
            sleep=self.later,
            jitter=lambda: 1.0,
        )

    def work(self, runner: Runner | None = None) -> None:
        """Do all that is due now."""
        made = runner or self.runner()
        for _ in range(100):
            if made.round() > 0:
                return
        raise AssertionError("there is no end to it")

    def later(self, seconds: float) -> None:
        self.clock.current += timedelta(seconds=seconds)
        self.clock.elapsed_s += seconds

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        with read(self.app.database) as session:
            rows = session.execute(
                text("SELECT topic, payload FROM outbox WHERE topic LIKE 'export%' ORDER BY id")
            ).all()
        return [(topic, loads(p) if isinstance(p, str) else p) for topic, p in rows]

    def audited(self) -> list[str]:
        with read(self.app.database) as session:
            rows = session.execute(
                text("SELECT action FROM audit_log WHERE action LIKE 'export%' ORDER BY seq")
            ).all()
        return [row[0] for row in rows]


@contextmanager
def desk(
    database: DatabaseSettings, folder: Path, storage: StorageSettings | None = None
) -> Iterator[Desk]:
    clock = FixedClock(NOW)
    settings = Settings(
        database=database, storage=storage or StorageSettings(directory=str(folder))
    )
    with running(settings, clock=clock) as app:
        yield Desk(app, settings, clock, folder)
