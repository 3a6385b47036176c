"""Migrated databases for tests: made once per process, then cloned or cleaned for each test.

SQLite copies a file. PostgreSQL and MySQL empty the tables of a database that an earlier test used:
to copy a template of a hundred tables takes PostgreSQL most of a second, and MySQL cannot.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
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
        self._free: list[str] = []
        self._shape = ""
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        for (name,) in self._admin.execute("SELECT datname FROM pg_database").fetchall():
            if _is_orphan(name):
                self._drop(name)

    @contextlib.contextmanager
    def empty(self, _folder: Path) -> Iterator[str]:
        name = self._created()
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    @contextlib.contextmanager
    def migrated(self, _folder: Path) -> Iterator[str]:
        name = self._free.pop() if self._free else self._new()
        try:
            yield self._url(name)
        finally:
            if self._clean(name):
                self._free.append(name)
            else:
                self._drop(name)

    def _created(self) -> str:
        name = fresh_name()
        self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        return name

    def _new(self) -> str:
        name = self._created()
        Migrations().upgrade(DatabaseSettings(url=self._url(name)))
        with self._connected(name) as session:
            self._shape = _postgres_shape(session)
            self._rows = {
                table: session.execute(f"SELECT * FROM {table}".encode()).fetchall()
                for table in _postgres_tables(session)
            }
        return name

    def _clean(self, name: str) -> bool:
        """Put back the rows that the migrations make; False where a test changed the schema."""
        self._hang_up(name)
        with self._connected(name) as session, session.transaction():
            if _postgres_shape(session) != self._shape:
                return False
            session.execute("SET LOCAL session_replication_role = replica")  # no triggers
            used = " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in self._rows
            )
            for (table,) in session.execute(used.encode()).fetchall():
                session.execute(f"DELETE FROM {table}".encode())
            for table, rows in self._rows.items():
                for row in rows:
                    marks = ", ".join(["%s"] * len(row))
                    session.execute(f"INSERT INTO {table} VALUES ({marks})".encode(), row)
        return True

    def _hang_up(self, name: str) -> None:
        """End sessions that the test left open; their locks would stop the cleaning."""
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        self._admin.execute(ended, (name,))

    def _connected(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self._url(name), autocommit=True)

    def _drop(self, name: str) -> None:
        self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        for name in self._free:
            self._drop(name)
        self._admin.close()


def _postgres_tables(session: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
    named = """
        SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
    return [name for (name,) in session.execute(named).fetchall()]


def _postgres_shape(session: psycopg.Connection[tuple[Any, ...]]) -> str:
    """A digest of relations, columns, constraints, triggers, functions and the database's settings,
    which all say what a test must find."""
    found = session.execute(
        """
        WITH own AS (
            SELECT c.oid, format('%s.%s.%s', n.nspname, c.relname, c.relkind) AS name
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        ), facts(fact) AS (
            SELECT name FROM own
            UNION ALL
            SELECT format('%s.%s.%s.%s', name, attname, atttypid, attnotnull)
            FROM pg_attribute JOIN own ON own.oid = attrelid WHERE attnum > 0
            UNION ALL SELECT conname FROM pg_constraint JOIN own ON own.oid = conrelid
            UNION ALL
            SELECT format('%s.%s', tgname, tgenabled) FROM pg_trigger JOIN own ON own.oid = tgrelid
            WHERE NOT tgisinternal
            UNION ALL
            SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
            WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
            UNION ALL
            SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
            WHERE d.datname = current_database()
        )
        SELECT md5(string_agg(fact, ';' ORDER BY fact)) FROM facts"""
    ).fetchone()
    assert found is not None
    return str(found[0])


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
                self._run(f"DROP DATABASE IF EXISTS `{name}`")

    @contextlib.contextmanager
    def empty(self, _folder: Path) -> Iterator[str]:
        name = fresh_name()
        self._run(f"CREATE DATABASE `{name}`")
        try:
            yield self._url(name)
        finally:
            self._hang_up(name)
            self._run(f"DROP DATABASE IF EXISTS `{name}`")

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
                self._run(f"DROP DATABASE IF EXISTS `{name}`")

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
        used = " UNION ALL ".join(
            f"SELECT '{table}' FROM DUAL WHERE EXISTS (SELECT 1 FROM `{name}`.`{table}`)"
            for table in self._tables
        )
        self._run("START TRANSACTION")
        for (table,) in self._ask(used):
            self._run(f"DELETE FROM `{name}`.`{table}`")
        for table, rows in self._tables.items():
            for row in rows:
                marks = ", ".join(["%s"] * len(row))
                self._run(f"INSERT INTO `{name}`.`{table}` VALUES ({marks})", row)
        self._run("COMMIT")
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
            self._run(f"DROP DATABASE IF EXISTS `{name}`")
        self._admin.close()


Clones = SqliteClones | PostgresClones | MysqlClones
