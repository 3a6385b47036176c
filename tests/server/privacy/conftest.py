"""An organization that knows Alice and Bob in every place, and a worker that runs when told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.users import NewUser, create_user
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.settings import DatabaseSettings, SecuritySettings, Settings
from llm_cost_ops.server.worker import create_worker
from tests.support.application import Application, running
from tests.support.calls import accepted, body_of, record, send, usage

KEY = "c4n4ry-0f-th3-1nst4ll4t10n-k3y-0123456789"
ALICE, MAIL = "alice-liddell", "alice@example.com"
BOB = "bob"


@dataclass
class Place:
    """The app, its settings, and what tests do with it."""

    app: Application
    settings: Settings

    def work(self) -> None:
        metrics = QueueMetrics(CollectorRegistry())
        create_worker(self.settings, self.app.database, self.app.clock, metrics).run(
            until_idle=True
        )

    def ask(self, kind: str, subject: str = ALICE, **more: Any) -> dict[str, Any]:
        body = {"kind": kind, "subject": subject, **more}
        return dict(accepted(send(self.app, "/privacy/requests", body), 201))

    def read(self, path: str) -> Any:
        return accepted(self.app.get(f"/api/v1{path}"))

    def erase(self, subject: str = ALICE) -> dict[str, Any]:
        made = self.ask("erase", subject)
        self.work()
        done = self.read(f"/privacy/requests/{made['id']}")
        assert done["status"] == "done", done
        return dict(self.read(f"/privacy/requests/{made['id']}/certificate"))

    def total(self, **query: str) -> Any:
        return body_of(self.app.get("/api/v1/costs/summary", params=query))


def furnish(place: Place) -> None:
    """Alice and Bob in users, calls, budgets, alerts, channels, keys, anomalies."""
    app = place.app
    with write(app.database) as session:
        actor = Actor(app.organization_id, None, None, app.clock.micros())
        new = NewUser(email=MAIL, name="Alice Liddell", role="developer", user_id=ALICE)
        create_user(session, actor, new)
    record(
        app,
        *(
            usage(f"a{n}", user_id=ALICE, metadata={"owner": MAIL, "n": n}, tags=[ALICE])
            for n in range(5)
        ),
        *(usage(f"b{n}", user_id=BOB, metadata={"reviewer": ALICE}) for n in range(3)),
    )
    for name, scope in (
        ("Alice", {"user_id": ALICE}),
        ("Both", {"user_id": [ALICE, BOB]}),
        ("Owned", {"metadata": {"owner": MAIL}}),
        ("Tagged", {"tags": [ALICE]}),
    ):
        body = {"name": name, "amount": "100", "start_date": "2025-06-01", "period": "annual"}
        accepted(send(app, "/budgets", {**body, "scope": scope}), 201)
    for name, recipients in (("all", [MAIL, "bob@example.com"]), ("hers", [MAIL])):
        body = {"name": name, "type": "email", "recipients": recipients}
        accepted(send(app, "/alerts/channels", body), 201)


@pytest.fixture
def place(database_settings: DatabaseSettings) -> Iterator[Place]:
    patient = replace(database_settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    yield from _place(Settings(database=patient))


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings) -> Iterator[Place]:
    yield from _place(Settings(database=sqlite_settings))


def _place(settings: Settings) -> Iterator[Place]:
    settings = replace(settings, security=SecuritySettings(secret_key=KEY))
    with running(settings) as app:
        made = Place(app, settings)
        furnish(made)
        yield made
