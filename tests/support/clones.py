"""Migrated databases for tests: made once per process, then cloned or cleaned for each test.

PostgreSQL clones a template database, SQLite copies a file, and MySQL, which can do neither,
empties the tables of a database that an earlier test used.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from sqlalchemy import make_url

from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.settings import DatabaseSettings

PREFIX = "cost_ops_test"
_NAME = re.compile(rf"{PREFIX}_(\d+)_\d+")
_counter = itertools.count()


def fresh_name() -> str:
    """Holds our pid, so that a later run can drop what a killed one left behind."""
    return f"{PREFIX}_{os.getpid()}_{next(_counter)}"


def _is_orphan(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and not Path(f"/proc/{match[1]}").exists()


class SqliteClones:
    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"

    @contextlib.contextmanager
    def empty(self, folder: Path) -> Iterator[str]:
        yield f"sqlite:///{folder / 'ledger.db'}"

    @contextlib.contextmanager
    def migrated(self, folder: Path) -> Iterator[str]:
        if not self._template.exists():
            # closing the last connection copies the log into the file, so one file is the whole
            Migrations().upgrade(DatabaseSettings(url=f"sqlite:///{self._template}"))
        shutil.copyfile(self._template, folder / "ledger.db")
        yield f"sqlite:///{folder / 'ledger.db'}"

    def close(self) -> None:
        pass


class PostgresClones:
    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url)
        self._admin = psycopg.connect(server_url, autocommit=True)
        self._template: str | None = None
        for (name,) in self._admin.execute("SELECT datname FROM pg_database").fetchall():
            if _is_orphan(name):
                self._drop(name)

    @contextlib.contextmanager
    def empty(self, _folder: Path) -> Iterator[str]:
        with self._created("template0") as url:
            yield url

    @contextlib.contextmanager
    def migrated(self, _folder: Path) -> Iterator[str]:
        if self._template is None:
            name = fresh_name()
            self._create(name, "template0")
            Migrations().upgrade(DatabaseSettings(url=self._url(name)))
            self._template = name
        with self._created(self._template) as url:
            yield url

    @contextlib.contextmanager
    def _created(self, template: str) -> Iterator[str]:
        name = fresh_name()
        self._create(name, template)
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    def _create(self, name: str, template: str) -> None:
        for attempt in range(20):
            try:
                self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
            except psycopg.errors.ObjectInUse:  # autovacuum looks at the template
                time.sleep(0.05 * (attempt + 1))
            else:
                return
        raise AssertionError(f"{template} stayed in use")

    def _drop(self, name: str) -> None:
        self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        if self._template is not None:
            self._drop(self._template)
        self._admin.close()


class MysqlClones:
    def __init__(self, server_url: str) -> None:
        self._server = make_url(server_url)
        self._admin: Any = pymysql.connect(
            host=self._server.host or "",
            port=self._server.port or 3306,
            user=self._server.username,
            password=str(self._server.password or ""),
            autocommit=True,
        )
        self._free: list[str] = []
        self._tables: dict[str, list[tuple[Any, ...]]] = {}
        for (name,) in self._ask("SHOW DATABASES"):
            if _is_orphan(name):
                self._run(f"DROP DATABASE `{name}`")

    @contextlib.contextmanager
    def empty(self, _folder: Path) -> Iterator[str]:
        name = fresh_name()
        self._run(f"CREATE DATABASE `{name}`")
        try:
            yield self._url(name)
        finally:
            self._hang_up(name)
            self._run(f"DROP DATABASE `{name}`")

    @contextlib.contextmanager
    def migrated(self, _folder: Path) -> Iterator[str]:
        name = self._free.pop() if self._free else self._new()
        try:
            yield self._url(name)
        finally:
            self._hang_up(name)
            if set(self._base_tables(name)) == set(self._tables):
                self._clean(name)
                self._free.append(name)
            else:  # the test changed the schema
                self._run(f"DROP DATABASE `{name}`")

    def _new(self) -> str:
        name = fresh_name()
        self._run(f"CREATE DATABASE `{name}`")
        Migrations().upgrade(DatabaseSettings(url=self._url(name)))
        self._tables = {
            table: list(self._ask(f"SELECT * FROM `{name}`.`{table}`"))
            for table in self._base_tables(name)
        }
        return name

    def _clean(self, name: str) -> None:
        self._run("SET FOREIGN_KEY_CHECKS = 0")
        for table, rows in self._tables.items():
            self._run(f"DELETE FROM `{name}`.`{table}`")
            for row in rows:
                marks = ", ".join(["%s"] * len(row))
                self._run(f"INSERT INTO `{name}`.`{table}` VALUES ({marks})", row)
        self._run("SET FOREIGN_KEY_CHECKS = 1")

    def _hang_up(self, name: str) -> None:
        """End sessions that the test left open; their locks would stop the cleaning."""
        sessions = "SELECT id FROM information_schema.processlist WHERE db = %s"
        for (session,) in self._ask(sessions, (name,)):
            with contextlib.suppress(pymysql.MySQLError):  # it may have ended by itself
                self._run(f"KILL {session}")

    def _base_tables(self, name: str) -> list[str]:
        listed = self._ask(f"SHOW FULL TABLES FROM `{name}` WHERE Table_type = 'BASE TABLE'")
        return [row[0] for row in listed]

    def _ask(self, statement: str, values: tuple[Any, ...] = ()) -> tuple[tuple[Any, ...], ...]:
        with self._admin.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        with self._admin.cursor() as cursor:
            cursor.execute(statement, values)

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        for name in self._free:
            self._run(f"DROP DATABASE `{name}`")
        self._admin.close()


Clones = SqliteClones | PostgresClones | MysqlClones
