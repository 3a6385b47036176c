"""A database that is down, hangs, or vanishes in the middle: said soon, and over by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import read, report, write
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.database import small_pool
from tests.support.faultproxy import FaultProxy, within

ORGANIZATION = text(
    "INSERT INTO organizations (id, name, slug, created_at) VALUES (:id, :id, :id, 1)"
)


@pytest.fixture
def proxy(server_settings: DatabaseSettings) -> Iterator[FaultProxy]:
    with FaultProxy.to(server_settings.url) as made:
        yield made


@pytest.fixture
def remote(proxy: FaultProxy) -> Iterator[Database]:
    opened = open_database(small_pool(proxy.url))
    yield opened
    opened.dispose()


def answers(database: Database) -> bool:
    with read(database) as session:
        return session.scalar(text("SELECT 1")) == 1


def recovers_within(database: Database, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            assert answers(database)
        except DatabaseUnavailable:
            assert time.monotonic() < deadline, f"not back after {seconds} s"
            time.sleep(0.1)
        else:
            return


def test_down_is_said_at_once_and_ends_by_itself(proxy: FaultProxy, remote: Database) -> None:
    assert answers(remote)
    proxy.down()
    for _ in range(5):
        with within(2), pytest.raises(DatabaseUnavailable) as caught, read(remote) as session:
            session.scalar(text("SELECT 1"))
        assert caught.value.reason is Reason.CONNECTION
        assert 1 <= caught.value.retry_after <= 2
    proxy.restore()
    with within(5):
        recovers_within(remote, 5)


def test_down_from_the_start(proxy: FaultProxy, remote: Database) -> None:
    proxy.down()
    with within(2), pytest.raises(DatabaseUnavailable), write(remote):
        pass
    proxy.restore()
    recovers_within(remote, 5)


def test_a_statement_into_a_black_hole_ends_in_five_seconds(
    proxy: FaultProxy, remote: Database
) -> None:
    def ask_twice() -> None:
        with read(remote) as session:
            session.scalar(text("SELECT 1"))
            proxy.blackhole()
            session.scalar(text("SELECT 1"))

    with within(5.5), pytest.raises(DatabaseUnavailable) as caught:
        ask_twice()
    assert caught.value.reason is Reason.CONNECTION


def test_a_rested_pool_in_a_black_hole_gives_up_in_five_seconds(
    proxy: FaultProxy, remote: Database
) -> None:
    assert answers(remote)
    time.sleep(1.1)
    proxy.blackhole()
    with within(5), pytest.raises(DatabaseUnavailable), read(remote):
        pass
    with within(0.1), pytest.raises(DatabaseUnavailable), read(remote):
        pass  # the circuit is open: nobody else waits
    proxy.restore()
    recovers_within(remote, 5)


def test_many_callers_in_a_black_hole_leave_the_pool_usable(proxy: FaultProxy) -> None:
    hasty = replace(small_pool(proxy.url), statement_timeout_ms=500, connect_timeout_seconds=2)
    remote = open_database(hasty)
    assert answers(remote)
    proxy.blackhole()
    outcomes: list[object] = []

    def call() -> None:
        try:
            outcomes.append(answers(remote))
        except DatabaseUnavailable as unavailable:
            outcomes.append(unavailable.reason)

    callers = [threading.Thread(target=call) for _ in range(20)]
    with within(6):
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(outcomes) == 20
    assert set(outcomes) <= {Reason.CONNECTION, Reason.POOL}
    proxy.restore()
    recovers_within(remote, 5)
    assert remote.reader.pool.checkedout() == 0  # type: ignore[attr-defined]
    remote.dispose()


def test_lost_while_committing_says_that_the_outcome_is_unknown(
    server_settings: DatabaseSettings, proxy: FaultProxy, remote: Database
) -> None:
    def insert() -> None:
        with write(remote) as session:
            session.execute(ORGANIZATION, {"id": "org-1"})
            proxy.cut_after(1)

    with pytest.raises(DatabaseUnavailable) as caught:
        insert()
    assert caught.value.outcome_unknown
    own = open_database(server_settings)
    with read(own) as session:
        stored = session.scalar(text("SELECT count(*) FROM organizations"))
    own.dispose()
    assert stored == 1, "the server committed, only its answer was cut"


def test_lost_before_committing_is_known_to_have_done_nothing(
    server_settings: DatabaseSettings, proxy: FaultProxy, remote: Database
) -> None:
    def insert_two() -> None:
        with write(remote) as session:
            session.execute(ORGANIZATION, {"id": "org-1"})
            proxy.down()
            session.execute(ORGANIZATION, {"id": "org-2"})

    with pytest.raises(DatabaseUnavailable) as caught:
        insert_two()
    assert not caught.value.outcome_unknown
    own = open_database(server_settings)
    with read(own) as session:
        assert session.scalar(text("SELECT count(*) FROM organizations")) == 0
    own.dispose()


def test_slow_is_not_down(proxy: FaultProxy, remote: Database) -> None:
    proxy.latency(0.05)
    assert answers(remote)
    assert not remote.circuit.is_open


def test_a_full_pool_is_said_after_the_pool_timeout(server_settings: DatabaseSettings) -> None:
    crowded = open_database(
        DatabaseSettings(
            url=server_settings.url, pool_size=1, max_overflow=0, pool_timeout_seconds=0.2
        )
    )
    with read(crowded):
        with within(1), pytest.raises(DatabaseUnavailable) as caught, read(crowded):
            pass
        assert caught.value.reason is Reason.POOL
        assert not crowded.circuit.is_open
    assert answers(crowded)
    crowded.dispose()


def test_a_report_whose_connection_broke_leaves_none_behind(
    proxy: FaultProxy, remote: Database
) -> None:
    def lost() -> None:
        with report(remote) as session:
            assert session.scalar(text("SELECT 1")) == 1
            proxy.down()
            session.scalar(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable) as failed:
        lost()
    assert failed.value.reason is Reason.CONNECTION
    proxy.restore()
    recovers_within(remote, 5)
