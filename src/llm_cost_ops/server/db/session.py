"""The edge of every transaction: the only place that commits.

`read` and `write` give sessions of different types, so that the type checker knows who may write.
A function that only reads takes a `ReadSession`, which a `WriteSession` also is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Select

from llm_cost_ops.server.db.classify import Failure, classify
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.db.waits import answer_seconds

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

RETRY_ATTEMPTS = 5
RETRY_BASE_SECONDS = 0.02
_SYSTEM_RANDOM = random.SystemRandom()
_SPENT = frozenset({Reason.CONNECTION, Reason.IO})
"""After these a connection is closed for good: its state, or the disk's, is not known."""

_READ: Mapping[DatabaseKind, dict[str, Any]] = {
    DatabaseKind.SQLITE: {},
    DatabaseKind.POSTGRESQL: {"postgresql_readonly": True},
    DatabaseKind.MYSQL: {},
}
_SNAPSHOT: Mapping[DatabaseKind, dict[str, Any]] = {
    DatabaseKind.SQLITE: {},
    DatabaseKind.POSTGRESQL: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    DatabaseKind.MYSQL: {"isolation_level": "REPEATABLE READ"},
}


class ReadSession:
    """One transaction that reads."""

    __slots__ = ("connection", "kind")

    def __init__(self, connection: Connection, kind: DatabaseKind) -> None:
        self.connection = connection
        self.kind = kind

    def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        return self.connection.execute(statement, parameters)

    def scalar(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        return self.connection.scalar(statement, parameters)

    def rows(self, statement: Select[*tuple[Any, ...]]) -> Sequence[Sequence[Any]]:
        """All rows, as the driver made them where SQLAlchemy would convert nothing: its own rows
        cost a sixth of the time that reading many takes."""
        result: Any = self.connection.execute(statement)
        dialect = self.connection.dialect
        types = (column.type.dialect_impl(dialect) for column in statement.selected_columns)
        if any(each.result_processor(dialect, None) for each in types):
            return result.all()
        try:
            return result.cursor.fetchall()
        finally:
            result.close()

    @property
    def driver(self) -> Any:
        """The driver's own connection, for paths too hot for SQLAlchemy. Never commit on it."""
        return self.connection.connection.driver_connection


class WriteSession(ReadSession):
    """One transaction that may write; committed when its `with` block ends without an error."""

    __slots__ = ("announced", "endings")

    def __init__(self, connection: Connection, kind: DatabaseKind) -> None:
        super().__init__(connection, kind)
        self.announced = False
        self.endings: dict[str, Callable[[WriteSession], None]] = {}
        """What is done last before the commit, by name: for rows that everybody writes to, so that
        they are held as short as can be and after everything else."""

    def announce(self) -> None:
        """Ring the database's bell when this transaction has committed."""
        self.announced = True


@contextmanager
def read(database: Database) -> Generator[ReadSession]:
    """A transaction that cannot write; each statement sees what is committed when it begins.

    On SQLite the whole transaction sees one state. Raises `DatabaseUnavailable`.
    """
    with _transaction(database, database.reader, _READ[database.kind]) as connection:
        if database.kind is DatabaseKind.MYSQL:
            connection.exec_driver_sql("START TRANSACTION READ ONLY")
        yield ReadSession(connection, database.kind)


@contextmanager
def snapshot(database: Database) -> Generator[ReadSession]:
    """Like `read`, but all its statements see one state of the database."""
    with _transaction(database, database.reader, _SNAPSHOT[database.kind]) as connection:
        if database.kind is DatabaseKind.MYSQL:
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield ReadSession(connection, database.kind)


@contextmanager
def report(database: Database) -> Generator[ReadSession]:
    """Like `snapshot`, for sums over many calls: a statement may take `report_timeout_ms`."""
    with snapshot(database) as session:
        with _patience(session, database.settings.report_timeout_ms):
            yield session


@contextmanager
def _patience(session: ReadSession, statement_ms: int) -> Generator[None]:
    # The first statement is still bounded as usual: it finds out whether the server answers.
    with ExitStack() as patience:
        if session.kind is DatabaseKind.POSTGRESQL:  # forgotten at the end of the transaction
            session.connection.exec_driver_sql(f"SET LOCAL statement_timeout = {statement_ms}")
        elif session.kind is DatabaseKind.MYSQL:
            patience.enter_context(session.driver.statements_within(statement_ms))
        if session.kind is not DatabaseKind.SQLITE:
            seconds = answer_seconds(statement_ms)
            patience.enter_context(session.driver.answering_within(seconds))
        yield


@contextmanager
def write(database: Database) -> Generator[WriteSession]:
    """A transaction that commits at the end of the block and rolls back on any error.

    Raises `DatabaseUnavailable` (nothing was written unless `outcome_unknown`) and
    `SerializationRetry` (run the block again, as `write_retrying` does).
    """
    with _transaction(database, database.writer, {}, commit=True) as connection:
        session = WriteSession(connection, database.kind)
        yield session
        while session.endings:  # each once, also one that another of them asked for
            session.endings.pop(next(iter(session.endings)))(session)
    if session.announced:
        database.bell.ring()


def write_retrying(
    database: Database,
    work: Callable[[WriteSession], T],
    *,
    sleep: Callable[[float], object] = time.sleep,
    jitter: Callable[[], float] = _SYSTEM_RANDOM.random,
    attempts: int = RETRY_ATTEMPTS,
) -> T:
    """`work` in a `write`, run again after a deadlock or serialization failure, then its result.

    Waits double from 20 ms and are scaled by `jitter()` in [0, 1) so that two losers do not meet
    again. `work` must not have effects outside the database. The last failure is raised.
    """
    for attempt in range(1, attempts + 1):
        try:
            with write(database) as session:
                return work(session)
        except SerializationRetry:
            if attempt == attempts:
                raise
            sleep(RETRY_BASE_SECONDS * 2 ** (attempt - 1) * (0.5 + jitter()))
    raise AssertionError("attempts must be positive")


@contextmanager
def _transaction(
    database: Database, engine: Engine, options: Mapping[str, Any], *, commit: bool = False
) -> Generator[Connection]:
    connection = _connect(database, engine, options)
    committing = False
    try:
        yield connection
        if commit:
            committing = True
            connection.commit()
        else:
            connection.rollback()
    except BaseException as error:
        failure = classify(error)
        if failure is None or failure is error or (not commit and _is_write_refused(failure)):
            _roll_back(connection)
            raise
        raise _given_up(connection, failure, committing=committing) from error
    finally:
        connection.close()


def _is_write_refused(failure: Failure) -> bool:
    """In a read session this is our own mistake and not a replica's answer."""
    return isinstance(failure, DatabaseUnavailable) and failure.reason is Reason.READ_ONLY


def _connect(database: Database, engine: Engine, options: Mapping[str, Any]) -> Connection:
    """A connection with its transaction begun; failure to get one opens the circuit."""
    database.circuit.admit()
    connection: Connection | None = None
    try:
        connection = engine.connect().execution_options(**options)
        connection.begin()
    except BaseException as error:
        if connection is not None:
            connection.close()
        failure = classify(error)
        if isinstance(failure, DatabaseUnavailable) and failure.reason is Reason.CONNECTION:
            database.circuit.failed()
        else:
            database.circuit.connected()
        if failure is None:
            raise
        raise failure from error
    database.circuit.connected()
    return connection


def _roll_back(connection: Connection) -> None:
    try:
        connection.rollback()
    except Exception:  # the error under way is the one to tell; this connection is done for
        connection.invalidate()


def _given_up(connection: Connection, failure: Failure, *, committing: bool) -> Failure:
    if isinstance(failure, DatabaseUnavailable) and failure.reason in _SPENT:
        # SQLite: after a failed fsync the page cache may hold what the disk does not, so the file
        # is opened anew; the fsync is never tried again on the same connection.
        connection.invalidate()
        return DatabaseUnavailable(failure.reason, outcome_unknown=committing)
    _roll_back(connection)
    return failure
