"""Live, healthy, ready: each says what it knows, and asking costs nobody anything."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.http.health import Health, old_book
from llm_cost_ops.server.settings import DatabaseSettings, RedisSettings, Settings
from tests.support.application import Application, running

NOWHERE = "redis://127.0.0.1:1/0"


def test_healthy(application: Application) -> None:
    answer = application.get("/health", key=None)
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"status", "timestamp", "version", "uptime_seconds", "checks"}
    assert body["status"] == "healthy"
    assert body["uptime_seconds"] >= 0
    assert body["checks"]["cache"] == {"status": "healthy"}
    assert set(body["checks"]["database"]) == {"status", "latency_ms"}
    assert body["checks"]["database"]["status"] == "healthy"


def test_ready(application: Application) -> None:
    answer = application.get("/ready", key=None)
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ready"
    assert body["checks"]["migrations"] == {"status": "current"}
    assert isinstance(body["warnings"], list)


@pytest.mark.parametrize("path", ["live", "ready"])
def test_the_other_documented_address(sqlite_application: Application, path: str) -> None:
    short = sqlite_application.get(f"/{path}", key=None)
    long = sqlite_application.get(f"/health/{path}", key=None)
    assert long.status_code == short.status_code == 200
    assert long.json()["status"] == short.json()["status"]


@contextmanager
def after_a_second(application: Application) -> Iterator[None]:
    """What was seen before is forgotten."""
    application.app.state.health._last = None
    yield
    application.app.state.health._last = None


def test_without_a_database_it_is_alive_but_neither_healthy_nor_ready(
    application: Application,
) -> None:
    application.database.circuit.failed()
    with after_a_second(application):
        health, ready = application.get("/health"), application.get("/ready")
    assert health.status_code == ready.status_code == 503
    assert health.json()["status"] == "unhealthy"
    assert health.json()["checks"]["database"] == {
        "status": "unhealthy",
        "error": "The database does not answer.",
    }
    assert ready.json()["status"] == "not_ready"
    live = application.get("/live", key=None)
    assert (live.status_code, live.json()["status"]) == (200, "alive")
    application.database.circuit.connected()
    with after_a_second(application):
        assert application.get("/health").status_code == 200
        assert application.get("/ready").status_code == 200


def test_while_stopping_it_is_not_ready(sqlite_application: Application) -> None:
    sqlite_application.app.state.health.draining = True
    answer = sqlite_application.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert sqlite_application.get("/live").status_code == 200


def test_before_its_migrations_it_is_not_ready(empty_database: DatabaseSettings) -> None:
    with asked(empty_database) as health:
        status, body = health["ready"]
        # a SQLite file that is not there yet cannot be asked at all
        states = ({"status": "pending"}, {"status": "unknown"})
        assert status == 503
        assert body["checks"]["migrations"] in states
    Migrations().upgrade(empty_database)
    with asked(empty_database) as health:
        assert health["ready"][0] == 200


@contextmanager
def asked(settings: DatabaseSettings) -> Iterator[dict[str, Any]]:
    """What a fresh process would say."""
    database = open_database(settings)
    clock = FixedClock(datetime(2026, 3, 15, tzinfo=UTC))

    async def ask() -> dict[str, Any]:
        health = Health(database, clock, Settings(database=settings), "1")
        return {"ready": await health.ready(), "health": await health.health()}

    try:
        yield asyncio.run(ask())
    finally:
        database.dispose()


def test_a_schema_newer_than_ours_is_served(application: Application) -> None:
    """The release before keeps serving while the next one is rolled out."""
    with write(application.database) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999_later'"))
    with after_a_second(application):
        answer = application.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"]["migrations"] == {"status": "newer"}


@pytest.mark.parametrize(("age_days", "warned"), [(45, False), (46, True)])
def test_an_old_price_book_is_complained_about(
    sqlite_settings: DatabaseSettings, age_days: int, warned: bool
) -> None:
    from llm_cost_ops.core.pricing.book import PriceBook

    built = PriceBook.packaged().built_at
    noon = datetime(built.year, built.month, built.day, 12, tzinfo=UTC)
    clock = FixedClock(noon + timedelta(days=age_days))
    with running(Settings(database=sqlite_settings), clock=clock) as application:
        answer = application.get("/ready")
        assert answer.status_code == 200
        complaints = [line for line in answer.json()["warnings"] if "price book" in line]
        assert bool(complaints) == warned
        gauge = f"llm_cost_ops_price_book_age_days {age_days}.0"
        assert gauge in application.get("/metrics").text


def test_the_complaint_names_the_age() -> None:
    clock = FixedClock(datetime(2026, 3, 15, tzinfo=UTC))
    assert old_book(date(2026, 3, 10), 4, clock)() == (
        "The price book is 5 days old; new models may have no price.",
    )
    assert old_book(date(2026, 3, 10), 5, clock)() == ()


def test_a_database_that_forgets_is_complained_about(sqlite_settings: DatabaseSettings) -> None:
    unsafe = replace(sqlite_settings, sqlite_synchronous="normal")
    with running(Settings(database=unsafe)) as application:
        warnings = application.get("/ready").json()["warnings"]
    assert any("synchronous" in line for line in warnings)


def test_a_cache_that_is_down_only_degrades(sqlite_settings: DatabaseSettings) -> None:
    settings = replace(Settings(database=sqlite_settings), redis=RedisSettings(url=NOWHERE))
    with running(settings) as application:
        answer = application.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "degraded"
        assert answer.json()["checks"]["cache"] == {
            "status": "unhealthy",
            "error": "Redis does not answer.",
        }
        assert application.get("/ready").status_code == 200


def test_a_crowd_asks_the_database_once(application: Application) -> None:
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    application.get("/ready")
    application.app.state.health._last = None
    event.listen(application.database.reader, "before_cursor_execute", note)
    threads = [threading.Thread(target=application.get, args=("/health",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    event.remove(application.database.reader, "before_cursor_execute", note)
    assert len([statement for statement in seen if statement == "SELECT 1"]) == 1


def test_a_database_that_hangs_costs_two_seconds(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hang(*_: Any, **__: Any) -> float:
        release.wait(20)
        return 0

    monkeypatch.setattr("llm_cost_ops.server.http.health.ping_ms", hang)
    sqlite_application.app.state.health._last = None
    began = time.monotonic()
    answer = sqlite_application.get("/health")
    assert 1.5 < time.monotonic() - began < 15
    assert answer.json()["checks"]["database"] == {"status": "unhealthy", "error": "no answer"}
    assert sqlite_application.get("/live").status_code == 200
    release.set()


def test_nothing_that_is_asked_by_anyone_names_a_host_or_a_user(application: Application) -> None:
    application.database.circuit.failed()
    with after_a_second(application):
        shown = application.get("/health", key=None).text + application.get("/ready", key=None).text
    application.database.circuit.connected()
    for secret in ("127.0.0.1", "sqlite", "postgresql", "mysql", application.organization_id):
        assert secret not in shown.lower()
