"""Alerts of a running app whose worker is turned by hand, with a clock that tests move and channels
that only remember what they were told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_cost_ops.server.alerts import jobs as alert_jobs
from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.alerts.sending import Sender
from llm_cost_ops.server.budgets import jobs as budget_jobs
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.delivery.channels import Channel, EmailChannel
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.queue import jobs as queue_jobs
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.work import together
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.calls import accepted, body_of, send

START = datetime(2027, 3, 10, 12, tzinfo=UTC)
GOOD = Outcome(True, "HTTP 200", 200)
PUBLIC_URL = "https://costs.example.com"


@dataclass
class Told:
    """One message that a channel was given."""

    channel: Channel
    notice: Notice
    delivery_id: str

    @property
    def to(self) -> str:
        return self.channel.recipients[0] if isinstance(self.channel, EmailChannel) else ""


@dataclass
class Room:
    """An app, its clock, its worker, and what channels were told."""

    app: Application
    clock: FixedClock
    told: list[Told] = field(default_factory=list[Told])
    outcomes: list[Outcome | BaseException] = field(default_factory=list[Outcome | BaseException])
    """What the next sends come to; then everything is delivered."""
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.runner = self.worker()

    def send(self, channel: Channel, notice: Notice, delivery_id: str) -> Outcome:
        outcome = self.outcomes.pop(0) if self.outcomes else GOOD
        if isinstance(outcome, BaseException):
            raise outcome
        self.told.append(Told(channel, notice, delivery_id))
        return outcome

    def worker(self, spawn: Callable[[Callable[[], None]], object] | None = None) -> Runner:
        database = self.app.database
        sender = Sender(database, self.clock, self.send, Vault(None, CHANNELS), PUBLIC_URL)
        work = together(
            [
                queue_jobs.work(Settings().worker, self.clock),
                budget_jobs.work(database, self.clock),
                alert_jobs.work(database, self.clock, sender, Settings().worker.keep_alerts_days),
            ]
        )
        return Runner(
            database,
            work,
            self.clock,
            pace=Pace(concurrency=2),
            spawn=spawn or (lambda run: run()),
            sleep=lambda _: None,
            jitter=lambda: 0.0,
        )

    def work(self) -> None:
        """Rounds until nothing is due."""
        while self.runner.round() == 0:
            pass

    def later(self, **duration: float) -> None:
        """Move the clock and do what is due then."""
        self.clock.current += timedelta(**duration)
        self.clock.elapsed_s += timedelta(**duration).total_seconds()
        self.work()

    def spend(self, cost: object, **fields: Any) -> Any:
        """Record a call of now with this cost, and do what follows from it."""
        body = {"model": "m", "provider": "openai", "cost": cost, **fields}
        made = accepted(send(self.app, "/costs", body), 201)
        self.work()
        return made

    def publish(self, topic: str, **payload: object) -> None:
        """An event of another room."""
        with write(self.app.database) as session:
            event = Event(self.app.organization_id, topic, payload)
            publish(session, [event], now_us=self.clock.micros())
        self.work()

    def channel(self, name: str = "ops", **fields: Any) -> str:
        """The id of a new mail channel."""
        mail = {"type": "email", "recipients": [f"{name}@example.com"]}
        body = {"name": name, **({} if "type" in fields else mail), **fields}
        return accepted(send(self.app, "/alerts/channels", body), 201)["id"]

    def rule(self, kind: str, **fields: Any) -> str:
        body = {"name": kind, "type": kind, **fields}
        return accepted(send(self.app, "/alerts/rules", body), 201)["id"]

    def act(self, alert_id: str, verb: str, **fields: Any) -> Any:
        """Take care of an alert, and do what follows from it."""
        answer = accepted(send(self.app, f"/alerts/{alert_id}/{verb}", fields), 200)
        self.work()
        return answer

    def alerts(self, **query: str) -> list[dict[str, Any]]:
        """Alerts, the oldest first."""
        answer = accepted(self.app.get("/api/v1/alerts", params=query), 200)
        return list(reversed(answer["data"]))

    def alert(self, alert_id: str) -> dict[str, Any]:
        return body_of(self.app.get(f"/api/v1/alerts/{alert_id}"))

    def only(self, **query: str) -> dict[str, Any]:
        """The one alert that there is."""
        (found,) = self.alerts(**query)
        return self.alert(found["id"])

    def history(self, alert_id: str) -> list[str]:
        return [each["type"] for each in self.alert(alert_id)["history"]]

    def said(self) -> list[tuple[str, str]]:
        """Whom was told what, in order, and forgotten."""
        found = [(each.to.partition("@")[0], each.notice.moment) for each in self.told]
        self.told.clear()
        return found


@contextmanager
def room_on(settings: DatabaseSettings) -> Iterator[Room]:
    """A room on a migrated database."""
    clock = FixedClock(START)
    patient = replace(settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    with running(Settings(database=patient), clock=clock) as app:
        yield Room(app, clock)
