"""Databases of the fault tests (see `tests.support.database`), and servers on them.

warm     what makes the starts of servers quick, for the whole run
launch   `launch(database_settings)` gives a running server, killed at the end of the test;
         ask for it after the database, so that it goes first
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.database import (
    database_clones,
    database_kind,
    database_settings,
    mysql_settings,
    postgres_settings,
    server_settings,
    sqlite_settings,
)
from tests.support.database import pytest_configure as pytest_configure
from tests.support.live import local
from tests.support.server_process import ServerProcess, Tenant
from tests.support.warm_start import WarmStart

__all__ = [
    "database_clones",
    "database_kind",
    "database_settings",
    "mysql_settings",
    "postgres_settings",
    "server_settings",
    "sqlite_settings",
]

Launch = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def quick_imports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Compiled modules are kept, wherever the run was told to keep none."""
    return {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled")),
    }


@pytest.fixture(scope="session")
def warm(quick_imports: dict[str, str]) -> Iterator[WarmStart]:
    with WarmStart({**os.environ, **quick_imports}) as started:
        yield started


@pytest.fixture
def launch(warm: WarmStart, quick_imports: dict[str, str], tmp_path: Path) -> Iterator[Launch]:
    launched: list[ServerProcess] = []

    def start(
        database: DatabaseSettings,
        *,
        tenant: Tenant | None = None,
        cold: bool = False,
        environment: dict[str, str] | None = None,
        ingest: dict[str, Any] | None = None,
        **server: Any,
    ) -> ServerProcess:
        settings = local(database, **server)
        if ingest:
            settings = replace(settings, ingest=replace(settings.ingest, **ingest))
        made = ServerProcess(
            settings,
            tmp_path / f"server-{len(launched)}",
            tenant or Tenant.of(database),
            warm,
            {**quick_imports, **(environment or {})},
        )
        launched.append(made)
        made.start(cold=cold)
        return made

    yield start
    for server in launched:
        server.kill()
