"""A running app with a clock that tests set, and days of spending in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.core.money import EXACT
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.queue.tables import outbox
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.calls import accepted, record, send

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
_numbers = itertools.count()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def app(sqlite_settings: DatabaseSettings, clock: FixedClock) -> Iterator[Application]:
    """The app on SQLite, at NOW."""
    with running(Settings(database=sqlite_settings), clock=clock) as made:
        yield made


@pytest.fixture
def any_app(database_settings: DatabaseSettings, clock: FixedClock) -> Iterator[Application]:
    """The app on each kind of database, at NOW."""
    patient = replace(database_settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    with running(Settings(database=patient), clock=clock) as made:
        yield made


def cost(at: datetime, amount: object, **fields: Any) -> dict[str, Any]:
    """A cost of an instant, as its caller states it."""
    return {
        "event_id": f"cost-{next(_numbers)}",
        "provider": "openai",
        "model": "gpt-4o",
        "tokens_used": 1000,
        "cost": str(amount),
        "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **fields,
    }


def spend(app: Application, *costs: Mapping[str, Any]) -> None:
    """Record costs."""
    for each in costs:
        accepted(send(app, "/costs", each), 201)


def spend_days(
    app: Application,
    first: datetime,
    count: int,
    amount: Callable[[int], object] = lambda _day: 10,
    **fields: Any,
) -> None:
    """A cost a day, at noon UTC unless `first` says otherwise."""
    spend(app, *(cost(first + timedelta(days=day), amount(day), **fields) for day in range(count)))


def use(app: Application, at: datetime, prompt: int = 1_000_000, **fields: Any) -> dict[str, Any]:
    """A record of a call, not sent yet; a million tokens of gpt-4o cost 2.5 dollars."""
    return {
        "event_id": f"call-{next(_numbers)}",
        "provider": "openai",
        "model": "gpt-4o",
        "prompt_tokens": prompt,
        "completion_tokens": 0,
        "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **fields,
    }


def record_all(app: Application, calls: list[dict[str, Any]]) -> None:
    for start in range(0, len(calls), 500):
        record(app, *calls[start : start + 500])


def forecast(app: Application, **asked: Any) -> Any:
    """A forecast that is kept; linear unless said otherwise."""
    return accepted(send(app, "/forecasts", {"model": "linear", **asked}), 201)


def examined(app: Application, **asked: Any) -> list[dict[str, Any]]:
    """The flagged points of a range."""
    return accepted(send(app, "/forecasts/anomalies", asked), 200)["data"]


def events(app: Application, topic: str) -> list[dict[str, Any]]:
    """What was published under a topic for the organization, in order."""
    row = outbox.c
    query = (
        outbox.select()
        .where(row.topic == topic, row.organization_id == app.organization_id)
        .order_by(row.id)
    )
    with read(app.database) as session:
        return [loads(found.payload) for found in session.execute(query)]


def total(parts: list[dict[str, Any]]) -> Decimal:
    """The sum of the amounts of parts, to the last digit."""
    with localcontext(EXACT):
        return sum((Decimal(str(part["amount"])) for part in parts), Decimal())
