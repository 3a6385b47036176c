"""The app at a time that a test moves on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.server.periods.books import Books
from tests.support.application import running
from tests.support.live import live_server

__all__ = ["live_server"]

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
def place(database_settings: DatabaseSettings) -> Iterator[Books]:
    """The app on each kind of database."""
    clock = FixedClock(NOW)
    with running(Settings(database=database_settings), clock=clock) as made:
        yield Books(made, clock)


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings) -> Iterator[Books]:
    """The same on SQLite alone."""
    clock = FixedClock(NOW)
    with running(Settings(database=sqlite_settings), clock=clock) as made:
        yield Books(made, clock)
