"""Rules and channels over HTTP: made, changed, listed, refused, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.alerts.desk import CHANNELS, AlertDesk
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.target import Guard
from llm_cost_ops.server.settings import DeliverySettings
from tests.support.alerts import Room
from tests.support.budgets import make_budget
from tests.support.calls import JSON, accepted, error, select_all, send

GUARD = Guard(DeliverySettings(), lambda host, port, timeout_s: [])
SLACK = "https://hooks.slack.com/services/T000/B000/canaryinurl"


def patch(room: Room, path: str, body: dict[str, Any]) -> Any:
    return room.app.request("PATCH", f"/api/v1{path}", content=dumps(body), headers=JSON)


def test_a_rule_from_its_making_to_its_end(room: Room) -> None:
    channel = room.channel()
    body = {
        "name": "spike",
        "type": "usage",
        "metric": "cost",
        "threshold": "12.50",
        "window": "week",
        "severity": "critical",
        "scope": {"team_id": "a", "tags": ["x"]},
        "channels": ["ops"],
        "cooldown_minutes": 30,
        "quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"},
        "escalation": [
            {"after_minutes": 60, "channels": [channel]},
            {"after_minutes": 15, "channels": ["ops"]},
        ],
    }
    made = accepted(send(room.app, "/alerts/rules", body), 201)
    assert made["channels"] == [channel]
    assert [step["after_minutes"] for step in made["escalation"]] == [15, 60]
    path = f"/alerts/rules/{made['id']}"
    assert accepted(room.app.get(f"/api/v1{path}"), 200) == made
    assert accepted(room.app.get("/api/v1/alerts/rules"), 200)["data"] == [made]
    changed = accepted(patch(room, path, {"threshold": 20, "quiet_hours": None}), 200)
    assert (changed["threshold"], changed["window"], "quiet_hours" in changed) == (
        20,
        "week",
        False,
    )
    slid = accepted(patch(room, path, {"window_minutes": 90}), 200)
    assert ("window" in slid, slid["window_minutes"]) == (False, 90)
    back = accepted(patch(room, path, {"window": "day"}), 200)
    assert (back["window"], "window_minutes" in back) == ("day", False)
    error(room.app.delete(f"/api/v1/alerts/channels/{channel}"), 409, "CONFLICT")
    assert room.app.delete(f"/api/v1{path}").status_code == 204
    error(room.app.get(f"/api/v1{path}"), 404, "NOT_FOUND")
    error(room.app.delete(f"/api/v1{path}"), 404, "NOT_FOUND")
    assert room.app.delete(f"/api/v1/alerts/channels/{channel}").status_code == 204
    actions = [
        row[0]
        for row in select_all(
            room.app,
            "SELECT action FROM audit_log WHERE organization_id = :org ORDER BY timestamp, id",
            org=room.app.organization_id,
        )
    ]
    assert sorted(each for each in actions if each.startswith("alert_rules")) == [
        "alert_rules.create", "alert_rules.delete", *["alert_rules.update"] * 3,
    ]  # fmt: skip


RULE = {"name": "x", "type": "usage", "threshold": 5}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "usage", "threshold": 5}, "name"),
        ({"name": "x"}, "type"),
        ({**RULE, "name": ""}, "name"),
        ({**RULE, "name": "a\nb"}, "name"),
        ({**RULE, "type": "weather"}, "type"),
        ({**RULE, "colour": "red"}, "colour"),
        ({**RULE, "threshold": None}, "threshold"),
        ({**RULE, "threshold": 0}, "threshold"),
        ({**RULE, "threshold": -1}, "threshold"),
        ({**RULE, "threshold": "1.5"}, "threshold"),
        ({**RULE, "threshold": "1E+999999"}, "threshold"),
        ({**RULE, "window": "day", "window_minutes": 5}, "window_minutes"),
        ({**RULE, "window": "year"}, "window"),
        ({**RULE, "window_minutes": 0}, "window_minutes"),
        ({**RULE, "metric": "joy"}, "metric"),
        ({**RULE, "group_by": "tags"}, "group_by"),
        ({**RULE, "severity": "fatal"}, "severity"),
        ({**RULE, "enabled": 1}, "enabled"),
        ({**RULE, "currency": "dollars"}, "currency"),
        ({**RULE, "scope": []}, "scope"),
        ({**RULE, "scope": {"colour": "red"}}, "scope.colour"),
        ({**RULE, "conditions": 5}, "conditions"),
        ({**RULE, "channels": ["nobody"]}, "channels"),
        ({**RULE, "channels": "ops"}, "channels"),
        ({**RULE, "channels": [5]}, "channels"),
        ({**RULE, "cooldown_minutes": -1}, "cooldown_minutes"),
        ({**RULE, "cooldown_minutes": True}, "cooldown_minutes"),
        ({**RULE, "quiet_hours": {"start": "22:00"}}, "quiet_hours.end"),
        ({**RULE, "escalation": [5]}, "escalation"),
        ({**RULE, "escalation": {}}, "escalation"),
        ({**RULE, "escalation": [{"after_minutes": 5}]}, "escalation.0.channels"),
        ({**RULE, "escalation": [{"channels": ["ops"]}]}, "escalation.0.after_minutes"),
        (
            {**RULE, "escalation": [{"after_minutes": 5, "channels": ["nobody"]}]},
            "escalation.0.channels",
        ),
        ({"name": "x", "type": "budget", "thresholds": []}, "thresholds"),
        ({"name": "x", "type": "budget", "thresholds": [0]}, "thresholds"),
        ({"name": "x", "type": "budget", "thresholds": 5}, "thresholds"),
        ({"name": "x", "type": "budget", "budget_ids": ["bud_none"]}, "budget_ids"),
        ({"name": "x", "type": "projected_breach", "probability": "101"}, "probability"),
        ({"name": "x", "type": "error_rate"}, "threshold"),
        ({"name": "x", "type": "error_rate", "threshold": 5, "window_minutes": 1441},
         "window_minutes"),
        ({"name": "x", "type": "digest", "weekday": "monday"}, "weekday"),
        ({"name": "x", "type": "digest", "time": "8"}, "time"),
        ({"name": "x", "type": "digest", "timezone": "Mars"}, "timezone"),
        ({"name": "x", "type": "digest", "timezone": 5}, "timezone"),
        ({"name": "x", "type": "price_change", "threshold": 5}, "threshold"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be(quick: Room, given: dict[str, Any], field: str) -> None:
    quick.channel()
    refused = error(send(quick.app, "/alerts/rules", given), 422)
    assert list(refused["field_errors"]) == [field]


def test_documented_names_of_kinds_and_conditions(quick: Room) -> None:
    made = make_budget(quick.app, amount=5)
    for given, kind in (
        ({"type": "error", "conditions": {"threshold": 5}}, "error_rate"),
        ({"type": "budget_threshold", "conditions": {"budget_ids": [made["id"]]}}, "budget"),
        ({"type": "high_cost", "threshold": 10}, "call_cost"),
    ):
        shown = accepted(send(quick.app, "/alerts/rules", {"name": "x", **given}), 201)
        assert (shown["type"], "conditions" in shown) == (kind, False)


def test_the_kind_of_a_rule_stays(quick: Room) -> None:
    rule = quick.rule("price_change")
    refused = error(patch(quick, f"/alerts/rules/{rule}", {"type": "digest"}), 422)
    assert list(refused["field_errors"]) == ["type"]


def sealed(room: Room) -> None:
    """Give the installation a secret key."""
    state = room.app.app.state
    state.alerts = AlertDesk(Vault("k" * 32, CHANNELS), room.send, None, GUARD)


def test_a_channel_from_its_making_to_its_end(room: Room) -> None:
    sealed(room)
    body = {"name": "chat", "type": "slack", "url": SLACK, "severities": ["critical"]}
    made = accepted(send(room.app, "/alerts/channels", body), 201)
    assert made["config"] == {"url": "https://hooks.slack.com/***"}
    assert (made["encrypted"], made["default"], made["enabled"]) == (True, True, True)
    path = f"/alerts/channels/{made['id']}"
    renamed = accepted(patch(room, path, {"name": "talk", "default": False}), 200)
    assert (renamed["name"], renamed["config"]) == ("talk", made["config"])
    assert accepted(room.app.get("/api/v1/alerts/channels/talk"), 200) == renamed
    assert accepted(room.app.get("/api/v1/alerts/channels"), 200)["data"] == [renamed]
    error(send(room.app, "/alerts/channels", {**body, "name": "talk"}), 409, "CONFLICT")
    stored = select_all(room.app, "SELECT config FROM alert_channels")[0][0]
    assert "canaryinurl" not in stored
    assert room.app.delete(f"/api/v1{path}").status_code == 204
    error(room.app.get(f"/api/v1{path}"), 404, "NOT_FOUND")


def test_no_answer_and_no_audit_entry_has_a_secret(quick: Room) -> None:
    quick.app.app.state.alerts = AlertDesk(Vault(None, CHANNELS), quick.send, None, GUARD)
    secret = "canary-secret-of-a-webhook-0123"
    kinds = (
        {"type": "slack", "url": SLACK},
        {"type": "webhook", "config": {"url": SLACK, "secret": secret}},
        {"type": "pagerduty", "routing_key": "canary0123456789canary0123456789"},
        {"type": "msteams", "url": SLACK},
    )
    texts: list[str] = []
    for place, kind in enumerate(kinds):
        made = send(quick.app, "/alerts/channels", {"name": f"c{place}", **kind})
        path = f"/api/v1/alerts/channels/{accepted(made, 201)['id']}"
        answers = [made, quick.app.get(path), quick.app.post(f"{path}/test")]
        answers.append(quick.app.request("PATCH", path, json={"enabled": False}))
        texts += [answer.text for answer in answers]
    texts += [str(row) for row in select_all(quick.app, "SELECT * FROM audit_log")]
    assert len(texts) > 20
    assert not [text for text in texts if "canary" in text]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "email", "recipients": ["a@example.com"]}, "name"),
        ({"name": "x"}, "type"),
        ({"name": "x", "type": "pigeon"}, "type"),
        ({"name": "x", "type": "email"}, "recipients"),
        ({"name": "x", "type": "email", "recipients": ["a"]}, "recipients"),
        ({"name": "x", "type": "email", "recipients": ["a@b.c\r\nBcc: d@e.f"]}, "recipients"),
        ({"name": "x", "type": "slack", "url": "ftp://example.com"}, "url"),
        ({"name": "x", "type": "slack", "url": SLACK, "colour": "red"}, "colour"),
        ({"name": "x", "type": "slack", "config": []}, "config"),
        ({"name": "x", "type": "slack", "url": SLACK, "severities": ["fatal"]}, "severities"),
        ({"name": "x", "type": "slack", "url": SLACK, "default": "yes"}, "default"),
    ],
)
def test_a_channel_that_cannot_be(quick: Room, given: dict[str, Any], field: str) -> None:
    refused = error(send(quick.app, "/alerts/channels", given), 422)
    assert list(refused["field_errors"]) == [field]


def test_the_kind_of_a_channel_stays(quick: Room) -> None:
    channel = quick.channel()
    refused = error(patch(quick, f"/alerts/channels/{channel}", {"type": "slack"}), 422)
    assert list(refused["field_errors"]) == ["type"]


def test_a_test_says_how_it_went(quick: Room) -> None:
    quick.app.app.state.alerts = AlertDesk(Vault(None, CHANNELS), quick.send, None, GUARD)
    quick.channel(recipients=["a@example.com", "b@example.com"])
    quick.outcomes = [Outcome(False, "550 no such user", 550, final=True)]
    found = accepted(quick.app.post("/api/v1/alerts/channels/ops/test"), 200)
    assert found["delivered"] is False
    assert [each["detail"] for each in found["results"]] == ["550 no such user", "HTTP 200"]
    assert [told.to for told in quick.told] == ["a@example.com", "b@example.com"]
    assert quick.told[0].notice.title == "Test of this channel"
    assert accepted(quick.app.post("/api/v1/alerts/channels/ops/test"), 200)["delivered"] is True
    error(quick.app.post("/api/v1/alerts/channels/nobody/test"), 404, "NOT_FOUND")


def test_nothing_of_another_organization(room: Room) -> None:
    channel, rule = room.channel(), room.rule("price_change")
    room.publish("cost.anomaly_detected", severity="high")
    alert = room.alerts()[0]["id"]
    other = room.app.another()
    for path in (
        f"/alerts/{alert}",
        f"/alerts/{alert}/history",
        f"/alerts/rules/{rule}",
        f"/alerts/channels/{channel}",
        "/alerts/channels/ops",
    ):
        error(other.get(f"/api/v1{path}"), 404, "NOT_FOUND")
    for verb in ("acknowledge", "resolve"):
        error(send(other, f"/alerts/{alert}/{verb}", {}), 404, "NOT_FOUND")
    given = {"name": "x", "type": "price_change", "channels": [channel]}
    error(send(other, "/alerts/rules", given), 422)
    for path in ("/alerts", "/alerts/rules", "/alerts/channels"):
        assert accepted(other.get(f"/api/v1{path}"), 200)["data"] == []
    assert room.alert(alert)["status"] == "active"


def test_lists_are_filtered_and_paged(room: Room) -> None:
    for number in range(5):
        room.publish("cost.anomaly_detected", value=f"v{number}", dimension="model",
                     severity="critical" if number % 2 else "low")  # fmt: skip
    every = [each["id"] for each in room.alerts()]
    room.act(every[0], "acknowledge")
    room.act(every[1], "resolve")

    def ids(**query: str) -> list[str]:
        return [each["id"] for each in room.alerts(**query)]

    assert ids(status="open") == [every[0], *every[2:]]
    assert ids(status="acknowledged,resolved") == every[:2]
    assert ids(severity="critical") == [every[1], every[3]]
    assert ids(type="budget") == []
    assert ids(since="2027-03-10", until="2027-03-11") == every
    assert ids(until="2027-03-10T12:00:00Z") == []
    assert ids(rule_id="alr_none") == []
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = accepted(room.app.get("/api/v1/alerts", params=query), 200)
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == every[::-1]
    assert ids(limit="2", offset="2") == every[1:3]
    for wrong in ({"status": "odd"}, {"severity": "odd"}, {"type": "odd"}, {"since": "odd"},
                  {"colour": "red"}):  # fmt: skip
        error(room.app.get("/api/v1/alerts", params=wrong), 422)
    error(room.app.get("/api/v1/budgets/bud_none/alerts"), 404, "NOT_FOUND")
