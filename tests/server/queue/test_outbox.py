"""The relay: every committed event to every subscription once, in the order of an organization."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import event

from llm_cost_ops.server.db.session import ReadSession, write
from llm_cost_ops.server.queue.outbox import EVENTS_A_JOB, RELAY_LIMIT, Event, publish, relay
from llm_cost_ops.server.queue.tables import jobs, outbox
from llm_cost_ops.server.queue.work import Kind, Subscription
from tests.server.queue.conftest import Place

ALERTS, BOOKS = Kind("test.alerts", max_attempts=2), Kind("test.books")
SUBSCRIPTIONS = [
    Subscription("alerts", "usage", ALERTS),
    Subscription("books", "usage", BOOKS),
    Subscription("prices", "price", BOOKS),
]


def told(place: Place, kind: Kind, organization_id: str) -> list[Any]:
    """What a kind's handler was told of an organization, in order."""
    return [
        event["payload"]["n"]
        for job in place.ran
        if job.kind == kind.name and job.organization_id == organization_id
        for event in job.payload["events"]
    ]


def publish_now(
    place: Place, *numbers: int, organization_id: str = "a", topic: str = "usage"
) -> None:
    with write(place.database) as session:
        events = [Event(organization_id, topic, {"n": n}) for n in numbers]
        publish(session, events, now_us=place.now_us)


def test_each_subscription_is_told_once_in_order(place: Place) -> None:
    runners = [place.runner(kinds=[ALERTS, BOOKS], subscriptions=SUBSCRIPTIONS) for _ in range(2)]
    publish_now(place, 1, 2, 3)
    publish_now(place, 9, organization_id="b")
    place.later(1)
    publish_now(place, 4)
    publish_now(place, 5, topic="price")
    publish_now(place, 6, topic="nobody.cares")
    for runner in runners:
        place.work_off(runner)
    place.later(1)
    publish_now(place, 7)
    for runner in runners:
        place.work_off(runner)
    assert told(place, ALERTS, "a") == [1, 2, 3, 4, 7]
    assert sorted(told(place, BOOKS, "a")) == [1, 2, 3, 4, 5, 7]
    assert told(place, ALERTS, "b") == told(place, BOOKS, "b") == [9]
    (first, *_) = place.ran[0].payload["events"]
    assert set(first) == {"id", "topic", "created_at", "payload"}
    assert all(row.delivered_at for row in place.rows(outbox))


def test_an_event_that_commits_late_is_not_lost(place: Place) -> None:
    """Its id is older than one that was relayed already."""
    if place.database.kind == "sqlite":
        pytest.skip("SQLite transactions commit in the order in which they begin to write")
    runner = place.runner(kinds=[ALERTS, BOOKS], subscriptions=SUBSCRIPTIONS)
    with write(place.database) as slow:
        publish(slow, [Event("a", "usage", {"n": 1})], now_us=place.now_us)
        place.later(1)
        publish_now(place, 2)
        place.work_off(runner)
        assert told(place, ALERTS, "a") == [2]
    place.work_off(runner)
    assert told(place, ALERTS, "a") == [2, 1]


def test_an_event_that_was_rolled_back_is_told_to_nobody(place: Place) -> None:
    def refused() -> None:
        with write(place.database) as session:
            publish(session, [Event("a", "usage", {"n": 1})], now_us=place.now_us)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        refused()
    place.work_off(place.runner(kinds=[ALERTS, BOOKS], subscriptions=SUBSCRIPTIONS))
    assert place.ran == []


def test_one_relay_at_a_time(place: Place) -> None:
    if place.database.kind == "sqlite":
        pytest.skip("SQLite has one writer")
    publish_now(place, 1)
    with write(place.database) as one:
        assert relay(one, SUBSCRIPTIONS, now_us=place.now_us) == 1
        with write(place.database) as other:
            assert relay(other, SUBSCRIPTIONS, now_us=place.now_us) == 0
    assert len(place.rows(jobs)) == 2


def test_a_subscriber_that_fails_holds_up_its_own_organization_alone(quick_place: Place) -> None:
    place = quick_place

    def handler(running: Any) -> None:
        if running.job.organization_id == "a" and running.job.kind == ALERTS.name:
            raise ValueError("down")

    runner = place.runner(handler, kinds=[ALERTS, BOOKS], subscriptions=SUBSCRIPTIONS)
    publish_now(place, 1)
    publish_now(place, 2, organization_id="b")
    place.work_off(runner)
    publish_now(place, 3)
    place.work_off(runner)
    assert told(place, ALERTS, "a") == [1]
    assert told(place, ALERTS, "b") == [2]
    assert told(place, BOOKS, "a") == [1, 3]
    place.later(3600)
    place.work_off(runner)
    place.later(3600)
    place.work_off(runner)
    assert told(place, ALERTS, "a")[:3] == [1, 1, 3]  # dead after its last attempt, then the next


def test_many_events_are_relayed_in_portions(quick_place: Place) -> None:
    place = quick_place
    publish_now(place, *range(RELAY_LIMIT + EVENTS_A_JOB + 1))
    runner = place.runner(kinds=[ALERTS, BOOKS], subscriptions=SUBSCRIPTIONS, concurrency=64)
    place.work_off(runner)
    assert told(place, ALERTS, "a") == list(range(RELAY_LIMIT + EVENTS_A_JOB + 1))
    assert max(len(job.payload["events"]) for job in place.ran) == EVENTS_A_JOB


def test_publishing_is_one_statement(quick_place: Place) -> None:
    statements: list[str] = []
    engine = quick_place.database.writer
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    publish_now(quick_place, 1, 2, 3)
    (statement,) = [each for each in statements if not each.startswith(("BEGIN", "SELECT"))]
    assert statement.startswith("INSERT INTO outbox")
    assert statements[-1] == statement
    assert not quick_place.database.bell.wait(0)  # a commit of usage wakes nobody


def test_further_topics_share_one_order(place: Place) -> None:
    both = [Subscription("books", "usage", BOOKS, further=("price",))]
    runner = place.runner(kinds=[BOOKS], subscriptions=both)
    for n, topic in enumerate(("usage", "price", "usage", "nobody.cares", "price")):
        publish_now(place, n, topic=topic)
        place.later(1)
    place.work_off(runner)
    assert told(place, BOOKS, "a") == [0, 1, 2, 4]
    assert len(place.ran) == 1


def test_no_jobs_are_made_for_who_wants_none(place: Place) -> None:
    asked: list[list[str]] = []

    def wanted(session: ReadSession, organization_ids: Collection[str]) -> Collection[str]:
        asked.append(sorted(organization_ids))
        return {"b"}

    picky = [
        Subscription("books", "usage", BOOKS, wanted=wanted),
        Subscription("alerts", "usage", ALERTS),
    ]
    runner = place.runner(kinds=[ALERTS, BOOKS], subscriptions=picky)
    publish_now(place, 1)
    publish_now(place, 2, organization_id="b")
    publish_now(place, 3, organization_id="c", topic="nobody.cares")
    place.work_off(runner)
    assert asked == [["a", "b"]]
    assert told(place, BOOKS, "a") == []
    assert told(place, BOOKS, "b") == [2]
    assert told(place, ALERTS, "a") == [1]
    publish_now(place, 4, topic="nobody.cares")
    place.work_off(runner)
    assert len(asked) == 1
