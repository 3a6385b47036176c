"""An app and an identity provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.sso import House, house_of


@pytest.fixture
def house(sqlite_settings: DatabaseSettings) -> Iterator[House]:
    """On SQLite, its clock standing still."""
    with house_of(sqlite_settings) as made:
        yield made
