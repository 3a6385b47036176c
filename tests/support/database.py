"""Fixtures that run a test on a real, migrated database of each kind.

    database            an open `Database`, migrated and empty, on SQLite, PostgreSQL and MariaDB
    database_settings   the same, not opened: for tests that start servers or several engines
    empty_database      settings of a database without any table, for migrations
    sqlite_settings, postgres_settings, mysql_settings
                        `database_settings` of one kind, for what only that kind has
    server_settings     `database_settings` of the kinds that are reached over a network

Each test has its database for itself. `-m sqlite`, `-m "not mysql"` pick kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.clones import Clones, MysqlClones, PostgresClones, SqliteClones
from tests.support.services import MYSQL, POSTGRES, service_url

KINDS = [
    pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in ("sqlite", "postgres", "mysql")
]


def small_pool(url: str) -> DatabaseSettings:
    return DatabaseSettings(url=url, pool_size=4, max_overflow=4)


class _Makers:
    """Connects to a server when the first test asks for its kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Clones] = {}

    def __getitem__(self, kind: str) -> Clones:
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def _make(self, kind: str) -> Clones:
        if kind == "postgres":
            return PostgresClones(service_url(POSTGRES))
        if kind == "mysql":
            return MysqlClones(service_url(MYSQL))
        return SqliteClones(self._folder)

    def close(self) -> None:
        for clones in self._made.values():
            clones.close()


@pytest.fixture(scope="session")
def database_clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Makers]:
    makers = _Makers(tmp_path_factory.mktemp("databases"))
    yield makers
    makers.close()


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_settings(
    database_kind: str, database_clones: _Makers, tmp_path: Path
) -> Iterator[DatabaseSettings]:
    with database_clones[database_kind].migrated(tmp_path) as url:
        yield small_pool(url)


@pytest.fixture
def empty_database(
    database_kind: str, database_clones: _Makers, tmp_path: Path
) -> Iterator[DatabaseSettings]:
    with database_clones[database_kind].empty(tmp_path) as url:
        yield small_pool(url)


@pytest.fixture
def database(database_settings: DatabaseSettings) -> Iterator[Database]:
    opened = open_database(database_settings)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_settings(database_clones: _Makers, tmp_path: Path) -> Iterator[DatabaseSettings]:
    with database_clones["sqlite"].migrated(tmp_path) as url:
        yield small_pool(url)


@pytest.fixture
def postgres_settings(database_clones: _Makers, tmp_path: Path) -> Iterator[DatabaseSettings]:
    with database_clones["postgres"].migrated(tmp_path) as url:
        yield small_pool(url)


@pytest.fixture
def mysql_settings(database_clones: _Makers, tmp_path: Path) -> Iterator[DatabaseSettings]:
    with database_clones["mysql"].migrated(tmp_path) as url:
        yield small_pool(url)


@pytest.fixture(params=KINDS[1:])
def server_settings(
    request: pytest.FixtureRequest, database_clones: _Makers, tmp_path: Path
) -> Iterator[DatabaseSettings]:
    with database_clones[str(request.param)].migrated(tmp_path) as url:
        yield small_pool(url)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers when this module is a plugin."""
    for kind in ("sqlite", "postgres", "mysql"):
        config.addinivalue_line("markers", f"{kind}: runs on {kind}")
