"""What receivers do wrong, in virtual time: the schedule, waits, disabling, order, crashes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from llm_cost_ops.core import signature
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.queue.work import LeaseLost
from llm_cost_ops.server.webhooks import attempt
from tests.server.delivery.ssrf import HOSTS
from tests.server.webhooks.conftest import LOCAL, SECRET, Place, answered, body_of
from tests.support.sink import Reply

WAITS = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
TOPIC = "budget.exceeded"


def test_the_schedule_in_seconds() -> None:
    assert attempt.DELAYS_S == WAITS
    assert sum(WAITS) == 27 * 3600 + 35 * 60 + 5
    assert attempt.MAX_ATTEMPTS == 8


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_eight_attempts_at_their_times(place: Place, jitter: float) -> None:
    place.jitter = jitter
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(500)]
    place.publish(TOPIC)
    place.work()
    for done, wait_s in enumerate(WAITS, start=1):
        assert len(place.receiver.got) == done
        exact = wait_s * (1 + 0.1 * jitter)
        place.later(exact - 0.001)
        place.work()
        assert len(place.receiver.got) == done
        place.later(0.002)
        place.work()
    assert len(place.receiver.got) == 8
    place.later(7 * 24 * 3600)
    place.work()
    assert len(place.receiver.got) == 8
    (row,) = place.deliveries(made["id"])
    assert (row["status"], row["attempts"], row["last_status_code"]) == ("failed", 8, 500)
    log = place.delivery(made["id"], row["id"])["attempt_log"]
    assert [each["number"] for each in log] == list(range(1, 9))
    assert {each["status_code"] for each in log} == {500}
    ids = {got.header("webhook-id") for got in place.receiver.got}
    delivery_ids = {got.header("X-LLM-CostOps-Delivery-ID") for got in place.receiver.got}
    times = [got.header("webhook-timestamp") for got in place.receiver.got]
    assert (len(ids), delivery_ids, len(set(times))) == (1, {row["id"]}, 8)
    assert len({got.body for got in place.receiver.got}) == 1
    for got in place.receiver.got:
        assert signature.standard_matches(
            [SECRET],
            got.header("webhook-id"),
            got.header("webhook-timestamp"),
            got.body,
            got.header("webhook-signature"),
            now_s=int(got.header("webhook-timestamp")),
        )


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_a_failure_is_tried_again_and_then_delivered(sqlite_place: Place, status: int) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(status, {"Location": "http://127.0.0.1:1/"}), Reply(200)]
    place.publish(TOPIC)
    place.work()
    assert place.endpoint(made["id"])["failing_since"] is not None
    place.later(6)
    place.work()
    (row,) = place.deliveries(made["id"])
    assert (row["status"], row["attempts"]) == ("delivered", 2)
    shown = place.endpoint(made["id"])
    assert shown["failing_since"] is None
    assert shown["last_success_at"] is not None


def test_410_disables_at_once_and_tells_the_others(place: Place) -> None:
    gone = place.register(TOPIC)
    other = place.register("webhook.disabled")
    place.receiver.replies = [Reply(410), Reply(200)]
    place.publish(TOPIC)
    place.work()
    shown = place.endpoint(gone["id"])
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    (row,) = place.deliveries(gone["id"])
    assert (row["status"], row["attempts"]) == ("failed", 1)
    place.publish(TOPIC)
    place.work()
    assert len(place.deliveries(gone["id"])) == 1
    (told,) = place.deliveries(other["id"])
    assert told["event"] == "webhook.disabled"
    data = body_of(place.receiver.got[-1])["data"]
    assert (data["webhook_id"], data["reason"]) == (gone["id"], "gone")


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {"Retry-After": "120"}, 120),
        (503, {"Retry-After": "Sun, 01 Nov 2026 12:02:00 GMT"}, 120),
        (429, {"Retry-After": "1"}, 5),
    ],
)
def test_a_wait_that_the_receiver_names(
    sqlite_place: Place, status: int, headers: dict[str, str], wait_s: int
) -> None:
    place = sqlite_place
    place.register(TOPIC)
    place.receiver.replies = [Reply(status, headers), Reply(200)]
    place.publish(TOPIC)
    place.work()
    place.later(wait_s - 0.5)
    place.work()
    assert len(place.receiver.got) == 1
    place.later(1.1 + wait_s * 0.1)
    place.work()
    assert len(place.receiver.got) == 2


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_overloaded_receiver_is_left_alone_for_a_while(sqlite_place: Place, status: int) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(status), Reply(200)]
    place.publish(TOPIC)
    place.publish(TOPIC)
    place.work()
    assert len(place.receiver.got) == 1
    assert place.endpoint(made["id"])["paused_until"] is not None
    place.later(5)
    place.work()
    assert len(place.receiver.got) >= 2
    place.later(1)
    place.work()
    assert {row["status"] for row in place.deliveries(made["id"])} == {"delivered"}


def test_a_failed_delivery_holds_up_no_later_one(place: Place) -> None:
    made = place.register(TOPIC)
    place.receiver.answer = lambda got: Reply(500 if b'"n":1' in got.body else 200)
    for n in range(1, 5):
        place.later(0.01)
        place.publish(TOPIC, {"n": n})
    place.work()
    assert [body_of(got)["data"]["n"] for got in place.receiver.got] == [1, 2, 3, 4]
    counted = Counter(row["status"] for row in place.deliveries(made["id"]))
    assert counted == {"delivered": 3, "pending": 1}


def test_endpoints_do_not_hold_each_other_up(sqlite_place: Place) -> None:
    place = sqlite_place
    bad = place.register(TOPIC)
    good = place.register(TOPIC, url=place.receiver.url + "/good")
    place.receiver.answer = lambda got: Reply(200 if got.path.endswith("good") else 500)
    place.publish(TOPIC)
    place.work()
    assert place.deliveries(good["id"])[0]["status"] == "delivered"
    assert place.deliveries(bad["id"])[0]["status"] == "pending"


def test_down_for_five_days_is_disabled_and_a_replay_delivers_all(place: Place) -> None:
    made = place.register(TOPIC)
    watcher = place.register("webhook.disabled", url=place.receiver.url + "/watch")
    place.receiver.answer = lambda got: Reply(200 if got.path.endswith("watch") else 503)
    began = place.clock.current
    hours = [*range(0, 119, 20), 119.9, 120, 121, 130]
    count = len(hours)
    for n, hour in enumerate(hours):
        place.later(hour * 3600 - (place.clock.current - began).total_seconds())
        place.publish(TOPIC, {"n": n})
        place.work()
        assert place.endpoint(made["id"])["enabled"] is (hour < 120)
    shown = place.endpoint(made["id"])
    assert shown["disabled_reason"] == "failing"
    assert len(place.deliveries(watcher["id"])) == 1
    assert len(place.rows(made["id"])) == count

    place.receiver.answer = None
    place.receiver.got.clear()
    path = f"/api/v1/webhooks/{made['id']}"
    chosen = {"start": "2026-11-01T00:00:00Z"}
    assert place.app.post(f"{path}/replay", json=chosen).status_code == 409
    answered(place.app.request("PUT", path, json={"enabled": True}))
    answered(place.app.post(f"{path}/replay", json=chosen), 202)
    place.work()
    assert {row["status"] for row in place.rows(made["id"])} == {"delivered"}
    numbers = sorted(body_of(got)["data"]["n"] for got in place.receiver.got)
    assert numbers == list(range(count))
    assert place.endpoint(made["id"])["failing_since"] is None


def test_a_success_in_between_begins_the_five_days_anew(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    down = Reply(500)
    place.receiver.replies = [down]
    for n, hours in enumerate((100, 100, 0)):
        if n == 1:
            place.receiver.replies = [Reply(200), down]
        place.publish(TOPIC, {"n": n})
        place.work()
        place.later(hours * 3600)
    assert place.endpoint(made["id"])["enabled"]


def test_a_worker_that_dies_after_the_call_sends_it_again_with_the_same_id(place: Place) -> None:
    made = place.register(TOPIC)
    place.publish(TOPIC)

    killed: list[int] = []
    kept = attempt.keep

    def keep(*args: Any, **options: Any) -> Any:
        if not killed:
            killed.append(1)
            raise LeaseLost("killed between the call and its record")
        return kept(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempt, "keep", keep)
        place.work()
        assert len(place.receiver.got) == 1
        place.later(120)  # its lease ends, and another worker takes it
        place.work()
        place.later(5)
        place.work()
    assert len(place.receiver.got) == 2
    ids = {
        (got.header("webhook-id"), got.header("X-LLM-CostOps-Delivery-ID"))
        for got in place.receiver.got
    }
    assert len(ids) == 1
    (row,) = place.deliveries(made["id"])
    assert row["status"] == "delivered"


def test_a_fan_out_that_is_repeated_makes_no_second_delivery(place: Place) -> None:
    made = place.register(TOPIC)
    place.publish(TOPIC)
    seen: list[int] = []

    def twice(work: Any) -> Any:
        handlers = {}
        for kind, handler in work.handlers.items():
            if kind.name == "webhooks.fan_out":

                def failing(running: Any, handler: Any = handler) -> Any:
                    effect = handler(running)
                    seen.append(1)
                    if len(seen) == 1:
                        raise RuntimeError("the worker ended here")
                    return effect

                handlers[kind] = failing
            else:
                handlers[kind] = handler
        return type(work)(handlers, work.subscriptions, work.schedules)

    place.work(place.runner(twice))
    place.later(5)
    place.work(place.runner(twice))
    assert len(seen) == 2
    assert len(place.receiver.got) == 1
    assert len(place.deliveries(made["id"])) == 1


@pytest.mark.parametrize("host", HOSTS)
def test_addresses_are_judged_again_at_each_delivery(sqlite_place: Place, host: str) -> None:
    """A name that was public when it was registered resolves to a private address since."""
    place = sqlite_place
    made = place.register(TOPIC, url=f"https://{host}/hook")
    strict = type(LOCAL)()
    place.outbound = Outbound(
        strict, place.clock, resolver=lambda name, port, timeout_s: HOSTS[name]
    )
    place.publish(TOPIC)
    place.work()
    (row,) = place.deliveries(made["id"])
    (only,) = place.delivery(made["id"], row["id"])["attempt_log"]
    assert only["detail"].startswith("refused: ")
    assert not only["delivered"]
    assert place.receiver.got == []


def test_deliveries_are_kept_for_a_time(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.publish(TOPIC)
    place.work()
    place.later(29 * 86_400)
    place.work()
    assert len(place.deliveries(made["id"])) == 1
    place.later(2 * 86_400)
    place.work()
    assert place.deliveries(made["id"]) == []


def test_an_endpoint_whose_job_was_given_up_is_attended_to(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.publish(TOPIC)

    def without_pump(work: Any) -> Any:
        handlers = {
            kind: (lambda running: None) if kind.name == "webhooks.deliver" else handler
            for kind, handler in work.handlers.items()
        }
        return type(work)(handlers, work.subscriptions, work.schedules)

    place.work(place.runner(without_pump))
    assert place.deliveries(made["id"])[0]["status"] == "pending"
    place.later(1_300)
    place.work()
    assert place.deliveries(made["id"])[0]["status"] == "delivered"
