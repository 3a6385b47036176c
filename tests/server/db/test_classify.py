"""Driver errors that mean "not now", "run it again", or "our mistake"."""

from __future__ import annotations

import sqlite3

import psycopg
import pymysql
import pytest
from sqlalchemy import exc

from llm_cost_ops.server.db.classify import classify
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code  # type: ignore[attr-defined]
    return error


def postgres_error(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("x")


UNAVAILABLE = [
    (sqlite_error(5), Reason.LOCKED),
    (sqlite_error(6), Reason.LOCKED),
    (sqlite_error(261), Reason.LOCKED),  # BUSY_RECOVERY
    (sqlite_error(8), Reason.READ_ONLY),
    (sqlite_error(13), Reason.FULL),
    (sqlite_error(10), Reason.IO),
    (sqlite_error(1034), Reason.IO),  # IOERR_FSYNC
    (sqlite_error(11), Reason.IO),
    (sqlite_error(14), Reason.CONNECTION),
    (postgres_error("08006"), Reason.CONNECTION),
    (postgres_error("57P01"), Reason.CONNECTION),
    (postgres_error("57P03"), Reason.CONNECTION),
    (postgres_error("53300"), Reason.CONNECTION),
    (postgres_error("57014"), Reason.TIMEOUT),
    (postgres_error("53100"), Reason.FULL),
    (postgres_error("58030"), Reason.IO),
    (postgres_error("25006"), Reason.READ_ONLY),
    (psycopg.OperationalError("server closed the connection unexpectedly"), Reason.CONNECTION),
    (psycopg.errors.ConnectionTimeout("x"), Reason.CONNECTION),
    (pymysql.OperationalError(2003, "x"), Reason.CONNECTION),
    (pymysql.OperationalError(2006, "x"), Reason.CONNECTION),
    (pymysql.OperationalError(2013, "x"), Reason.CONNECTION),
    (pymysql.OperationalError(1040, "x"), Reason.CONNECTION),
    (pymysql.InterfaceError(0, ""), Reason.CONNECTION),
    (pymysql.OperationalError(1969, "x"), Reason.TIMEOUT),
    (pymysql.OperationalError(3024, "x"), Reason.TIMEOUT),
    (pymysql.OperationalError(1021, "x"), Reason.FULL),
    (pymysql.OperationalError(1114, "x"), Reason.FULL),
    (pymysql.OperationalError(1290, "x"), Reason.READ_ONLY),
    (exc.TimeoutError(), Reason.POOL),
]
RETRY = [
    sqlite_error(517),
    postgres_error("40001"),
    postgres_error("40P01"),
    postgres_error("55P03"),
    pymysql.OperationalError(1205, "x"),
    pymysql.OperationalError(1213, "x"),
]
OURS = [
    sqlite_error(1),
    sqlite_error(19),
    sqlite3.ProgrammingError("x"),
    postgres_error("23505"),
    postgres_error("42P01"),
    psycopg.ProgrammingError("x"),
    pymysql.IntegrityError(1062, "x"),
    pymysql.ProgrammingError("x"),
    ValueError("x"),
]


def wrapped(error: BaseException) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT 1", {}, error)


@pytest.mark.parametrize(("error", "reason"), UNAVAILABLE, ids=repr)
def test_not_now(error: Exception, reason: Reason) -> None:
    for given in (error, wrapped(error)):
        if isinstance(error, exc.TimeoutError) and given is not error:
            continue
        failure = classify(given)
        assert isinstance(failure, DatabaseUnavailable)
        assert failure.reason is reason
        assert 1 <= failure.retry_after <= 2


@pytest.mark.parametrize("error", RETRY, ids=repr)
def test_run_it_again(error: Exception) -> None:
    assert isinstance(classify(error), SerializationRetry)
    assert isinstance(classify(wrapped(error)), SerializationRetry)


@pytest.mark.parametrize("error", OURS, ids=repr)
def test_our_mistake(error: Exception) -> None:
    assert classify(error) is None
    assert classify(wrapped(error)) is None


def test_a_connection_that_sqlalchemy_gave_up_is_lost() -> None:
    error = exc.DBAPIError("SELECT 1", {}, ValueError("x"), connection_invalidated=True)
    failure = classify(error)
    assert isinstance(failure, DatabaseUnavailable)
    assert failure.reason is Reason.CONNECTION


def test_messages_tell_nothing_of_the_driver() -> None:
    failure = classify(pymysql.OperationalError(2003, "can't connect to 'db.internal'"))
    assert failure is not None
    assert "internal" not in str(failure)
