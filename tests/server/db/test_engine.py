"""What is in force on the connections of a pool, and how the pool treats rested ones."""

from __future__ import annotations

import logging
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, text

from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import DatabaseConfiguration, DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import ReadSession, read, write
from llm_cost_ops.server.settings import DatabaseSettings


def pragma(session: ReadSession, name: str) -> object:
    return session.connection.exec_driver_sql(f"PRAGMA {name}").scalar()


EXPECTED = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "wal_autocheckpoint": 20_000,
    "temp_store": 2,
}


def test_every_sqlite_connection_has_its_pragmas(sqlite_settings: DatabaseSettings) -> None:
    database = open_database(sqlite_settings)
    with write(database) as session:
        assert {name: pragma(session, name) for name in EXPECTED} == EXPECTED
        assert pragma(session, "cache_size") == -256 * 1024
        assert pragma(session, "query_only") == 0
    with read(database) as one, read(database) as other:
        assert one.driver is not other.driver
        for session in (one, other):
            assert {name: pragma(session, name) for name in EXPECTED} == EXPECTED
            assert pragma(session, "cache_size") == -32 * 1024
            assert pragma(session, "query_only") == 1
    database.dispose()


def test_sqlite_settings_reach_the_connection(sqlite_settings: DatabaseSettings) -> None:
    changed = replace(
        sqlite_settings,
        sqlite_synchronous="extra",
        sqlite_busy_timeout_ms=7000,
        sqlite_mmap_bytes=2**20,
        sqlite_wal_autocheckpoint_pages=500,
    )
    database = open_database(changed)
    with write(database) as session:
        assert pragma(session, "synchronous") == 3
        assert pragma(session, "busy_timeout") == 7000
        assert pragma(session, "wal_autocheckpoint") == 500
    with read(database) as session:
        assert pragma(session, "mmap_size") == 2**20
    database.dispose()


def test_a_sqlite_writer_holds_the_lock_from_the_start(sqlite_settings: DatabaseSettings) -> None:
    database = open_database(sqlite_settings)
    other = sqlite3.connect(sqlite_settings.url.removeprefix("sqlite:///"), timeout=0)
    with write(database):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE").close()
    other.rollback()
    other.close()
    database.dispose()


def test_a_mistyped_sqlite_path_makes_no_file(tmp_path: Path) -> None:
    database = open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/typo.db"))
    with pytest.raises(DatabaseUnavailable) as caught, write(database):
        pass
    assert caught.value.reason is Reason.CONNECTION
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b.db", "a?b#c%41.db", "ü.db"])
def test_sqlite_file_names_mean_themselves(tmp_path: Path, name: str) -> None:
    sqlite3.connect(tmp_path / name).close()
    database = open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/{name}"))
    with write(database) as session:
        session.execute(text("CREATE TABLE t (a)"))
    database.dispose()
    assert (tmp_path / name).stat().st_mode & stat.S_IFREG
    assert {each.name for each in tmp_path.iterdir()} == {name}


def test_postgresql_sessions_are_set_up(postgres_settings: DatabaseSettings) -> None:
    database = open_database(postgres_settings)
    wanted = {
        "statement_timeout": "4500ms",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10min",
        "TimeZone": "UTC",
        "transaction_isolation": "read committed",
        "application_name": "llm-cost-ops",
    }
    with write(database) as session:
        got = {name: session.scalar(text(f"SHOW {name}")) for name in wanted}
        assert got == wanted
        assert session.scalar(text("SHOW transaction_read_only")) == "off"
        assert session.driver.info.get_parameters()["tcp_user_timeout"] == "5000"
    with read(database) as session:
        assert session.scalar(text("SHOW transaction_read_only")) == "on"
    with write(database) as session:
        assert session.scalar(text("SHOW transaction_read_only")) == "off"
    database.dispose()


def test_mysql_sessions_are_set_up(mysql_settings: DatabaseSettings) -> None:
    database = open_database(mysql_settings)
    with write(database) as session:
        mode = session.scalar(text("SELECT @@sql_mode"))
        rest = session.execute(
            text(
                "SELECT @@tx_isolation, @@character_set_client, @@collation_connection, "
                "@@innodb_lock_wait_timeout, @@max_statement_time, @@time_zone, @@autocommit"
            )
        ).one()
    assert {"STRICT_ALL_TABLES", "NO_ENGINE_SUBSTITUTION"} <= set(mode.split(","))
    assert [str(value) for value in rest] == [
        "READ-COMMITTED", "utf8mb4", "utf8mb4_nopad_bin", "2", "4.5", "+00:00", "0",
    ]  # fmt: skip
    database.dispose()


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def driver_connection(database: Database) -> object:
    with read(database) as session:
        return session.driver


def test_a_connection_is_replaced_after_its_idle_time(server_settings: DatabaseSettings) -> None:
    time = Time()
    database = open_database(replace(server_settings, idle_timeout_seconds=60), monotonic=time)
    first = driver_connection(database)
    time.now += 59
    assert driver_connection(database) is first
    time.now += 61
    assert driver_connection(database) is not first
    database.dispose()


def test_slow_statements_are_logged_without_values(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    quick = open_database(replace(database.settings, slow_query_threshold_ms=3_600_000))
    slow = open_database(
        replace(database.settings, slow_query_threshold_ms=1), monotonic=iter_time()
    )
    with caplog.at_level(logging.WARNING, "llm_cost_ops.db"):
        for each in (quick, slow):
            with read(each) as session:
                session.scalar(text("SELECT :word"), {"word": "classified"})
            each.dispose()
    records = [r for r in caplog.records if "SELECT" in str(r.__dict__.get("statement"))]
    assert records
    assert all(record.__dict__["elapsed_ms"] >= 1 for record in records)
    assert "classified" not in caplog.text + str([r.__dict__ for r in records])


def iter_time() -> Time:
    class Hurried(Time):
        def __call__(self) -> float:
            self.now += 0.5
            return self.now

    return Hurried()


def test_a_missing_driver_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "llm_cost_ops.server.db.connect_postgresql", raising=False)
    with pytest.raises(DatabaseConfiguration, match=r"llm-cost-ops\[postgres\]"):
        open_database(DatabaseSettings(url="postgresql://h/db"))


def test_a_connection_that_is_given_back_after_the_end_is_closed(database: Database) -> None:
    with read(database) as session:
        driver = session.driver
        session.scalar(text("SELECT 1"))
        database.dispose()
        assert session.scalar(text("SELECT 1")) == 1
    errors = database.reader.dialect.loaded_dbapi.Error
    with pytest.raises(errors):
        driver.cursor().execute("SELECT 1")
    with read(database) as session:
        assert session.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize("moment", ["checkout", "connect"])
def test_what_comes_back_after_dispose_is_closed(
    database_settings: DatabaseSettings, moment: str
) -> None:
    """A thread of a server that stops has a connection, or is making one."""
    database = open_database(database_settings)
    made, closed = list[object](), list[object]()
    event.listen(database.reader, "connect", lambda connection, _: made.append(connection))
    event.listen(database.reader, "close", lambda connection, _: closed.append(connection))

    @event.listens_for(database.reader, moment)
    def stop(*_: object) -> None:
        if not closed and len(made) == 1:
            database.dispose()

    with read(database) as session:
        assert session.scalar(text("SELECT 1")) == 1
    assert len(made) == 1
    assert closed == made
    with read(database):
        assert len(made) == 2
    assert closed == made[:1]
    database.dispose()
    assert closed == made


def test_a_pool_says_nothing_of_its_days(
    sqlite_settings: DatabaseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        database = open_database(sqlite_settings)
        with read(database):
            pass
        database.dispose()
    assert caplog.messages == []
