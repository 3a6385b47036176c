"""Events for PagerDuty: one incident for all moments of an alert, judged by its rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from llm_cost_ops.server.delivery.channels import Channel, PagerDutyChannel
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.notice import Fact, Notice, Outcome
from llm_cost_ops.server.delivery.pagerduty import (
    CHANGE,
    ENQUEUE,
    MAX_KEY,
    incident_key,
    pagerduty_event,
)
from llm_cost_ops.server.delivery.sample import try_channel
from tests.server.delivery import pagerduty_rules
from tests.server.delivery.notices import (
    ACKNOWLEDGED,
    ALL,
    ANOMALY,
    BUDGET,
    DIGEST,
    RESOLVED,
    crowded,
    hostile_notices,
)
from tests.support.sink import Got, Reply, Sink

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEY = "R0uting" + "K3y" * 8 + "x"


def channel(service: Sink) -> PagerDutyChannel:
    return PagerDutyChannel(routing_key=KEY, url=f"http://127.0.0.1:{service.port}")


class PagerDuty:
    """Opens, acknowledges and resolves incidents by their keys, as the service does."""

    def __init__(self) -> None:
        self.incidents: dict[str, str] = {}
        self.changes: list[dict[str, Any]] = []

    def __call__(self, got: Got) -> Reply:
        event = json.loads(got.body)
        wrong = pagerduty_rules.faults(got.path, event, len(got.body))
        if wrong:
            said = {
                "status": "invalid event",
                "message": "Event object is invalid",
                "errors": wrong,
            }
            return Reply(400, body=json.dumps(said).encode())
        if got.path == CHANGE:
            self.changes.append(event)
            return Reply(202, body=b'{"status":"success","message":"Change event processed"}')
        self._apply(event["event_action"], event["dedup_key"])
        said = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return Reply(202, body=json.dumps(said).encode())

    def _apply(self, action: str, key: str) -> None:
        if action == "trigger":
            self.incidents.setdefault(key, "triggered")
        elif action == "acknowledge" and key in self.incidents:
            self.incidents[key] = "acknowledged"
        elif action == "resolve":
            self.incidents.pop(key, None)


def test_an_incident_from_trigger_to_resolve(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    pager = PagerDuty()
    service.answer = pager
    states = list[dict[str, str]]()
    for notice in (BUDGET, BUDGET, ACKNOWLEDGED, RESOLVED):
        outcome = deliver(channel(service), notice, through=carriers(), delivery_id="job_1")
        assert (outcome.delivered, outcome.status) == (True, 202)
        states.append(dict(pager.incidents))
    key = BUDGET.dedup_key
    assert states == [{key: "triggered"}, {key: "triggered"}, {key: "acknowledged"}, {}]
    trigger, _, acknowledge, resolve = (json.loads(got.body) for got in service.got)
    assert trigger["payload"] == {
        "summary": BUDGET.summary,
        "source": "Acme",
        "severity": "warning",
        "component": "LLM Cost Ops",
        "timestamp": "2026-11-27T12:00:00Z",
        "custom_details": {
            "Alert": "Budget “Chat production” is 81 % spent",
            "Spent": "USD 812.40 of 1,000.00 (81.2 %)",
            "Threshold": "80 %, reached on 26 Nov 2026, 14:05 CET",
            "Period": "1 to 30 November 2026",
            "Burn rate": "USD 41.20 a day, USD 31.20 in the last period",
            "Projected": "USD 973.00 to 1,041.00 (95 %)",
            "Since": "26 Nov 2026, 14:05 CET",
            "Top drivers": [
                "gpt-4o in project chat: USD 499.63 (61.5 %)",
                "claude-sonnet-4-5 in project search: USD 203.10 (25.0 %)",
                "text-embedding-3-large in project search: USD 61.77 (7.6 %)",
                "everything else: USD 47.90 (5.9 %)",
            ],
            "Alert id": "alt_01KA0D2V7Q8MZ3",
        },
    }
    assert trigger["links"] == [{"href": BUDGET.link, "text": "Open in LLM Cost Ops"}]
    assert (trigger["client"], trigger["client_url"]) == ("LLM Cost Ops", BUDGET.link)
    common = {"routing_key": KEY, "dedup_key": key}
    assert acknowledge == {**common, "event_action": "acknowledge"}
    assert resolve == {**common, "event_action": "resolve"}


def test_a_tried_channel_leaves_no_incident(
    service: Sink, carriers: Callable[..., Carriers]
) -> None:
    pager = PagerDuty()
    service.answer = pager

    def send(to: Channel, notice: Notice, delivery_id: str) -> Outcome:
        return deliver(to, notice, through=carriers(), delivery_id=delivery_id)

    outcomes = try_channel(channel(service), "Acme", "test_1", send)
    assert [(each.delivered, each.status) for each in outcomes] == [(True, 202)]
    actions = [json.loads(got.body)["event_action"] for got in service.got]
    assert actions == ["trigger", "resolve"]
    assert pager.incidents == {}


@pytest.mark.parametrize(("replies", "calls"), [([500], 1), ([202, 500], 2)])
def test_a_tried_channel_that_fails(
    service: Sink, carriers: Callable[..., Carriers], replies: list[int], calls: int
) -> None:
    service.replies = [Reply(status) for status in replies]

    def send(to: Channel, notice: Notice, delivery_id: str) -> Outcome:
        return deliver(to, notice, through=carriers(), delivery_id=delivery_id)

    (outcome,) = try_channel(channel(service), "Acme", "test_1", send)
    assert (outcome.delivered, outcome.status, len(service.got)) == (False, 500, calls)


def test_a_digest_wakes_nobody(service: Sink, carriers: Callable[..., Carriers]) -> None:
    pager = PagerDuty()
    service.answer = pager
    outcome = deliver(channel(service), DIGEST, through=carriers(), delivery_id="job_1")
    assert outcome.delivered
    assert pager.incidents == {}
    (change,) = pager.changes
    assert change["payload"]["summary"] == DIGEST.summary
    assert change["payload"]["custom_details"]["Total"] == "USD 4,210.55"
    assert len(change["payload"]["custom_details"]["Top drivers"]) == len(DIGEST.drivers)


@pytest.mark.parametrize(
    "base", ["", "/", "/v2/enqueue", "/v2/enqueue/"], ids=["bare", "slash", "path", "path-slash"]
)
def test_the_url_may_name_the_path(
    service: Sink, carriers: Callable[..., Carriers], base: str
) -> None:
    service.answer = PagerDuty()
    url = f"http://127.0.0.1:{service.port}{base}"
    to = PagerDutyChannel(routing_key=KEY, url=url)
    assert deliver(to, ANOMALY, through=carriers(), delivery_id="job_1").delivered
    assert deliver(to, DIGEST, through=carriers(), delivery_id="job_2").delivered
    assert [got.path for got in service.got] == [ENQUEUE, CHANGE]


@given(hostile_notices())
def test_any_text_in_any_field_stays_text(notice: Notice) -> None:
    to = PagerDutyChannel(routing_key=KEY)
    event = pagerduty_event(to, notice, NOW)
    path = CHANGE if notice.moment == "digest" else ENQUEUE
    size = len(json.dumps(event, ensure_ascii=False).encode())
    faults = pagerduty_rules.faults(path, event, size)
    # Whether an alert without any name has a key is for whoever makes it.
    assert [each for each in faults if each != "dedup_key" or notice.dedup_key] == []
    if "payload" in event:
        details = event["payload"]["custom_details"]
        extra = 2 + bool(notice.drivers) + (notice.since is not None)
        assert len(details) == len(notice.facts) + extra


def test_facts_of_the_same_name_are_all_there() -> None:
    facts = (Fact("Alert", "1"), Fact("Spent", "2"), Fact("Spent", "3"), Fact("", "4"))
    event = pagerduty_event(
        PagerDutyChannel(routing_key=KEY), replace(ANOMALY, facts=facts, drivers=()), NOW
    )
    details = event["payload"]["custom_details"]
    assert [details[name] for name in ("Alert (2)", "Spent", "Spent (2)", "")] == list("1234")


@pytest.mark.parametrize("text", ["w" * 500, "🙂" * 3000])
def test_the_largest_event(text: str) -> None:
    event = pagerduty_event(PagerDutyChannel(routing_key=KEY), crowded(1000, text), NOW)
    size = len(json.dumps(event, ensure_ascii=False).encode())
    assert pagerduty_rules.faults(CHANGE, event, size) == []


def test_keys() -> None:
    def key(text: str) -> str:
        return incident_key(replace(BUDGET, dedup_key=text))

    assert key("k" * MAX_KEY) == "k" * MAX_KEY
    long = key("k" * (MAX_KEY + 1))
    assert len(long) == MAX_KEY
    assert long == key("k" * (MAX_KEY + 1)) != key("k" * (MAX_KEY + 2))
    assert key("a b\n").startswith("ab:")
    assert key("a b\n") != key("a b")
    assert key("") == BUDGET.alert_id
    assert all(incident_key(each).isascii() for each in ALL)


def test_the_summary_falls_back_to_the_title() -> None:
    to = PagerDutyChannel(routing_key=KEY)
    bare = replace(ANOMALY, summary=" ", organization="", link=None)
    event = pagerduty_event(to, bare, NOW)
    assert event["payload"]["summary"] == ANOMALY.title
    assert event["payload"]["source"] == "LLM Cost Ops"
    assert not {"links", "client_url"} & set(event)
    nameless = pagerduty_event(to, replace(bare, title=""), NOW)
    assert nameless["payload"]["summary"] == "LLM Cost Ops"


@pytest.mark.parametrize(
    ("reply", "final", "wait_s"),
    [
        (Reply(400, body=b'{"status":"invalid event"}'), True, None),
        (Reply(429, {"Retry-After": "60"}, b""), False, 60.0),
        (Reply(500, body=b""), False, None),
        (Reply(503, body=b""), False, None),
    ],
)
def test_answers(
    service: Sink,
    carriers: Callable[..., Carriers],
    reply: Reply,
    final: bool,
    wait_s: float | None,
) -> None:
    service.replies = [reply]
    outcome = deliver(channel(service), ANOMALY, through=carriers(), delivery_id="job_1")
    assert (outcome.delivered, outcome.status) == (False, reply.status)
    assert (outcome.final, outcome.retry_after_s) == (final, wait_s)


def test_an_answer_that_repeats_the_key(service: Sink, carriers: Callable[..., Carriers]) -> None:
    service.replies = [Reply(400, body=f"unknown routing key {KEY}".encode())]
    outcome = deliver(channel(service), ANOMALY, through=carriers(), delivery_id="job_1")
    assert outcome.detail == "HTTP 400 Bad Request: unknown routing key ***"
