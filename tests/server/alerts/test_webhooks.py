"""A webhook that nothing reached for five days: disabled, told by mail, and over when it is enabled
(RELIABILITY, row 22)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llm_cost_ops.server.alerts import jobs as alert_jobs
from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.alerts.sending import Sender
from llm_cost_ops.server.delivery.channels import EmailChannel
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.queue.runner import Pace, Runner
from llm_cost_ops.server.queue.work import together
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.webhooks import jobs as webhook_jobs
from tests.server.webhooks.conftest import LOCAL, reached
from tests.support.alerts import PUBLIC_URL, Room
from tests.support.calls import accepted, body_of, send
from tests.support.sink import Reply, Sink, sink

TOPIC = "budget.exceeded"
HOUR_S = 3600


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as made:
        yield made


def webhook(room: Room, receiver: Sink) -> str:
    """The id of a webhook of a room whose worker delivers to it, too."""
    reached(room.app, LOCAL)
    database, clock = room.app.database, room.clock
    sender = Sender(database, clock, room.send, Vault(None, CHANNELS), PUBLIC_URL)
    outbound = Outbound(LOCAL, clock)
    works = [
        webhook_jobs.work(Settings(), database, clock, outbound, random=lambda: 0.0),
        alert_jobs.work(database, clock, sender, 400),
    ]
    room.runner = Runner(
        database,
        together(works),
        clock,
        pace=Pace(concurrency=2),
        spawn=lambda run: run(),
        sleep=lambda _: None,
        jitter=lambda: 0.0,
    )
    body = {"url": f"{receiver.url}/path-that-is-a-secret", "events": [TOPIC]}
    return str(accepted(send(room.app, "/webhooks", body), 201)["id"])


def state(room: Room, webhook_id: str) -> tuple[bool, str | None]:
    shown = body_of(room.app.get(f"/api/v1/webhooks/{webhook_id}"))
    return shown["enabled"], shown["disabled_reason"]


def enable(room: Room, webhook_id: str) -> None:
    path = f"/api/v1/webhooks/{webhook_id}"
    assert room.app.request("PUT", path, json={"enabled": True}).status_code == 200
    room.work()


def test_down_for_five_days(room: Room, receiver: Sink) -> None:
    room.channel("ops", default=False)
    room.channel("boss", default=False, severities=["critical"])
    room.channel("chat", type="webhook", url="https://chat.example.com/x")
    own = webhook(room, receiver)
    receiver.replies = [Reply(500)]
    room.publish(TOPIC, budget_name="b")
    for _ in range(24):
        room.later(hours=5)
    assert state(room, own) == (True, None)
    assert room.alerts() == []
    room.publish(TOPIC, budget_name="b")
    assert state(room, own) == (False, "failing")
    alert = room.only()
    assert (alert["type"], alert["severity"], alert["status"]) == (
        "webhook_disabled", "warning", "active",
    )  # fmt: skip
    assert alert["title"] == f"Webhook disabled: 127.0.0.1:{receiver.port}"
    assert "nothing was delivered since 2027-03-10 12:00 UTC" in alert["summary"]
    assert "replay" in alert["summary"]
    assert alert["details"]["webhook_id"] == own
    mails = [told for told in room.told if isinstance(told.channel, EmailChannel)]
    assert [told.to for told in mails] == ["ops@example.com"]
    assert len(room.told) == 2
    assert "path-that-is-a-secret" not in str([told.notice for told in room.told])
    room.told.clear()
    receiver.replies = [Reply(200)]
    room.publish(TOPIC, budget_name="left out")
    enable(room, own)
    assert room.only()["status"] == "resolved"
    assert {(told.to, told.notice.moment) for told in room.told} == {
        ("ops@example.com", "resolve"), ("", "resolve"),
    }  # fmt: skip
    replayed = {"start": "2027-03-01T00:00:00Z"}
    answer = send(room.app, f"/webhooks/{own}/replay", replayed)
    # The first, which had all its attempts, and the one of the time in which it was disabled.
    assert accepted(answer, 202)["replayed"] == 2
    receiver.got.clear()
    room.work()
    assert len(receiver.got) == 2


@pytest.mark.parametrize("end", ["enabled", "removed"])
def test_a_receiver_that_is_gone(quick: Room, receiver: Sink, end: str) -> None:
    quick.channel()
    own = webhook(quick, receiver)
    receiver.replies = [Reply(410)]
    quick.publish(TOPIC, budget_name="b")
    assert state(quick, own) == (False, "gone")
    assert quick.only()["summary"].endswith("its receiver answered 410 (gone).")
    assert quick.said() == [("ops", "trigger")]
    if end == "enabled":
        enable(quick, own)
    else:
        assert quick.app.delete(f"/api/v1/webhooks/{own}").status_code == 204
        quick.work()
    assert quick.only()["status"] == "resolved"
    assert quick.said() == [("ops", "resolve")]


def test_a_rule_says_whom_to_tell_and_how_urgently(quick: Room, receiver: Sink) -> None:
    quick.channel("ops")
    pager = quick.channel("pager", default=False)
    quick.rule("webhook_disabled", severity="critical", channels=[pager])
    webhook(quick, receiver)
    receiver.replies = [Reply(410)]
    quick.publish(TOPIC, budget_name="b")
    assert quick.only()["severity"] == "critical"
    assert quick.said() == [("pager", "trigger")]


def test_what_somebody_has_dealt_with_before_it_was_told(quick: Room) -> None:
    quick.channel()
    told: dict[str, Any] = {
        "webhook_id": "whk_0",
        "url": "https://example.com/",
        "reason": "gone",
        "failing_since": "2027-03-10T12:00:00Z",
    }
    quick.publish("webhook.disabled", **told)
    quick.publish("webhook.restored", webhook_id="whk_0")
    assert quick.alerts() == []


def test_one_that_is_disabled_by_its_owner_is_no_alert(quick: Room, receiver: Sink) -> None:
    quick.channel()
    own = webhook(quick, receiver)
    path = f"/api/v1/webhooks/{own}"
    assert quick.app.request("PUT", path, json={"enabled": False}).status_code == 200
    enable(quick, own)
    assert quick.alerts() == []
    assert quick.told == []
