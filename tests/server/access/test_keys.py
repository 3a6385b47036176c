"""The key ring: who a key belongs to, how soon that ends, and what it asks of the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import event

from llm_cost_ops.server.access import store
from llm_cost_ops.server.access.issue import withdraw_key
from llm_cost_ops.server.access.keys import KeyRing
from llm_cost_ops.server.access.memory import (
    MAX_REMEMBERED,
    REFRESH_AFTER_SECONDS,
    REMEMBER_SECONDS,
)
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.secret import new_secret
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.http.problems import Problem
from tests.support.application import make_key, make_organization

T = TypeVar("T")
MINUTE_US = 60_000_000


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 15, 12, 0, tzinfo=UTC))


@pytest.fixture
def organization_id(database: Database, clock: FixedClock) -> str:
    return make_organization(database, clock)


@pytest.fixture
def ring(database: Database, clock: FixedClock) -> KeyRing:
    return KeyRing(database, clock)


def later(clock: FixedClock, seconds: float) -> None:
    clock.current += timedelta(seconds=seconds)
    clock.elapsed_s += seconds


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Every SQL statement that is executed meanwhile."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.reader, "before_cursor_execute", note)
    yield seen
    event.remove(database.reader, "before_cursor_execute", note)


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await work()

    return asyncio.run(main())


async def refused(ring: KeyRing, secret: str) -> bool:
    """Whether the key is refused as the documents say."""
    try:
        await ring.principal(secret)
    except Problem as problem:
        return (problem.status, problem.code, problem.message) == (
            401,
            "AUTH_001",
            "Invalid API key",
        )
    return False


def test_the_holder_of_a_key(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    key_id, secret = make_key(database, clock, organization_id, ["costs:write", "read:costs"])
    principal = run(lambda: ring.principal(secret))
    assert (principal.key_id, principal.organization_id) == (key_id, organization_id)
    assert principal.scopes == {"write:costs", "read:costs"}
    assert principal.holds("read:usage")
    assert not principal.holds("read:costs", "write:pricing")


def test_a_wrong_checksum_is_refused_without_a_question(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    _, secret = make_key(database, clock, organization_id)
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    with statements(database) as seen:
        assert run(lambda: refused(ring, wrong))
        assert seen == []
        assert run(lambda: refused(ring, new_secret("sk_test_")))
        assert len([s for s in seen if "api_keys" in s]) == 1


def test_an_invented_key_is_asked_for_once_a_second(database: Database, ring: KeyRing) -> None:
    invented = new_secret("sk_test_")

    async def hammer() -> None:
        for _ in range(50):
            assert await refused(ring, invented)

    with statements(database) as seen:
        run(hammer)
    assert len([s for s in seen if "api_keys" in s]) == 1


def test_a_known_key_costs_no_query_and_at_once_only_one(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    _, secret = make_key(database, clock, organization_id)

    async def crowd() -> None:
        await asyncio.gather(*(ring.principal(secret) for _ in range(100)))
        for _ in range(100):
            assert ring.remembered(secret)

    with statements(database) as seen:
        run(crowd)
    assert len([s for s in seen if "api_keys" in s]) == 1


def test_a_revoked_key_ends_within_a_second_in_other_processes(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    key_id, secret = make_key(database, clock, organization_id)
    run(lambda: ring.principal(secret))
    with write(database) as session:
        withdraw_key(session, organization_id, key_id, now_us=clock.micros())
    assert REMEMBER_SECONDS < 1
    later(clock, REMEMBER_SECONDS)
    assert ring.remembered(secret) is None
    assert run(lambda: refused(ring, secret))


def test_a_key_in_use_is_looked_up_again_before_its_entry_ends(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    _, secret = make_key(database, clock, organization_id)

    async def use() -> None:
        await ring.principal(secret)
        for _ in range(5):
            later(clock, REFRESH_AFTER_SECONDS)
            assert ring.remembered(secret) is not None
            await asyncio.sleep(0.1)

    with statements(database) as seen:
        run(use)
    assert len([s for s in seen if "api_keys" in s]) == 6


def test_the_process_that_revoked_forgets_at_once(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    key_id, secret = make_key(database, clock, organization_id)

    async def revoke() -> None:
        await ring.principal(secret)
        with write(database) as session:
            withdraw_key(session, organization_id, key_id, now_us=clock.micros())
        ring.forget(key_id)
        assert await refused(ring, secret)

    run(revoke)


@pytest.mark.parametrize("early_ends_first", [False, True])
def test_a_lookup_that_began_before_the_revocation_serves_nobody_after_it(
    database: Database,
    clock: FixedClock,
    organization_id: str,
    ring: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
    early_ends_first: bool,
) -> None:
    key_id, secret = make_key(database, clock, organization_id)
    found, told = threading.Event(), threading.Event()
    find: Callable[[str], Principal | None] = getattr(ring, "_find")  # noqa: B009

    def slow(key: str) -> Principal | None:
        holder = find(key)
        found.set()
        assert told.wait(30)
        return holder

    async def revoke() -> None:
        monkeypatch.setattr(ring, "_find", slow)
        early = asyncio.ensure_future(ring.principal(secret))
        assert await asyncio.to_thread(found.wait, 30)
        with write(database) as session:
            withdraw_key(session, organization_id, key_id, now_us=clock.micros())
        ring.forget(key_id)
        if early_ends_first:
            told.set()
            assert (await early).key_id == key_id
        after = asyncio.ensure_future(refused(ring, secret))
        await asyncio.sleep(0)
        told.set()
        assert await after
        await early

    run(revoke)


def test_an_expired_key_ends_on_time_even_when_remembered(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    expires_at = clock.micros() + 500_000
    _, secret = make_key(database, clock, organization_id, expires_at=expires_at)

    async def use() -> None:
        await ring.principal(secret)
        later(clock, 0.499_999)
        assert await ring.principal(secret)
        later(clock, 0.000_001)
        assert ring.remembered(secret) is None
        assert await refused(ring, secret)

    run(use)


def test_without_the_database_access_ends(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    _, secret = make_key(database, clock, organization_id)

    async def use() -> None:
        await ring.principal(secret)
        database.circuit.failed()
        later(clock, REFRESH_AFTER_SECONDS)
        assert ring.remembered(secret)
        await asyncio.sleep(0.1)
        later(clock, REMEMBER_SECONDS - REFRESH_AFTER_SECONDS)
        with pytest.raises(DatabaseUnavailable) as caught:
            await ring.principal(secret)
        assert caught.value.reason is Reason.CONNECTION

    run(use)


def test_what_is_remembered_is_bounded(
    database: Database, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_cost_ops.server.access.memory.MAX_REMEMBERED", 10)

    async def hammer() -> None:
        for _ in range(30):
            assert await refused(ring, new_secret("sk_"))

    run(hammer)
    assert len(ring._memory) == 10 < MAX_REMEMBERED


def last_used(database: Database, organization_id: str, key_id: str) -> int | None:
    with read(database) as session:
        key = store.get_key(session, organization_id, key_id)
    assert key is not None
    return key.last_used_at


def test_last_use_is_written_at_most_once_a_minute(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    key_id, secret = make_key(database, clock, organization_id)

    async def use() -> None:
        first = clock.micros()
        await ring.principal(secret)
        assert last_used(database, organization_id, key_id) is None
        await ring.flush_last_used()
        assert last_used(database, organization_id, key_id) == first
        later(clock, 59.9)
        await ring.principal(secret)
        await ring.flush_last_used()
        assert last_used(database, organization_id, key_id) == first
        later(clock, 0.1)
        await ring.principal(secret)
        await ring.flush_last_used()
        assert last_used(database, organization_id, key_id) == first + MINUTE_US

    run(use)


def test_another_process_does_not_write_it_within_the_minute(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    key_id, secret = make_key(database, clock, organization_id)
    other = KeyRing(database, clock)

    async def use() -> None:
        first = clock.micros()
        await ring.principal(secret)
        await ring.flush_last_used()
        later(clock, 30)
        await other.principal(secret)
        await other.flush_last_used()
        assert last_used(database, organization_id, key_id) == first

    run(use)


def test_last_use_waits_for_the_database(
    database: Database, clock: FixedClock, organization_id: str, ring: KeyRing
) -> None:
    key_id, secret = make_key(database, clock, organization_id)

    async def use() -> None:
        await ring.principal(secret)
        database.circuit.failed()
        await ring.flush_last_used()
        database.circuit.connected()
        assert last_used(database, organization_id, key_id) is None
        await ring.flush_last_used()
        assert last_used(database, organization_id, key_id) is not None

    run(use)
