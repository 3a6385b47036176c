"""A keyed request is carried out once and answered alike every time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write
from llm_cost_ops.server.http.idempotency import (
    IdempotentCall,
    InFlight,
    idempotent_call,
    lookup,
    purge,
    replay,
    request_digest,
    save,
)
from llm_cost_ops.server.http.problems import Problem

NOW = 1_800_000_000_000_000
HOUR = 3_600_000_000
BODY = b'{"a":1}'


def call(key: str = "k", body: bytes = b"{}", **where: str) -> IdempotentCall:
    place: dict[str, Any] = {
        "organization_id": "org-a",
        "principal_id": "key_1",
        "method": "POST",
        "route": "/api/v1/usage",
        **where,
    }
    made = idempotent_call({"Idempotency-Key": key}, body, **place)
    assert made is not None
    return made


def saved_answer(database: Database, made: IdempotentCall, now: int = NOW) -> Any:
    with read(database) as session:
        return lookup(session, [made.scope], now).get(made.scope)


def test_without_a_key_there_is_nothing_to_do() -> None:
    nothing = idempotent_call(
        {}, b"{}", organization_id="o", principal_id="k", method="POST", route="/x"
    )
    assert nothing is None


@pytest.mark.parametrize("key", ["!", "x" * 255, "a-b_c~", "00000000-0000-4000-8000-000000000000"])
def test_a_visible_key_is_taken(key: str) -> None:
    assert call(key)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", " a", "a\n", "ä", "\x7f", "a\tb"])
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(Problem) as caught:
        call(key)
    assert caught.value.status == 400
    assert set(caught.value.field_errors) == {"Idempotency-Key"}


def test_each_part_of_the_scope_counts() -> None:
    scopes = {
        call().scope,
        call("k2").scope,
        call(organization_id="org-b").scope,
        call(principal_id="key_2").scope,
        call(method="PUT").scope,
        call(route="/api/v1/costs").scope,
        call(principal_id='key_1","POST', method="").scope,
    }
    assert len(scopes) == 7


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_order_of_keys_and_white_space_do_not_count(value: Any) -> None:
    def reordered(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: reordered(item[key]) for key in reversed(item)}
        return [reordered(inner) for inner in item] if isinstance(item, list) else item

    text = dumps(value)
    spaced = text if isinstance(value, str) else f"\n {text} "
    assert request_digest(text.encode()) == request_digest(dumps(reordered(value)).encode())
    assert request_digest(text.encode()) == request_digest(spaced.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a": 0.1}', b'{"a": 0.10000000000000000001}'),
        (b'{"a": "1"}', b'{"a": 1}'),
        (b'{"a": null}', b"{}"),
        (b'{"a": 1}\n{"a": 2}', b'{"a": 1}\n{"a": 3}'),
        (b"\xff", b"\xfe"),
        (b"[1,2]", b"[2,1]"),
    ],
)
def test_another_value_is_another_body(one: bytes, other: bytes) -> None:
    assert request_digest(one) != request_digest(other)


def test_the_saved_answer_is_replayed_byte_for_byte(database: Database) -> None:
    made = call()
    with write(database) as session:
        assert lookup(session, [made.scope], NOW) == {}
        save(session, made, 201, BODY, NOW)
    answer = replay(saved_answer(database, made), made)
    assert (answer.status_code, answer.body) == (201, BODY)
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_another_body_under_the_same_key_is_refused(database: Database) -> None:
    made = call()
    with write(database) as session:
        save(session, made, 201, BODY, NOW)
    other = call(body=b'{"x": 1}')
    with pytest.raises(Problem) as caught:
        replay(saved_answer(database, other), other)
    assert (caught.value.status, caught.value.code) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_nothing_is_saved_without_its_effect(database: Database) -> None:
    made = call()

    def effect_that_fails(session: WriteSession) -> None:
        save(session, made, 201, BODY, NOW)
        raise RuntimeError("the effect failed")

    with pytest.raises(RuntimeError), write(database) as session:
        effect_that_fails(session)
    assert saved_answer(database, made) is None


STATUSES = [(201, True), (404, True), (499, True), (500, False), (503, False)]


@pytest.mark.parametrize(("status", "kept"), STATUSES)
def test_a_server_error_is_never_saved(database: Database, status: int, kept: bool) -> None:
    made = call()
    with write(database) as session:
        save(session, made, status, BODY, NOW)
    assert (saved_answer(database, made) is not None) == kept


def test_the_key_is_free_again_when_its_time_is_over(database: Database) -> None:
    made = call()
    with write(database) as session:
        save(session, made, 201, BODY, NOW, keep_seconds=3600)
    assert saved_answer(database, made, NOW + HOUR - 1) is not None
    assert saved_answer(database, made, NOW + HOUR) is None
    with write(database) as session:
        assert lookup(session, [made.scope], NOW + HOUR) == {}
        save(session, made, 200, b"{}", NOW + HOUR)
    assert saved_answer(database, made, NOW + HOUR).status == 200


def test_a_twin_in_another_process_rolls_back(database: Database) -> None:
    made = call()
    with write(database) as session:
        save(session, made, 201, BODY, NOW)
    with pytest.raises(Problem) as caught, write(database) as session:
        save(session, made, 201, b"another answer", NOW)
    assert (caught.value.status, caught.value.headers) == (409, {"Retry-After": "1"})
    assert saved_answer(database, made).body == BODY


def test_of_twins_at_once_one_is_let_in() -> None:
    in_flight, made = InFlight(), call()
    together, outcomes = threading.Barrier(8), []

    def attempt() -> None:
        together.wait()
        try:
            with in_flight.claim(made):
                outcomes.append("in")
                together.wait(5)
        except Problem as problem:
            outcomes.append(str(problem.status))
            together.wait(5)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["409"] * 7 + ["in"]
    with in_flight.claim(made), in_flight.claim(call("another")), in_flight.claim(None):
        pass


def test_purge_removes_what_is_over_in_bounded_steps(database: Database) -> None:
    keep: Callable[[int], int] = lambda n: 3600 if n < 5 else 7200  # noqa: E731
    with write(database) as session:
        for number in range(7):
            save(session, call(f"k{number}"), 200, BODY, NOW, keep_seconds=keep(number))
    steps = []
    for _ in range(3):
        with write(database) as session:
            steps.append(purge(session, NOW + HOUR, limit=3))
    assert steps == [3, 2, 0]
    assert saved_answer(database, call("k6"), NOW + HOUR) is not None
