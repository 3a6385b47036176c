"""The app with the reads in it, and calls to read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from llm_cost_ops.server import app as app_module
from llm_cost_ops.server.analytics import routes
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.http.routing import Room
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running

NOW = datetime(2025, 3, 12, 15, 30, tzinfo=UTC)


@pytest.fixture
def application(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    """The app at a fixed time, on each kind of database."""
    with _running(database_settings, monkeypatch) as made:
        yield made


@pytest.fixture
def sqlite_application(
    sqlite_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    """The same on SQLite alone."""
    with _running(sqlite_settings, monkeypatch) as made:
        yield made


def _running(settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch):
    if not any(room.name == "analytics" for room in app_module.ROOMS):
        room = Room("analytics", router=routes.router)
        monkeypatch.setattr(app_module, "ROOMS", (*app_module.ROOMS, room))
    return running(Settings(database=settings), clock=FixedClock(NOW))
