"""Webhooks from a real app to a real receiver, by a worker whose clock the tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.settings import (
    DatabaseSettings,
    DeliverySettings,
    SecuritySettings,
    Settings,
)
from llm_cost_ops.server.webhooks import jobs, store
from tests.support.application import Application, running
from tests.support.sink import Got, Sink, sink

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECRET = "your-webhook-secret"
LOCAL = DeliverySettings(allow_networks=("127.0.0.0/8",), timeout_seconds=2.0)


@dataclass
class Place:
    """An app, a receiver, and a worker that runs when it is told to."""

    app: Application
    clock: FixedClock
    settings: Settings
    receiver: Sink
    jitter: float = 0.0
    outbound: Outbound | None = None

    @property
    def database(self) -> Database:
        return self.app.database

    @property
    def organization_id(self) -> str:
        return self.app.organization_id

    def later(self, seconds: float) -> None:
        self.clock.current += timedelta(seconds=seconds)
        self.clock.elapsed_s += seconds

    def register(self, *events: str, secret: str | None = SECRET, **fields: Any) -> dict[str, Any]:
        body = {"url": self.receiver.url, "events": list(events or ("*",)), **fields}
        if secret is not None:
            body["secret"] = secret
        return answered(self.app.post("/api/v1/webhooks", json=body), 201)

    def endpoint(self, webhook_id: str) -> dict[str, Any]:
        return answered(self.app.get(f"/api/v1/webhooks/{webhook_id}"))

    def deliveries(self, webhook_id: str, **query: str) -> list[dict[str, Any]]:
        path = f"/api/v1/webhooks/{webhook_id}/deliveries"
        return list(answered(self.app.get(path, params=query))["data"])

    def delivery(self, webhook_id: str, delivery_id: str) -> dict[str, Any]:
        return answered(self.app.get(f"/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}"))

    def publish(self, topic: str, payload: Mapping[str, object] | None = None) -> None:
        event = Event(self.organization_id, topic, payload or {"budget_name": "b"})
        with write(self.database) as session:
            publish(session, [event], now_us=self.clock.micros())

    def runner(self, wrap: Callable[[Any], Any] = lambda work: work) -> Runner:
        """A worker of webhooks alone."""
        work = jobs.work(
            self.settings,
            self.database,
            self.clock,
            self.outbound,
            random=lambda: self.jitter,
        )
        return Runner(
            self.database,
            wrap(work),
            self.clock,
            pace=Pace(),
            spawn=lambda run: run(),
            sleep=self.later,
            jitter=lambda: self.jitter,
        )

    def work(self, runner: Runner | None = None, rounds: int = 1_000) -> None:
        """Do all that is due now."""
        made = runner or self.runner()
        for _ in range(rounds):
            if made.round() > 0:
                return
        raise AssertionError("there is no end to it")

    def rows(self, webhook_id: str) -> list[store.Row]:
        with read(self.database) as session:
            return store.deliveries(session, self.organization_id, webhook_id, [], 10_000)


def answered(response: Any, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = loads(response.text)
    return body


def body_of(got: Got) -> dict[str, Any]:
    body: dict[str, Any] = loads(got.body.decode())
    return body


def reached(
    app: Application, settings: DeliverySettings, addresses: Mapping[str, list[str]] | None = None
) -> None:
    """Let the app call by these settings, in a world where only these names resolve."""

    def resolve(host: str, port: int, timeout_s: float) -> list[str]:
        if addresses is None or host not in addresses:
            raise OSError("Name or service not known")
        return addresses[host]

    state = app.app.state
    outbound = Outbound(settings, app.clock, resolver=resolve)
    state.webhooks = replace(state.webhooks, outbound=outbound)


@contextmanager
def placed(database_settings: DatabaseSettings) -> Iterator[Place]:
    clock = FixedClock(START)
    settings = Settings(
        database=database_settings,
        delivery=LOCAL,
        security=SecuritySettings(secret_key="k" * 32),
    )
    database = open_database(settings.database, monotonic=clock.monotonic)
    with (
        sink() as receiver,
        running(settings, clock=clock, database=database) as app,
    ):
        reached(app, LOCAL)
        yield Place(app, clock, settings, receiver)
    database.dispose()


@pytest.fixture
def place(database_settings: DatabaseSettings) -> Iterator[Place]:
    """On each kind of database."""
    with placed(database_settings) as made:
        yield made


@pytest.fixture
def sqlite_place(sqlite_settings: DatabaseSettings) -> Iterator[Place]:
    """On SQLite alone, for what no database can change."""
    with placed(sqlite_settings) as made:
        yield made
