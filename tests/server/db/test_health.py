"""The check of what the database really does with what it acknowledged."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import DatabaseConfiguration, DatabaseUnavailable
from llm_cost_ops.server.db.health import (
    Finding,
    findings,
    ping_ms,
    refuse_unsafe,
    server_version,
)
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.faultproxy import FaultProxy, within
from tests.support.services import MYSQL, start_services, stop_services


def test_a_database_as_we_set_it_up_has_no_unsafe_finding(database: Database) -> None:
    assert [str(finding) for finding in findings(database) if finding.unsafe] == []


def test_ping_takes_a_moment(database: Database) -> None:
    assert 0 < ping_ms(database) < 2000


def test_version_names_the_product(database: Database) -> None:
    name, number = server_version(database).split()
    assert name in {"SQLite", "PostgreSQL", "MariaDB"}
    assert int(number.partition(".")[0]) >= 3


def unsafe_settings(database: Database) -> dict[str, str]:
    return {finding.setting: finding.value for finding in findings(database) if finding.unsafe}


def test_sqlite_normal_is_unsafe(sqlite_settings: DatabaseSettings) -> None:
    database = open_database(replace(sqlite_settings, sqlite_synchronous="normal"))
    assert unsafe_settings(database) == {"synchronous": "1"}
    database.dispose()


def test_sqlite_impatient_writer_is_a_finding_but_not_unsafe(
    sqlite_settings: DatabaseSettings,
) -> None:
    database = open_database(replace(sqlite_settings, sqlite_busy_timeout_ms=10))
    assert [(each.setting, each.unsafe) for each in findings(database)] == [("busy_timeout", False)]
    database.dispose()


def test_postgresql_role_that_does_not_wait_for_the_disk_is_unsafe(
    postgres_settings: DatabaseSettings,
) -> None:
    database = open_database(postgres_settings)
    name = database.writer.url.database
    with write(database) as session:
        session.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    database.dispose()
    assert unsafe_settings(database) == {"synchronous_commit": "off"}
    database.dispose()


@pytest.fixture
def own_mysql() -> Iterator[DatabaseSettings]:
    """A server whose global settings a test may change."""
    folder = Path(tempfile.mkdtemp(prefix="cost-ops-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        url = start_services("mysql", directory=folder)[MYSQL]
        yield DatabaseSettings(url=f"{url}mysql")
    finally:
        stop_services(folder)
        shutil.rmtree(folder)


@pytest.mark.mysql
def test_mysql_that_flushes_once_a_second_is_unsafe(own_mysql: DatabaseSettings) -> None:
    database = open_database(own_mysql)
    assert unsafe_settings(database) == {}
    with write(database) as session:
        session.execute(text("SET GLOBAL innodb_flush_log_at_trx_commit = 2"))
        session.execute(text("SET GLOBAL max_allowed_packet = 1048576"))
    database.dispose()
    assert [(each.setting, each.unsafe) for each in findings(database)] == [
        ("innodb_flush_log_at_trx_commit", True),
        ("max_allowed_packet", False),
    ]
    database.dispose()


UNSAFE = Finding("fsync", "off", "on", "a power loss may destroy the database", unsafe=True)
HARMLESS = Finding("busy_timeout", "10", "5000", "writers give up early", unsafe=False)


def test_production_refuses_unsafe_databases_by_name() -> None:
    with pytest.raises(DatabaseConfiguration, match="fsync is off, wanted on") as caught:
        refuse_unsafe([HARMLESS, UNSAFE], production=True, allowed=False)
    assert "busy_timeout" not in str(caught.value)


@pytest.mark.parametrize(
    ("found", "production", "allowed"),
    [
        ([HARMLESS], True, False),
        ([UNSAFE], False, False),
        ([UNSAFE], True, True),
        ([], True, False),
    ],
)
def test_others_may_start(found: list[Finding], production: bool, allowed: bool) -> None:
    refuse_unsafe(found, production=production, allowed=allowed)


def test_ping_of_a_database_that_is_down(server_settings: DatabaseSettings) -> None:
    with FaultProxy.to(server_settings.url) as proxy:
        database = open_database(replace(server_settings, url=proxy.url))
        ping_ms(database)
        proxy.down()
        with within(2), pytest.raises(DatabaseUnavailable):
            ping_ms(database)
        database.dispose()
