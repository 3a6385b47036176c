"""`Idempotency-Key` at the ingest doors: replayed to the byte, refused in flight, never shared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.pricing.lock import take_turn
from tests.support.application import Application
from tests.support.calls import assert_proven, count, error, send, set_price, usage

KEY = {"Idempotency-Key": "k-1"}


def test_a_repetition_gets_the_same_bytes(application: Application) -> None:
    for path, body in (
        ("/usage", usage()),
        ("/usage/batch", [usage(), usage(model="unknown")]),
        ("/costs", {"model": "gpt-4o", "cost": "0.5"}),
        ("/costs/bulk", [{"model": "gpt-4o", "cost": "0.5"}]),
    ):
        before = count(application, "usage_records")
        first = send(application, path, body, headers=KEY)
        again = send(application, path, body, headers=KEY)
        assert first.status_code == again.status_code < 300
        assert again.content == first.content
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert count(application, "usage_records") == before + (2 if "usage/" in path else 1)
    assert_proven(application)


def test_the_same_key_with_another_body_is_refused(application: Application) -> None:
    send(application, "/usage", usage(), headers=KEY)
    refused = send(application, "/usage", usage(prompt_tokens=5), headers=KEY)
    error(refused, 422, "IDEMPOTENCY_KEY_REUSED")
    other_query = send(application, "/usage?strict=false", usage(), headers=KEY)
    error(other_query, 422, "IDEMPOTENCY_KEY_REUSED")
    assert count(application, "usage_records") == 1


def test_keys_are_per_organization_and_holder(application: Application) -> None:
    other = application.another()
    holder = application.new_key("write:costs")
    for app, key in ((application, ""), (other, ""), (application, holder)):
        answer = send(app, "/usage", usage(), headers=KEY, key=key)
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers
    assert (count(application, "usage_records"), count(other, "usage_records")) == (2, 1)


def test_refused_requests_are_not_saved(application: Application) -> None:
    for refused in (usage(prompt_tokens=-1), usage(provider="nobody")):
        error(send(application, "/usage", refused, headers=KEY), 422)
    send(application, "/usage", usage("e"))
    error(send(application, "/usage", usage("e", prompt_tokens=1), headers=KEY), 409)
    atomic = [usage("e", prompt_tokens=1)]
    error(send(application, "/usage/batch?atomic=true", atomic, headers=KEY), 422)
    assert count(application, "idempotency_keys") == 0
    assert send(application, "/usage", usage(), headers=KEY).status_code == 201
    assert count(application, "idempotency_keys") == 1


def test_a_key_that_cannot_be_one_is_refused(sqlite_application: Application) -> None:
    for value in ("", " ", "a b", "x" * 256, "é"):
        answer = send(
            sqlite_application, "/usage", usage(), headers={"Idempotency-Key": value.encode()}
        )
        error(answer, 400)
    assert count(sqlite_application, "usage_records") == 0


@contextmanager
def busy(app: Application) -> Iterator[None]:
    """Nobody can record while the block runs."""
    if app.database.kind is DatabaseKind.SQLITE:
        with write(app.database):
            yield
        return
    with write(app.database) as session:
        take_turn(session, app.organization_id)
        yield


def test_a_twin_in_flight_is_told_to_come_again(application: Application) -> None:
    tiers = {"type": "per_request", "price_per_request": 1, "included_requests": 1}
    set_price(application, "m", pricing_structure=tiers)
    body = usage(model="m")  # its price depends on the month's volume: it waits for its turn
    with ThreadPoolExecutor(1) as pool:
        with busy(application):
            first = pool.submit(send, application, "/usage", body, headers=KEY)
            waited = threading.Event()
            while not application.app.state.writer.in_flight._scopes:
                waited.wait(0.01)
            twin = send(application, "/usage", body, headers=KEY)
        assert error(twin, 409, "CONFLICT")
        assert twin.headers["retry-after"] == "1"
        assert first.result().status_code == 201
    again = send(application, "/usage", body, headers=KEY)
    assert again.content == first.result().content
    assert count(application, "usage_records") == 1
    assert_proven(application)


def test_a_group_replays_and_records_at_once(application: Application) -> None:
    first = send(application, "/usage", usage("a"), headers=KEY)
    keyed = [(usage("a"), KEY), (usage("b"), {}), (usage("a", prompt_tokens=2), KEY)]

    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(lambda sent: send(application, "/usage", sent[0], headers=sent[1]), keyed)
        )
    replayed, fresh, misused = answers
    if replayed.status_code != 409:  # the misuse came while it was in flight
        assert replayed.content == first.content
    assert fresh.status_code == 201
    assert misused.status_code in (409, 422)
    assert count(application, "usage_records") == 2
    assert_proven(application)
