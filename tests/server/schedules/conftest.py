"""Schedules on each database, and on SQLite alone for what no database can change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.schedules import Room, room_on


@pytest.fixture
def room(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Room]:
    with room_on(database_settings, tmp_path) as made:
        yield made


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Room]:
    with room_on(sqlite_settings, tmp_path) as made:
        yield made
