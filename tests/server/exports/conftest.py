"""The app at a fixed time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import Application, running
from tests.support.live import live_server

__all__ = ["live_server"]

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def application(database_settings: DatabaseSettings) -> Iterator[Application]:
    """The app on each kind of database."""
    with running(Settings(database=database_settings), clock=FixedClock(NOW)) as made:
        yield made


@pytest.fixture
def sqlite_application(sqlite_settings: DatabaseSettings) -> Iterator[Application]:
    """The same on SQLite alone."""
    with running(Settings(database=sqlite_settings), clock=FixedClock(NOW)) as made:
        yield made
