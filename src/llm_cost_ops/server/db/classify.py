"""Which driver errors mean "not now", which mean "run it again", and which are our own mistakes.

Codes are those of the SQLite result codes, PostgreSQL appendix A and the MySQL and MariaDB server
and client error references. Anything not listed is a defect of a statement and stays as it is.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import exc

from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry

Failure = DatabaseUnavailable | SerializationRetry

_SQLITE_PRIMARY = {
    5: Reason.LOCKED,  # BUSY: busy_timeout has already been waited out
    6: Reason.LOCKED,  # LOCKED
    7: Reason.IO,  # NOMEM
    8: Reason.READ_ONLY,
    9: Reason.TIMEOUT,  # INTERRUPT
    10: Reason.IO,  # IOERR
    11: Reason.IO,  # CORRUPT
    13: Reason.FULL,
    14: Reason.CONNECTION,  # CANTOPEN
    15: Reason.LOCKED,  # PROTOCOL: the WAL locks were contended for seconds
    22: Reason.IO,  # NOLFS
    23: Reason.READ_ONLY,  # AUTH
    26: Reason.IO,  # NOTADB
}
_SQLITE_BUSY_SNAPSHOT = 517

_POSTGRESQL_RETRY = frozenset({"40001", "40P01", "55P03"})
_POSTGRESQL = {
    "57014": Reason.TIMEOUT,  # query_canceled, which statement_timeout raises
    "57P01": Reason.CONNECTION,  # admin_shutdown
    "57P02": Reason.CONNECTION,  # crash_shutdown
    "57P03": Reason.CONNECTION,  # cannot_connect_now
    "57P05": Reason.CONNECTION,  # idle_session_timeout
    "25P03": Reason.CONNECTION,  # idle_in_transaction_session_timeout
    "53100": Reason.FULL,
    "53200": Reason.IO,  # out_of_memory
    "53300": Reason.CONNECTION,  # too_many_connections
    "58030": Reason.IO,
    "58P01": Reason.IO,
    "XX001": Reason.IO,  # data_corrupted
    "XX002": Reason.IO,  # index_corrupted
    "25006": Reason.READ_ONLY,
}
_POSTGRESQL_CLASSES = {"08": Reason.CONNECTION, "28": Reason.CONNECTION, "3D": Reason.CONNECTION}

_MYSQL_RETRY = frozenset({1020, 1205, 1213, 3572})
_MYSQL = {
    0: Reason.CONNECTION,  # PyMySQL: the connection was closed
    3: Reason.FULL,  # EE_WRITE
    1021: Reason.FULL,
    1026: Reason.IO,
    1030: Reason.IO,
    1040: Reason.CONNECTION,  # too many connections
    1044: Reason.CONNECTION,
    1045: Reason.CONNECTION,
    1049: Reason.CONNECTION,
    1053: Reason.CONNECTION,  # shutdown in progress
    1114: Reason.FULL,
    1129: Reason.CONNECTION,
    1159: Reason.CONNECTION,
    1161: Reason.CONNECTION,
    1203: Reason.CONNECTION,
    1290: Reason.READ_ONLY,
    1317: Reason.TIMEOUT,
    1792: Reason.READ_ONLY,
    1836: Reason.READ_ONLY,
    1927: Reason.CONNECTION,
    1969: Reason.TIMEOUT,  # MariaDB max_statement_time
    3024: Reason.TIMEOUT,  # MySQL max_execution_time
    4031: Reason.CONNECTION,
}
_MYSQL_CLIENT = range(2000, 2100)


def classify(error: BaseException) -> Failure | None:
    """Our word for a driver's or SQLAlchemy's error; None when it is not about availability."""
    if isinstance(error, (DatabaseUnavailable, SerializationRetry)):
        return error
    if isinstance(error, exc.TimeoutError):
        return DatabaseUnavailable(Reason.POOL)
    if isinstance(error, exc.DBAPIError):
        found = _driver(error.orig) if error.orig is not None else None
        if found is None and error.connection_invalidated:
            return DatabaseUnavailable(Reason.CONNECTION)
        return found
    return _driver(error)


def _driver(error: BaseException) -> Failure | None:
    if isinstance(error, sqlite3.Error):
        return _sqlite(error)
    origin = type(error).__module__.partition(".")[0]
    if origin == "psycopg":
        return _postgresql(error)
    if origin == "pymysql":
        return _mysql(error)
    return None


def _sqlite(error: sqlite3.Error) -> Failure | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code == _SQLITE_BUSY_SNAPSHOT:
        return SerializationRetry()
    reason = _SQLITE_PRIMARY.get(code & 0xFF)
    return DatabaseUnavailable(reason) if reason else None


def _postgresql(error: Any) -> Failure | None:
    state: str | None = getattr(error, "sqlstate", None)
    kind = type(error).__name__
    if state is None:
        # psycopg gives no SQLSTATE when the server could not send one: not reached, or lost
        lost = kind in {"OperationalError", "InterfaceError", "ConnectionTimeout"}
        return DatabaseUnavailable(Reason.CONNECTION) if lost else None
    if state in _POSTGRESQL_RETRY:
        return SerializationRetry()
    reason = _POSTGRESQL.get(state) or _POSTGRESQL_CLASSES.get(state[:2])
    return DatabaseUnavailable(reason) if reason else None


def _mysql(error: BaseException) -> Failure | None:
    code = error.args[0] if error.args else None
    if not isinstance(code, int):
        return None
    if code in _MYSQL_RETRY:
        return SerializationRetry()
    if code in _MYSQL_CLIENT:
        return DatabaseUnavailable(Reason.CONNECTION)
    reason = _MYSQL.get(code)
    return DatabaseUnavailable(reason) if reason else None
