"""The database is gone, hangs, or is held by somebody else (fault rows 4 and 5): every request is
told so soon, nothing is lost, and it is over by itself."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import make_url

from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import Answer, History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Caller, Crowd, set_price
from tests.chaos.scale import SEED, patient, up_to
from tests.support.database import small_pool
from tests.support.faultproxy import FaultProxy
from tests.support.server_process import ServerProcess

READ = "/api/v1/costs/summary"
BACK_WITHIN_S = patient(5)
REMEMBERED_S = 1.1
"""Keys and states of health that were learned before have ended by then."""


def watch(server: ServerProcess, seconds: float, *paths: str) -> dict[str, list[Answer]]:
    """Ask for the paths in turn for a while."""
    seen: defaultdict[str, list[Answer]] = defaultdict(list)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in paths:
            began = time.monotonic()
            answer = server.get(path)
            took_s = time.monotonic() - began
            seen[path].append(Answer(answer.status_code, took_s, answer.headers.get("Retry-After")))
        time.sleep(0.05)
    return seen


def slowest(answers: list[Answer]) -> float:
    return max(answer.seconds for answer in answers)


def refused(answers: list[Answer]) -> list[Answer]:
    """Those that were told to come back; none may have been told so without a time."""
    found = [answer for answer in answers if answer.status == 503]
    assert all(int(answer.retry_after or 0) >= 1 for answer in found)
    return found


def back_within(server: ServerProcess, seconds: float = BACK_WITHIN_S) -> None:
    """Reads, writes and readiness, without anybody's help."""
    began = time.monotonic()
    while server.get("/ready").status_code != 200 or server.get(READ).status_code != 200:
        assert time.monotonic() - began < seconds
        time.sleep(0.05)


def settled(crowd: Crowd) -> int:
    """How many calls are acknowledged once the answers that were on their way have arrived."""
    before = -1
    while before != len(crowd.history.acknowledged):
        before = len(crowd.history.acknowledged)
        time.sleep(3)
    return before


@pytest.mark.chaos
def test_down(server_settings: DatabaseSettings, launch: Launch) -> None:
    with FaultProxy.to(server_settings.url) as proxy:
        server = launch(small_pool(proxy.url))
        set_price(server)
        with Crowd([server], seed=SEED, clients=4) as crowd:
            crowd.acknowledged_more(50)
            proxy.down()
            time.sleep(REMEMBERED_S)
            before = settled(crowd)
            seen = watch(server, up_to(7, 29), "/live", "/health", "/ready", READ)
            assert len(crowd.history.acknowledged) == before
            proxy.restore()
            restored = time.monotonic()
            crowd.acknowledged_more(1, BACK_WITHIN_S)
            assert time.monotonic() - restored < BACK_WITHIN_S
            back_within(server)
            crowd.acknowledged_more(50)
    assert {answer.status for answer in seen["/live"]} == {200}
    for path in ("/health", "/ready", READ):
        assert {answer.status for answer in seen[path]} == {503}
        assert slowest(seen[path]) < patient(2)
    assert refused(seen[READ]) == seen[READ]
    answers = crowd.history.answers
    assert crowd.history.statuses().keys() <= {200, 201, 503}
    assert len(refused(answers)) > 20
    assert slowest(answers) < patient(2)
    server.kill()
    check_ledger(server_settings, crowd.history)


@pytest.mark.chaos
def test_silent(server_settings: DatabaseSettings, launch: Launch) -> None:
    """Connections stay open and say nothing more: who waits gives up, the others need not wait."""
    with FaultProxy.to(server_settings.url) as proxy:
        server = launch(small_pool(proxy.url))
        set_price(server)
        with Crowd([server], seed=SEED, clients=4) as crowd:
            crowd.acknowledged_more(50)
            proxy.blackhole()
            time.sleep(REMEMBERED_S)
            before = settled(crowd)
            with ThreadPoolExecutor(2) as watchers:
                alive = watchers.submit(watch, server, up_to(9, 30), "/live")
                seen = watch(server, up_to(9, 30), "/health", "/ready", READ)
            assert len(crowd.history.acknowledged) == before
            proxy.restore()
            crowd.acknowledged_more(1, BACK_WITHIN_S)
            back_within(server)
            crowd.acknowledged_more(50)
        _whole_pool_answers(server)
    assert {answer.status for answer in alive.result()["/live"]} == {200}
    assert slowest(alive.result()["/live"]) < patient(1)
    for path in ("/health", "/ready", READ):
        assert {answer.status for answer in seen[path]} == {503}
    assert slowest(seen["/health"] + seen["/ready"]) < patient(3)
    assert slowest(refused(seen[READ])) < patient(6)
    assert crowd.history.statuses().keys() <= {200, 201, 503}
    assert slowest(refused(crowd.history.answers)) < patient(6)
    server.kill()
    check_ledger(server_settings, crowd.history)


def _whole_pool_answers(server: ServerProcess) -> None:
    """No connection of the pool was left to wait for ever: all of them work at once."""
    with ThreadPoolExecutor(16) as askers:
        answers = list(askers.map(lambda _: server.get(READ), range(64)))
    assert [each.text for each in answers if each.status_code != 200] == []


@contextlib.contextmanager
def lock_held(url: str) -> Iterator[Callable[[], None]]:
    """Another process's transaction holds the one write lock of the file."""
    other = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other.rollback
    finally:
        other.close()


@pytest.mark.chaos
def test_the_write_lock_is_held(sqlite_settings: DatabaseSettings, launch: Launch) -> None:
    """SQLite has no server to lose; what it can lose is its turn to write."""
    server = launch(sqlite_settings)
    set_price(server)
    with Crowd([server], seed=SEED, clients=4) as crowd:
        crowd.acknowledged_more(50)
        with lock_held(sqlite_settings.url) as release:
            time.sleep(0.5)
            before = settled(crowd)
            seen = watch(server, up_to(8, 30), "/live", "/health", "/ready", READ)
            assert len(crowd.history.acknowledged) == before
            release()
        crowd.acknowledged_more(1, BACK_WITHIN_S)
        crowd.acknowledged_more(50)
    for answers in seen.values():
        assert {answer.status for answer in answers} == {200}
        assert slowest(answers) < patient(2)
    assert crowd.history.statuses().keys() <= {200, 201, 503}
    assert slowest(refused(crowd.history.answers)) < patient(7)
    server.kill()
    check_ledger(sqlite_settings, crowd.history)


@pytest.mark.parametrize("fault", [FaultProxy.down, FaultProxy.blackhole])
def test_a_server_that_starts_meanwhile_waits_for_it(
    server_settings: DatabaseSettings, launch: Launch, fault: Callable[[FaultProxy], None]
) -> None:
    with FaultProxy.to(server_settings.url) as proxy:
        server = launch(small_pool(proxy.url))
        server.kill()
        fault(proxy)
        server.launch()
        _until_alive(server)
        assert server.get("/ready").status_code == 503
        assert refused([_asked(server)])
        proxy.restore()
        back_within(server)
        set_price(server)
        history = History()
        (call,) = Caller("c", SEED, history).batch(1)
        said = server.post("/api/v1/usage", json=call)
        assert said.status_code == 201
        history.acknowledge([said.json()])
        server.kill()
    check_ledger(server_settings, history)


def _until_alive(server: ServerProcess, within_s: float = patient(20)) -> None:
    until = time.monotonic() + within_s
    while True:
        try:
            assert server.get("/live").status_code == 200
        except OSError:
            assert time.monotonic() < until, server.log_text
            time.sleep(0.05)
        else:
            return


def _asked(server: ServerProcess) -> Answer:
    answer = server.get(READ)
    return Answer(answer.status_code, 0, answer.headers.get("Retry-After"))
