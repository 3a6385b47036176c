"""What changes while deliveries wait or are under way, and what must not go on for ever."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, select

from llm_cost_ops.core import signature
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.delivery.trials import TRIALS
from llm_cost_ops.server.queue import leases
from llm_cost_ops.server.queue.enqueue import READY
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.settings import SecuritySettings
from llm_cost_ops.server.webhooks import attempt, fan_out, replay, store
from llm_cost_ops.server.webhooks.derive import Happening
from llm_cost_ops.server.webhooks.pump import SECRETS
from llm_cost_ops.server.webhooks.tables import webhook_events
from llm_cost_ops.server.webhooks.wake import PUMP, pump_now
from tests.server.webhooks.conftest import LOCAL, SECRET, Place, answered, body_of
from tests.support.sink import Got, Reply

TOPIC = "budget.exceeded"
OTHER = "another-secret-of-ours"


def path_of(made: dict[str, Any], rest: str = "") -> str:
    return f"/api/v1/webhooks/{made['id']}{rest}"


def put(place: Place, made: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return answered(place.app.request("PUT", path_of(made), json=fields))


def numbers(place: Place) -> list[int]:
    return [body_of(got)["data"]["n"] for got in place.receiver.got]


def publish(place: Place, count: int) -> None:
    for n in range(count):
        place.later(0.01)
        place.publish(TOPIC, {"n": n})


def test_answers_that_cannot_be_kept_as_they_are_count_all_the_same(place: Place) -> None:
    """Otherwise a receiver that answers so is sent the same event again and again, for ever."""
    made = place.register(TOPIC)
    long = b"HTTP/1.1 500 " + b"r" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"
    date = "Fri, 27 Nov 2026 12:00:00 +99999999999999999"
    place.receiver.replies = [
        Reply(503, {"Retry-After": date}),
        Reply(raw=lambda handler: handler.wfile.write(long)),
        Reply(200),
    ]
    place.publish(TOPIC)
    place.work()
    place.later(5)
    place.work()
    (row,) = place.deliveries(made["id"])
    assert (row["status"], row["attempts"], row["last_status_code"]) == ("pending", 2, 500)
    place.later(300)
    place.work()
    assert place.deliveries(made["id"])[0]["status"] == "delivered"
    assert len(place.receiver.got) == 3


class TestWaitingJobs:
    """One job that waits at an endpoint is enough, however many events there are."""

    def waiting(self, place: Place) -> int:
        with read(place.database) as session:
            found = select(jobs.c.id).where(jobs.c.kind == PUMP.name, jobs.c.state == READY)
            return len(session.execute(found).all())

    def wake(self, place: Place, *endpoint_ids: str) -> None:
        now_us = place.clock.micros()
        with write(place.database) as session:
            pump_now(session, place.organization_id, endpoint_ids, now_us=now_us)

    def test_there_is_one_for_each_endpoint(self, place: Place) -> None:
        one, other = place.register(TOPIC)["id"], place.register(TOPIC)["id"]
        for _ in range(3):
            self.wake(place, one)
        assert self.waiting(place) == 1
        self.wake(place, other, one)
        assert self.waiting(place) == 2

    def test_one_that_runs_may_have_looked_already(self, place: Place) -> None:
        one = place.register(TOPIC)["id"]
        self.wake(place, one)
        with write(place.database) as session:
            now_us = place.clock.micros()
            (taken,) = leases.take(
                session, [PUMP.name], 5, token="t", holder="h", now_us=now_us, lease_us=10**9
            )
        assert taken.payload == {"endpoint_id": one}
        self.wake(place, one)
        self.wake(place, one)
        assert self.waiting(place) == 1

    def test_one_that_another_worker_takes_now_is_none(self, place: Place) -> None:
        """It is either held back until we commit, or not counted on."""
        one = place.register(TOPIC)["id"]
        self.wake(place, one)
        now_us = place.clock.micros()
        with write(place.database) as session:
            pump_now(session, place.organization_id, [one], now_us=now_us)
            if session.kind.value != "sqlite":  # where nobody else writes meanwhile
                with write(place.database) as other:
                    taken = leases.take(
                        other, [PUMP.name], 5, token="t", holder="h", now_us=now_us, lease_us=10**9
                    )
                assert taken == []
        assert self.waiting(place) == 1


class TestSecrets:
    def test_a_new_secret_signs_although_the_old_one_cannot_be_read(self, place: Place) -> None:
        made = place.register(TOPIC)
        place.settings = replace(
            place.settings, security=SecuritySettings(secret_key="another-key-" + "k" * 32)
        )
        state = place.app.app.state
        state.webhooks = replace(state.webhooks, vault=Vault.of(place.settings, SECRETS))
        answered(place.app.post(path_of(made, "/rotate-secret"), json={"secret": OTHER}))
        place.publish(TOPIC)
        place.work()
        (got,) = place.receiver.got
        assert got.header("X-Webhook-Signature") == signature.plain(OTHER, got.body)
        assert got.header("webhook-signature").count("v1,") == 1

    def test_a_change_holds_for_the_next_delivery(self, sqlite_place: Place) -> None:
        place = sqlite_place
        made = place.register(TOPIC)

        def answer(got: Got) -> Reply:
            if len(place.receiver.got) == 1:
                put(place, made, secret=OTHER, url=place.receiver.url + "/new")
            return Reply()

        place.receiver.answer = answer
        publish(place, 2)
        place.work()
        first, second = place.receiver.got
        assert (first.path, second.path) == ("/hook", "/hook/new")
        assert first.header("X-Webhook-Signature") == signature.plain(SECRET, first.body)
        assert second.header("X-Webhook-Signature") == signature.plain(OTHER, second.body)


class TestAnotherReceiver:
    def test_a_new_url_knows_nothing_of_the_waits_of_the_old_one(self, sqlite_place: Place) -> None:
        place = sqlite_place
        made = place.register(TOPIC)
        place.receiver.replies = [Reply(429, {"Retry-After": "86400"}), Reply(200)]
        publish(place, 2)
        place.work()
        assert place.endpoint(made["id"])["paused_until"] is not None
        changed = put(place, made, url=place.receiver.url + "/new")
        assert (changed["paused_until"], changed["failing_since"]) == (None, None)
        place.work()
        assert numbers(place) == [0, 1]

    def test_the_same_url_changes_nothing(self, sqlite_place: Place) -> None:
        place = sqlite_place
        made = place.register(TOPIC)
        place.receiver.replies = [Reply(429, {"Retry-After": "86400"})]
        place.publish(TOPIC)
        place.work()
        before = place.endpoint(made["id"])
        after = put(place, made, url=before["url"], description="ours")
        for name in ("paused_until", "failing_since"):
            assert after[name] == before[name] is not None

    def test_enabled_means_now_also_where_it_was(self, sqlite_place: Place) -> None:
        place = sqlite_place
        made = place.register(TOPIC)
        place.receiver.replies = [Reply(429, {"Retry-After": "86400"}), Reply(200)]
        publish(place, 2)
        place.work()
        put(place, made, enabled=True)
        place.work()
        assert numbers(place) == [0, 1]

    @pytest.mark.parametrize("field", ["url", "events"])
    def test_nothing_is_no_value(self, sqlite_place: Place, field: str) -> None:
        made = sqlite_place.register(TOPIC)
        answer = sqlite_place.app.request("PUT", path_of(made), json={field: None})
        assert answer.status_code == 422
        assert field in answer.json()["error"]["field_errors"]


@contextmanager
def slow(place: Place, seconds: int) -> Iterator[None]:
    """Each call seems to take at least as long."""
    ticks = itertools.count(step=seconds)
    place.outbound = Outbound(LOCAL, place.clock, elapsed=lambda: float(next(ticks)))
    yield
    place.outbound = None


def test_who_lets_us_wait_is_called_the_less_the_longer_it_fails(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(500)]

    def pause_s() -> float:
        with read(place.database) as session:
            row = store.endpoint(session, place.organization_id, made["id"])
        assert row is not None
        return (row["paused_until"] - place.clock.micros()) / 10**6

    with slow(place, 1):
        for at_s, expected in ((0, 5), (100, 25), (4_000, 300)):
            place.later(at_s)
            place.publish(TOPIC)
            place.publish(TOPIC)
            before = place.deliveries(made["id"], status="pending")
            place.work()
            rows = place.deliveries(made["id"], status="pending")
            assert sum(row["attempts"] for row in rows) - sum(r["attempts"] for r in before) == 1
            assert pause_s() == pytest.approx(expected, abs=2)


def test_a_redelivery_asked_for_during_the_last_attempt_is_made(
    sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sqlite_place
    monkeypatch.setattr(attempt, "MAX_ATTEMPTS", 2)
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(500)]
    place.publish(TOPIC)
    place.work()
    (row,) = place.deliveries(made["id"])

    def answer(got: Got) -> Reply:
        if len(place.receiver.got) > 2:
            return Reply(200)
        answered(place.app.post(path_of(made, f"/deliveries/{row['id']}/redeliver")), 202)
        return Reply(500)

    place.receiver.answer = answer
    place.later(5)
    place.work()
    assert place.deliveries(made["id"])[0]["status"] == "pending"
    place.later(5)
    place.work()
    (row,) = place.deliveries(made["id"])
    assert (row["status"], row["attempts"]) == ("delivered", 3)


def test_a_delivery_whose_event_is_gone_ends(place: Place) -> None:
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(500)]
    publish(place, 2)
    place.work()
    kept, lost = place.deliveries(made["id"])
    with write(place.database) as session:
        session.execute(delete(webhook_events).where(webhook_events.c.id == lost["event_id"]))
    place.receiver.replies = [Reply(200)]
    place.later(6)
    place.work()
    assert place.delivery(made["id"], kept["id"])["status"] == "delivered"
    shown = place.delivery(made["id"], lost["id"])
    assert (shown["status"], shown["data"], shown["next_attempt_at"]) == ("failed", None, None)
    answer = place.app.post(path_of(made, f"/deliveries/{lost['id']}/redeliver"))
    assert answer.status_code == 409
    replayed = {"start": "2026-11-01T00:00:00Z"}
    answered(place.app.post(path_of(made, "/replay"), json=replayed), 202)
    place.work()
    assert place.delivery(made["id"], lost["id"])["status"] == "failed"


class TestRanges:
    def missed(self, place: Place, count: int) -> dict[str, Any]:
        """A webhook that failed for long, and events that it was not told of."""
        made = place.register(TOPIC)
        off = {"enabled": 0, "disabled_reason": store.FAILING}
        with write(place.database) as session:
            store.change_endpoint(session, place.organization_id, made["id"], off)
        publish(place, count)
        place.work()
        put(place, made, enabled=True)
        return made

    def replay(self, place: Place, made: dict[str, Any], **fields: Any) -> int:
        body = {"start": "2026-11-01T00:00:00Z", **fields}
        return int(answered(place.app.post(path_of(made, "/replay"), json=body), 202)["replayed"])

    def test_many_are_begun_in_parts_and_sent_in_their_order(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replay, "AT_ONCE", 3)
        made = self.missed(place, 10)
        assert self.replay(place, made) == 10
        assert len(place.deliveries(made["id"], status="pending")) == 3
        place.later(1)
        place.work()
        assert numbers(place) == list(range(10))
        place.later(1)
        place.receiver.got.clear()
        assert self.replay(place, made) == 0
        assert self.replay(place, made, status="delivered") == 10
        place.later(1)
        place.work()
        place.work()
        assert numbers(place) == list(range(10))

    def test_the_rest_is_left_when_the_webhook_is_disabled_meanwhile(
        self, sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = sqlite_place
        monkeypatch.setattr(replay, "AT_ONCE", 3)
        made = self.missed(place, 7)
        assert self.replay(place, made) == 7
        put(place, made, enabled=False)
        place.work()
        assert place.receiver.got == []
        assert len(place.deliveries(made["id"], status="skipped")) == 4

    def test_tests_are_no_events(self, sqlite_place: Place) -> None:
        place = sqlite_place
        made = place.register(TOPIC)
        place.receiver.replies = [Reply(500)]
        answered(place.app.post(path_of(made, "/test")))
        place.later(1)
        assert self.replay(place, made) == 0
        assert self.replay(place, made, status="all") == 0


def test_a_page_for_many_endpoints_is_stored_in_parts() -> None:
    page = [Happening(f"evt_{n}", TOPIC, {}, 0) for n in range(200)]
    for endpoints in (1, 7, 100, fan_out.ROWS_AT_ONCE + 1):
        parts = list(fan_out._parts(page, endpoints))
        assert [each for part in parts for each in part] == page
        assert max(len(part) for part in parts) * endpoints <= max(fan_out.ROWS_AT_ONCE, endpoints)


def test_a_test_waits_for_no_place_of_others(sqlite_place: Place) -> None:
    """Each holds a thread of the API while its receiver thinks."""
    place = sqlite_place
    made = place.register(TOPIC)
    with TRIALS.one(place.organization_id), TRIALS.one(place.organization_id):
        answer = place.app.post(path_of(made, "/test"))
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert place.receiver.got == []
    assert answered(place.app.post(path_of(made, "/test")))["status"] == "delivered"
