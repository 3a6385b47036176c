"""MySQL and MariaDB connections through PyMySQL, in the mode that the other databases have.

READ COMMITTED, strict SQL mode, utf8mb4 compared byte by byte: the server's defaults differ.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pymysql.connections import Connection as PyMySQLConnection
from pymysql.err import Error as MySQLError
from sqlalchemy import URL, Engine, create_engine, event

from llm_cost_ops.server.db.dialects.strings import unpadded_collation
from llm_cost_ops.server.db.pool import ClosingPool
from llm_cost_ops.server.db.waits import Waits
from llm_cost_ops.server.settings import DatabaseSettings

SQL_MODE = (
    "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "NO_ENGINE_SUBSTITUTION"
)


if TYPE_CHECKING:  # generic in its type stubs only
    _Connection = PyMySQLConnection[Any]
else:
    _Connection = PyMySQLConnection


class TimedConnection(_Connection):
    """A connection whose patience with the server can be shortened for a ping, and made longer,
    with the server's own, for a report."""

    usual_statement_ms = 0
    _read_timeout: float | None
    _sock: socket.socket | None

    @contextmanager
    def answering_within(self, seconds: float) -> Generator[None]:
        usual, self._read_timeout = self._read_timeout, seconds
        try:
            yield
        finally:
            self._read_timeout = usual

    @contextmanager
    def statements_within(self, statement_ms: int) -> Generator[None]:
        """The server's limit of a statement, until the end of the block."""
        self._limit_statements(statement_ms)
        try:
            yield
        finally:
            try:
                self._limit_statements(self.usual_statement_ms)
            except MySQLError:  # mostly broken already; nobody else may get it with this limit
                if self.open:
                    self.close()

    def _limit_statements(self, statement_ms: int) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"SET SESSION {statement_limit(server_version(self), statement_ms)}")

    def wait_for_answers(self, seconds: float | None) -> None:
        self._read_timeout = seconds

    def keep_alive(self) -> None:
        """Probe an idle peer after seconds; the system's default is two hours."""
        if self._sock is not None and self._sock.family != socket.AF_UNIX:
            for option, value in (
                (socket.TCP_KEEPIDLE, 5),
                (socket.TCP_KEEPINTVL, 2),
                (socket.TCP_KEEPCNT, 3),
            ):
                self._sock.setsockopt(socket.IPPROTO_TCP, option, value)


def mysql_engine(url: URL, settings: DatabaseSettings, waits: Waits) -> Engine:
    engine = create_engine(
        url,
        poolclass=ClosingPool,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout_seconds,
        pool_recycle=settings.pool_recycle_seconds,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        echo=settings.echo,
        connect_args=connect_arguments(settings, waits),
    )

    def do_connect(
        _dialect: object, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> TimedConnection:
        connection = TimedConnection(*arguments, **options)
        connection.wait_for_answers(waits.answer_seconds)
        connection.usual_statement_ms = waits.statement_ms
        return connection

    def on_connect(connection: TimedConnection, _record: object) -> None:
        connection.keep_alive()
        with connection.cursor() as cursor:
            cursor.execute(session_settings(server_version(connection), waits))

    event.listen(engine, "do_connect", do_connect)
    event.listen(engine, "connect", on_connect)
    return engine


def server_version(connection: PyMySQLConnection[Any]) -> str:
    """The version text of the handshake, such as `10.11.19-MariaDB-0+deb12u1`."""
    return str(cast("Any", connection).get_server_info())


def connect_arguments(settings: DatabaseSettings, waits: Waits) -> dict[str, Any]:
    return {
        "connect_timeout": settings.connect_timeout_seconds,
        "read_timeout": settings.connect_timeout_seconds,  # until the login is done
        "write_timeout": waits.answer_seconds,
        "charset": "utf8mb4",
        "autocommit": False,
        "local_infile": False,
    }


def session_settings(server: str, waits: Waits) -> str:
    """`server` is the version text of the handshake."""
    collation = unpadded_collation(mariadb=is_mariadb(server))
    return (
        f"SET SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', "
        f"collation_connection = {collation}, "
        f"innodb_lock_wait_timeout = {max(1, math.ceil(waits.lock_ms / 1000))}, "
        f"{statement_limit(server, waits.statement_ms)}"
    )


def statement_limit(server: str, statement_ms: int) -> str:
    """The assignment of the limit, which has two names and two units."""
    if is_mariadb(server):
        return f"max_statement_time = {statement_ms / 1000:.3f}"
    return f"max_execution_time = {statement_ms}"


def is_mariadb(server: str) -> bool:
    return "mariadb" in server.lower()
