"""Fixtures of the SCIM tests: one app for each module, an organization for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llm_cost_ops.server.settings import Settings
from tests.support.application import Application, application, running
from tests.support.database import small_pool
from tests.support.scim import Provider

__all__ = ["application"]


@pytest.fixture(scope="module")
def shared(database_clones: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """An app on SQLite that the tests of a module share."""
    folder = tmp_path_factory.mktemp("scim")
    with (
        database_clones["sqlite"].migrated(folder) as url,
        running(Settings(database=small_pool(url))) as made,
    ):
        yield made


@pytest.fixture
def provider(shared: Application) -> Provider:
    """An identity provider of a new organization that may give people roles."""
    return Provider.of(shared.another(), assigns_roles=True)
