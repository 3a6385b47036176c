"""Does the database answer, and does it keep what it acknowledged?

The check reads what is in force on a connection of the pool, not what the settings ask for: a
server, a role or a proxy may have another opinion.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseConfiguration
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.db.urls import DatabaseKind

MAX_PACKET_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting of the database that is not as it should be.

    `unsafe` means that an acknowledged call can be lost after a crash or a power loss.
    """

    setting: str
    value: str
    wanted: str
    consequence: str
    unsafe: bool

    def __str__(self) -> str:
        return f"{self.setting} is {self.value}, wanted {self.wanted}: {self.consequence}"


@dataclass(frozen=True, slots=True)
class _Rule:
    setting: str
    wanted: str
    accepts: Callable[[str], bool]
    consequence: str
    unsafe: bool = True


def ping_ms(database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> float:
    """Milliseconds of one question and answer. Raises `DatabaseUnavailable`."""
    started = monotonic()
    with read(database) as session:
        session.scalar(text("SELECT 1"))
    return (monotonic() - started) * 1000


def findings(database: Database) -> list[Finding]:
    """Everything that is not as it should be, the unsafe first. Raises `DatabaseUnavailable`.

    SQLite is asked through its writing connection, because PRAGMAs belong to a connection.
    """
    with write(database) as session:
        found = _check(*_EXAMINERS[database.kind](session.connection))
    return sorted(found, key=lambda finding: not finding.unsafe)


def refuse_unsafe(found: Sequence[Finding], *, production: bool, allowed: bool) -> None:
    """Raises `DatabaseConfiguration` that names every unsafe setting, in production only.

    `allowed` is the setting database.allow_unsafe_durability.
    """
    unsafe = [finding for finding in found if finding.unsafe]
    if unsafe and production and not allowed:
        named = "; ".join(map(str, unsafe))
        raise DatabaseConfiguration(
            f"The database may lose what it acknowledged: {named}. Correct it, or set "
            "database.allow_unsafe_durability if you accept that."
        )


def _check(values: Mapping[str, str], rules: Sequence[_Rule]) -> list[Finding]:
    return [
        Finding(rule.setting, values[rule.setting], rule.wanted, rule.consequence, rule.unsafe)
        for rule in rules
        if rule.setting in values and not rule.accepts(values[rule.setting])
    ]


def _one_of(*accepted: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in accepted


def _at_least(low: int) -> Callable[[str], bool]:
    return lambda value: int(value) >= low


_POWER_LOSS = "a committed call may be gone after a power loss"
_TORN_PAGE = "a power loss may leave half-written pages"
_OLD = "this version is not supported"

_SQLITE_RULES = (
    _Rule("journal_mode", "wal", _one_of("wal"), "readers and the writer block each other"),
    _Rule("synchronous", "2 (FULL)", _one_of("2", "3"), _POWER_LOSS),
    _Rule("foreign_keys", "1", _one_of("1"), "references are not checked", unsafe=False),
    _Rule("busy_timeout", "5000", _at_least(5000), "writers give up early", unsafe=False),
)


def _sqlite(connection: Connection) -> tuple[dict[str, str], Sequence[_Rule]]:
    values = {
        rule.setting: str(connection.exec_driver_sql(f"PRAGMA {rule.setting}").scalar())
        for rule in _SQLITE_RULES
    }
    return values, _SQLITE_RULES


_POSTGRESQL_RULES = (
    _Rule("fsync", "on", _one_of("on"), "a power loss may destroy the database"),
    _Rule(
        "synchronous_commit",
        "on",
        _one_of("on", "remote_apply", "remote_write", "local"),
        _POWER_LOSS,
    ),
    _Rule("full_page_writes", "on", _one_of("on"), _TORN_PAGE),
    _Rule("data_sync_retry", "off", _one_of("off"), "a failed flush may be taken for a good one"),
    _Rule("server_version_num", "130000", _at_least(130_000), _OLD, unsafe=False),
    _Rule("server_encoding", "UTF8", _one_of("utf8"), "not every text can be stored", unsafe=False),
)


def _postgresql(connection: Connection) -> tuple[dict[str, str], Sequence[_Rule]]:
    names = [rule.setting for rule in _POSTGRESQL_RULES]
    rows = connection.execute(
        text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"), {"names": names}
    )
    return {row.name: row.setting for row in rows}, _POSTGRESQL_RULES


def _is_supported(version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    least = (10, 6) if "mariadb" in version.lower() else (8, 0)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= least


_MYSQL_RULES = (
    _Rule("innodb_flush_log_at_trx_commit", "1", _one_of("1"), _POWER_LOSS),
    _Rule("innodb_doublewrite", "ON", _one_of("on", "1", "detect_and_recover", "fast"), _TORN_PAGE),
    _Rule("sync_binlog", "1", _one_of("1"), "the binary log may lose what the tables keep"),
    _Rule(
        "innodb_flush_method",
        "fsync or O_DIRECT",
        lambda value: value.lower() not in {"nosync", "littlesync"},
        _POWER_LOSS,
    ),
    _Rule(
        "binlog_format",
        "ROW or MIXED",
        _one_of("row", "mixed"),
        "READ COMMITTED cannot write a binary log of statements",
        unsafe=False,
    ),
    _Rule(
        "sql_mode",
        "STRICT_ALL_TABLES",
        lambda value: "STRICT_ALL_TABLES" in value,
        "values that do not fit are changed in silence",
    ),
    _Rule(
        "isolation",
        "READ-COMMITTED",
        _one_of("read-committed"),
        "concurrent writers wait for each other's gaps",
        unsafe=False,
    ),
    _Rule(
        "character_set_client",
        "utf8mb4",
        _one_of("utf8mb4"),
        "not every text can be stored",
        unsafe=False,
    ),
    _Rule("version", "MySQL 8.0 or MariaDB 10.6", _is_supported, _OLD, unsafe=False),
    _Rule(
        "max_allowed_packet",
        str(MAX_PACKET_BYTES),
        _at_least(MAX_PACKET_BYTES),
        "a large batch does not fit one packet",
        unsafe=False,
    ),
)


def _mysql(connection: Connection) -> tuple[dict[str, str], Sequence[_Rule]]:
    rows = connection.execute(text("SHOW VARIABLES"))
    values = {str(name).lower(): str(value) for name, value in rows}
    values["isolation"] = values.get("transaction_isolation") or values.get("tx_isolation", "")
    if values.get("log_bin", "OFF").upper() in {"OFF", "0"}:
        values.pop("sync_binlog", None)
        values.pop("binlog_format", None)
    return values, _MYSQL_RULES


_EXAMINERS: Mapping[
    DatabaseKind, Callable[[Connection], tuple[dict[str, str], Sequence[_Rule]]]
] = {
    DatabaseKind.SQLITE: _sqlite,
    DatabaseKind.POSTGRESQL: _postgresql,
    DatabaseKind.MYSQL: _mysql,
}


def server_version(database: Database) -> str:
    """Name and version of the database in use, for `cost-ops db status`."""
    if database.kind is DatabaseKind.SQLITE:
        return f"SQLite {sqlite3.sqlite_version}"
    with read(database) as session:
        version = str(session.scalar(text("SELECT version()")))
    if database.kind is DatabaseKind.POSTGRESQL:
        return " ".join(version.split()[:2])
    return f"MariaDB {version.partition('-')[0]}" if "MariaDB" in version else f"MySQL {version}"
