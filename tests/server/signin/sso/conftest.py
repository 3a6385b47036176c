"""An app and an identity provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.sso import House, house_of


@pytest.fixture
def house(sqlite_settings: DatabaseSettings) -> Iterator[House]:
    """On SQLite, its clock standing still."""
    with house_of(sqlite_settings) as made:
        yield made


@pytest.fixture
def any_house(database_settings: DatabaseSettings) -> Iterator[House]:
    """The same on each kind of database."""
    patient = replace(database_settings, lock_timeout_ms=20_000, statement_timeout_ms=30_000)
    with house_of(patient) as made:
        yield made
