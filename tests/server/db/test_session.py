"""Transactions: who may write, what commits, what rolls back, what is run again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import exc, select, text

from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.engine import Database, open_database, open_maintenance_database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason, SerializationRetry
from llm_cost_ops.server.db.session import (
    RETRY_ATTEMPTS,
    ReadSession,
    WriteSession,
    read,
    report,
    snapshot,
    write,
    write_retrying,
)
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.identity.tables import organizations
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.factories import make_call, record_calls

Sessions = Callable[[Database], AbstractContextManager[ReadSession]]
INSERT = text("INSERT INTO organizations (id, name, slug, created_at) VALUES (:id, :id, :id, 1)")
COUNT = text("SELECT count(*) FROM organizations")
RENAME = text("UPDATE organizations SET name = :name WHERE id = :id")


def insert(session: WriteSession, *ids: str) -> None:
    for each in ids:
        session.execute(INSERT, {"id": each})


def count(session: ReadSession) -> int:
    return int(session.scalar(COUNT))


def test_write_commits_and_read_sees_it(database: Database) -> None:
    with write(database) as session:
        insert(session, "a", "b")
        assert count(session) == 2
    with read(database) as session:
        assert count(session) == 2


def test_rows_are_those_of_execute_whatever_makes_them(database: Database) -> None:
    record_calls(database, [make_call("2026-10-05T12:00:00Z", "1.5", tags=["a"])])
    columns = [usage_records.c[name] for name in ("id", "timestamp", "cost_e10", "tags")]
    for chosen in (columns, columns[:3]):  # tags are converted on PostgreSQL
        statement = select(*chosen)
        with read(database) as session:
            found = session.rows(statement)
            assert [tuple(row) for row in found] == [*map(tuple, session.execute(statement))]
            assert found[0][2] == 15_000_000_000


def test_rows_that_are_interrupted_are_an_outage(sqlite_settings: DatabaseSettings) -> None:
    database = open_database(sqlite_settings)
    record_calls(database, [make_call() for _ in range(500)])
    interrupted: list[int] = []

    def interrupt() -> int:
        interrupted.append(1)
        return len(interrupted) > 5  # the statement is under way

    def interrupted_rows() -> None:
        with read(database) as session:
            session.driver.set_progress_handler(interrupt, 100)
            try:
                session.rows(select(usage_records.c.id, usage_records.c.cost_e10))
            finally:
                session.driver.set_progress_handler(None, 0)

    with pytest.raises(DatabaseUnavailable) as caught:
        interrupted_rows()
    assert caught.value.reason is Reason.TIMEOUT
    database.dispose()


def test_write_rolls_back_on_any_error(database: Database) -> None:
    def fail() -> None:
        with write(database) as session:
            insert(session, "a")
            raise LookupError("of ours")

    with pytest.raises(LookupError, match="of ours"):
        fail()
    with read(database) as session:
        assert count(session) == 0
    with write(database) as session:
        insert(session, "a")


def test_a_mistake_in_a_statement_is_not_an_outage(database: Database) -> None:
    def twice() -> None:
        with write(database) as session:
            insert(session, "a", "a")

    with pytest.raises(exc.IntegrityError) as caught:
        twice()
    assert "hidden" in str(caught.value), "values must not reach a log"
    assert not database.circuit.is_open


def test_read_cannot_write(database: Database) -> None:
    def try_to() -> None:
        with read(database) as session:
            session.execute(INSERT, {"id": "a"})

    with pytest.raises(exc.DBAPIError, match=r"(?i)read.?only"):
        try_to()
    with read(database) as session:
        assert count(session) == 0


def test_the_raw_connection_is_part_of_the_transaction(database: Database) -> None:
    def fail() -> None:
        with write(database) as session:
            cursor = session.driver.cursor()
            cursor.execute(
                "INSERT INTO organizations (id, name, slug, created_at) VALUES ('a', 'a', 'a', 1)"
            )
            assert count(session) == 1
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with read(database) as session:
        assert count(session) == 0


def test_a_snapshot_sees_one_state(database: Database) -> None:
    with snapshot(database) as before:
        assert count(before) == 0
        with write(database) as session:
            insert(session, "a")
        assert count(before) == 0
    with snapshot(database) as after:
        assert count(after) == 1


def test_read_sees_what_others_commit_between_statements(database: Database) -> None:
    with read(database) as session:
        first = count(session)
        with write(database) as writer:
            insert(writer, "a")
        second = count(session)
    assert (first, second) == ((0, 0) if database.kind == "sqlite" else (0, 1))


def test_isolation_is_back_to_read_committed_after_a_snapshot(database: Database) -> None:
    with snapshot(database) as session:
        count(session)
    with write(database) as session:
        insert(session, "a")
    pooled = [database.reader.connect() for _ in range(2)]
    levels = {connection.get_isolation_level() for connection in pooled}
    for connection in pooled:
        connection.close()
    assert levels == ({"SERIALIZABLE"} if database.kind == "sqlite" else {"READ COMMITTED"})


def concurrent(*calls: Any) -> list[BaseException | None]:
    """Each call in its own thread; what each raised."""
    raised: list[BaseException | None] = [None] * len(calls)

    def run(index: int) -> None:
        try:
            calls[index]()
        except BaseException as error:
            raised[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_a_deadlock_is_run_again_until_both_are_done(database: Database) -> None:
    with write(database) as session:
        insert(session, "a", "b")
    meeting = threading.Barrier(2)
    attempts: list[str] = []
    waits: list[float] = []

    def rename(first: str, second: str) -> None:
        def work(session: WriteSession) -> None:
            attempts.append(first)
            session.execute(RENAME, {"id": first, "name": f"by {first}"})
            if len(attempts) <= 2 and database.kind != "sqlite":
                meeting.wait(timeout=10)  # both hold one row and want the other's
            session.execute(RENAME, {"id": second, "name": f"by {first}"})

        write_retrying(database, work, sleep=waits.append, jitter=lambda: 0.5)

    raised = concurrent(lambda: rename("a", "b"), lambda: rename("b", "a"))
    assert raised == [None, None]
    with read(database) as session:
        names = session.connection.scalars(text("SELECT name FROM organizations")).all()
    assert len(set(names)) == 1, "the two transactions did not mix"
    if database.kind != "sqlite":
        assert len(attempts) >= 3
        assert waits[0] == pytest.approx(0.02)


def test_lock_wait_that_ends_is_said_as_a_retry(server_settings: DatabaseSettings) -> None:
    database = open_database(DatabaseSettings(url=server_settings.url, lock_timeout_ms=100))
    with write(database) as session:
        insert(session, "a")

    def second() -> None:
        with write(database) as session:
            session.execute(RENAME, {"id": "a", "name": "second"})

    with write(database) as holder:
        holder.execute(lock_rows(organizations.select().where(organizations.c.id == "a")))
        raised = concurrent(second)
    database.dispose()
    assert isinstance(raised[0], SerializationRetry)


def test_retries_are_bounded_and_their_waits_grow(database: Database) -> None:
    waits: list[float] = []
    calls: list[int] = []

    def never(session: WriteSession) -> None:
        insert(session, "a")
        calls.append(1)
        raise SerializationRetry

    with pytest.raises(SerializationRetry):
        write_retrying(database, never, sleep=waits.append, jitter=lambda: 0.5)
    assert len(calls) == RETRY_ATTEMPTS
    assert waits == pytest.approx([0.02, 0.04, 0.08, 0.16])
    with read(database) as session:
        assert count(session) == 0


def test_a_request_statement_is_limited_and_maintenance_is_not(
    server_settings: DatabaseSettings,
) -> None:
    limited = DatabaseSettings(url=server_settings.url, statement_timeout_ms=200)
    sleeping = text(
        "SELECT pg_sleep(0.6)" if "postgres" in limited.url else "SELECT SLEEP(0.6) + MAX(1)"
    )
    requests, maintenance = open_database(limited), open_maintenance_database(limited)

    def ask(database: Database) -> Any:
        with read(database) as session:
            return session.scalar(sleeping)

    with pytest.raises(DatabaseUnavailable) as caught:
        ask(requests)
    assert caught.value.reason is Reason.TIMEOUT
    assert not requests.circuit.is_open
    ask(maintenance)
    requests.dispose()
    maintenance.dispose()


def test_a_killed_session_hurts_one_caller_only(server_settings: DatabaseSettings) -> None:
    database = open_database(server_settings)
    own, kill = (
        ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})")
        if database.kind == "postgresql"
        else ("SELECT CONNECTION_ID()", "KILL {}")
    )

    def lose() -> None:
        with read(database) as victim:
            number = victim.scalar(text(own))
            with write(database) as killer:
                killer.execute(text(kill.format(number)))
            victim.scalar(COUNT)

    with pytest.raises(DatabaseUnavailable) as caught:
        lose()
    assert caught.value.reason is Reason.CONNECTION
    assert not database.circuit.is_open
    with read(database) as session:
        assert count(session) == 0
    database.dispose()


def test_what_is_done_last_is_done_once_also_after_a_retry(
    sqlite_settings: DatabaseSettings,
) -> None:
    database = open_database(sqlite_settings)
    attempts, ran = list[int](), list[str]()

    def further(session: WriteSession) -> None:
        ran.append("further")
        insert(session, "org-2")

    def last(session: WriteSession) -> None:
        ran.append("last")
        session.endings["further"] = further
        insert(session, "org-1")
        if len(attempts) == 1:
            raise SerializationRetry

    def work(session: WriteSession) -> None:
        attempts.append(1)
        session.endings["last"] = last

    write_retrying(database, work, sleep=lambda _: None)
    assert ran == ["last", "last", "further"]
    with read(database) as session:
        assert count(session) == 2
    database.dispose()


def test_sqlite_writers_of_one_process_queue(sqlite_settings: DatabaseSettings) -> None:
    database = open_database(sqlite_settings)

    def add(name: str) -> None:
        with write(database) as session:
            assert count(session) == count(session)
            insert(session, name)

    raised = concurrent(*(lambda n=n: add(f"org-{n}") for n in range(24)))
    assert raised == [None] * 24
    with read(database) as session:
        assert count(session) == 24
    database.dispose()


def test_sqlite_locked_by_another_process_is_said_after_the_busy_timeout(
    sqlite_settings: DatabaseSettings,
) -> None:
    database = open_database(DatabaseSettings(url=sqlite_settings.url, sqlite_busy_timeout_ms=100))
    other = sqlite3.connect(sqlite_settings.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable) as caught, write(database):
        pass
    assert caught.value.reason is Reason.LOCKED
    with read(database) as session:
        assert count(session) == 0, "readers are not held up"
    other.execute("ROLLBACK")
    other.close()
    with write(database) as session:
        insert(session, "a")
    database.dispose()


def test_a_report_may_take_longer_than_other_statements(server_settings: DatabaseSettings) -> None:
    limited = replace(
        server_settings, statement_timeout_ms=300, report_timeout_ms=1500, pool_size=1
    )
    database = open_database(limited)
    try:
        assert gives_up(snapshot, database, 0.9)
        assert not gives_up(report, database, 0.9)
        assert gives_up(snapshot, database, 0.9)
        assert gives_up(report, database, 3)
        assert gives_up(snapshot, database, 0.9)
    finally:
        database.dispose()


def gives_up(session_of: Sessions, database: Database, seconds: float) -> bool:
    """Whether a statement of so many seconds is ended by the server."""
    slow = f"SELECT SLEEP({seconds}) + MAX(1)"
    if database.kind is DatabaseKind.POSTGRESQL:
        slow = f"SELECT pg_sleep({seconds})"
    try:
        with session_of(database) as session:
            session.execute(text(slow)).all()
    except DatabaseUnavailable as unavailable:
        return unavailable.reason is Reason.TIMEOUT
    return False
