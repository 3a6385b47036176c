"""Private ledgers to measure on: a migrated database of our own, one organization, one key."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from llm_cost_ops.server.access.issue import issue_key
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.connect_sqlite import pragmas
from llm_cost_ops.server.db.engine import open_maintenance_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.organizations import create_organization
from llm_cost_ops.server.settings import DatabaseSettings

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
_VARIABLES = {
    "postgres": "COST_OPS_TEST_POSTGRES_URL",
    "mysql": "COST_OPS_TEST_MYSQL_URL",
}
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Place:
    """An empty ledger."""

    url: str
    organization_id: str
    key: str

    @property
    def settings(self) -> DatabaseSettings:
        """The defaults of the server: a flush at every commit."""
        return DatabaseSettings(url=self.url)


@contextmanager
def place(kind: str) -> Generator[Place]:
    """A ledger on `sqlite`, `postgres` or `mysql` that is gone afterwards."""
    if kind == "sqlite":
        folder = OUT / f"sqlite-{os.getpid()}-{next(_numbers)}"
        folder.mkdir(parents=True)
        try:
            yield prepared(f"sqlite:///{folder / 'ledger.db'}")
        finally:
            shutil.rmtree(folder)
        return
    name = f"cost_ops_bench_{os.getpid()}_{next(_numbers)}"
    create_database(kind, name)
    try:
        yield prepared(database_url(kind, name))
    finally:
        drop_database(kind, name)


def prepared(url: str) -> Place:
    """Migrate a database and make its organization and key."""
    settings = DatabaseSettings(url=url)
    Migrations().upgrade(settings)
    database = open_maintenance_database(settings)
    now_us = SystemClock().micros()
    with write(database) as session:
        made = create_organization(session, name="Bench", now_us=now_us)
        issued = issue_key(
            session,
            organization_id=made.id,
            name="bench",
            scopes=("*",),
            prefix="sk_test_",
            now_us=now_us,
        )
    database.dispose()
    return Place(url, made.id, issued.secret)


def service_url(kind: str) -> str:
    """The server to make databases on, started when it is not there."""
    variable = _VARIABLES[kind]
    given = os.environ.get(variable)
    if given:
        return given
    command = [sys.executable, str(ROOT / "tools" / "services.py"), "start", "--only", kind]
    started = subprocess.run(command, check=True, capture_output=True, text=True)
    pairs = dict(line.split("=", 1) for line in started.stdout.splitlines() if "=" in line)
    return pairs[variable]


def database_url(kind: str, name: str) -> str:
    return make_url(service_url(kind)).set(database=name).render_as_string(hide_password=False)


def create_database(kind: str, name: str) -> None:
    _administer(kind, f"CREATE DATABASE {name}")


def drop_database(kind: str, name: str) -> None:
    force = " WITH (FORCE)" if kind == "postgres" else ""
    _administer(kind, f"DROP DATABASE IF EXISTS {name}{force}")


def _administer(kind: str, statement: str) -> None:
    connection = driver_connection(service_url(kind), autocommit=True)
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def driver_connection(url: str, *, autocommit: bool = False) -> Any:
    """A connection of the driver alone. On SQLite tuned as our own writer is."""
    parts = make_url(url)
    if parts.get_backend_name() == "postgresql":
        import psycopg

        return psycopg.connect(url, autocommit=autocommit)
    if parts.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(parts.database), isolation_level=None)
        for name, value in pragmas(DatabaseSettings(url=url), writer=True).items():
            connection.execute(f"PRAGMA {name}={value}")
        return connection
    import pymysql

    return pymysql.connect(
        host=parts.host or "127.0.0.1",
        port=parts.port or 3306,
        user=parts.username,
        password=str(parts.password or ""),
        database=parts.database or None,
        charset="utf8mb4",
        autocommit=autocommit,
    )
