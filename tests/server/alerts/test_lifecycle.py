"""The life of an alert: taken care of, snoozed, escalated, cleared, and quiet at night."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.alerts import Room
from tests.support.budgets import make_budget
from tests.support.calls import accepted, error, send

ANOMALY = "cost.anomaly_detected"


def raised(room: Room, **fields: object) -> str:
    """The id of a new alert, of an anomaly that a rule or nobody asked for."""
    before = {each["id"] for each in room.alerts()}
    room.publish(
        ANOMALY,
        **{
            "date": "2027-03-09",
            "dimension": "model",
            "value": f"m{len(before)}",
            "actual_cost": 50,
            "expected_cost": 10,
            "severity": "medium",
            **fields,
        },
    )
    (new,) = [each["id"] for each in room.alerts() if each["id"] not in before]
    return new


def test_an_acknowledged_alert_escalates_no_more(room: Room) -> None:
    room.channel("first")
    room.channel("boss", default=False)
    room.channel("pager", type="pagerduty", routing_key="a" * 32)
    room.rule("anomaly", escalation=[{"after_minutes": 30, "channels": ["boss"]}])
    one, two = raised(room), raised(room)
    assert room.said() == [("first", "trigger"), ("", "trigger")] * 2
    answer = room.act(one, "acknowledge", comment="on it")
    assert answer["status"] == "acknowledged"
    assert room.said() == [("", "acknowledge")]  # machines keep a state, people need no message
    room.act(one, "acknowledge")
    assert room.said() == []
    room.later(minutes=29)
    assert room.said() == []
    room.later(minutes=2)
    assert [(told.to, told.notice.summary[:32]) for told in room.told] == [
        ("boss@example.com", "Nobody has acknowledged this yet")
    ]
    room.told.clear()
    assert room.history(two) == ["fired", "notified", "notified", "escalated", "notified"]
    acknowledged = next(e for e in room.alert(one)["history"] if e["type"] == "acknowledged")
    assert acknowledged["text"].endswith("on it")
    assert acknowledged["actor_id"].startswith("key_")


def test_a_snoozed_alert_keeps_quiet_and_comes_back(room: Room) -> None:
    room.channel()
    room.channel("boss", default=False)
    room.rule("anomaly", escalation=[{"after_minutes": 30, "channels": ["boss"]}])
    alert = raised(room)
    assert room.said() == [("ops", "trigger")]
    answer = room.act(alert, "snooze", minutes=60)
    assert (answer["status"], answer["snoozed_until"]) == ("snoozed", "2027-03-10T13:00:00Z")
    room.later(minutes=59)
    assert room.said() == []
    room.later(minutes=2)
    assert sorted(room.said()) == [("boss", "trigger"), ("ops", "trigger")]
    assert room.alert(alert)["status"] == "active"
    room.act(alert, "snooze", until="2027-03-10T15:00:00Z")
    room.act(alert, "snooze", until="2027-03-10T16:00:00Z")  # the first end is none any more
    room.later(hours=2.5)
    assert room.alert(alert)["status"] == "snoozed"
    room.act(alert, "resolve")
    assert sorted(room.said()) == [("boss", "resolve"), ("ops", "resolve")]
    room.later(hours=5)
    assert room.said() == []


def test_a_resolved_alert_stays_so(room: Room) -> None:
    room.channel()
    alert = raised(room)
    done = room.act(alert, "resolve", comment="a batch that was planned")
    assert done["status"] == "resolved"
    assert done["history"][-1]["type"] == "resolved"
    assert room.said() == [("ops", "trigger"), ("ops", "resolve")]
    again = room.act(alert, "resolve")
    assert again["resolved_at"] == done["resolved_at"]
    error(send(room.app, f"/alerts/{alert}/acknowledge", {}), 409, "CONFLICT")
    error(send(room.app, f"/alerts/{alert}/snooze", {"minutes": 5}), 409, "CONFLICT")
    assert room.act(alert, "comments", comment="see the wiki")["history"][-1]["text"] == (
        "see the wiki"
    )
    assert room.said() == []


def test_an_alert_that_nobody_ends_clears_by_itself(quick: Room) -> None:
    quick.channel()
    quick.rule("anomaly", auto_clear_minutes=45, notify_resolved=False)
    alert = raised(quick)
    quick.later(minutes=44)
    assert quick.alert(alert)["status"] == "active"
    quick.later(minutes=1)
    assert quick.history(alert)[-1] == "auto_cleared"
    assert quick.said() == [("ops", "trigger")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "minutes"),
        ({"minutes": 5, "until": "2027-03-10T15:00:00Z"}, "minutes"),
        ({"minutes": 0}, "minutes"),
        ({"until": "2027-03-10T12:00:00Z"}, "until"),
        ({"until": "2028-03-10T12:00:00Z"}, "until"),
        ({"until": "soon"}, "until"),
        ({"minutes": 5, "hours": 1}, "hours"),
    ],
)
def test_a_snooze_that_cannot_be(quick: Room, body: dict[str, object], field: str) -> None:
    alert = raised(quick)
    refused = error(send(quick.app, f"/alerts/{alert}/snooze", body), 422)
    assert list(refused["field_errors"]) == [field]


QUIET = {"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"}


def test_quiet_hours_hold_all_but_what_is_critical(room: Room) -> None:
    room.channel()
    room.rule("anomaly", quiet_hours=QUIET)
    room.clock.current = datetime(2027, 3, 10, 21, tzinfo=UTC)  # 22:00 in Berlin
    held = raised(room)
    critical = raised(room, severity="critical")
    assert [told.notice.alert_id for told in room.told] == [critical]
    room.told.clear()
    room.later(hours=8, minutes=59)
    assert room.said() == []
    room.later(minutes=1)
    assert [told.notice.alert_id for told in room.told] == [held]
    due = room.alert(held)["deliveries"][0]["due_at"]
    assert due == "2027-03-11T06:00:00Z"


def test_what_ends_in_quiet_hours_is_not_told_at_all(room: Room) -> None:
    room.channel()
    room.rule("anomaly", quiet_hours=QUIET)
    room.clock.current = datetime(2027, 3, 10, 22, tzinfo=UTC)
    alert = raised(room)
    room.act(alert, "resolve")
    room.later(hours=10)
    assert room.said() == []
    assert [each["state"] for each in room.alert(alert)["deliveries"]] == ["skipped"] * 2


def test_critical_ones_are_held_where_that_is_asked_for(quick: Room) -> None:
    quick.channel()
    quick.rule("anomaly", quiet_hours={**QUIET, "hold_critical": True})
    quick.clock.current = datetime(2027, 3, 10, 22, tzinfo=UTC)
    raised(quick, severity="critical")
    assert quick.said() == []


def test_a_cooldown_suppresses_what_comes_again(room: Room) -> None:
    room.channel()
    room.rule("anomaly", cooldown_minutes=60)
    alert = raised(room, value="a")
    room.act(alert, "resolve")
    room.told.clear()
    for day in ("2027-03-10", "2027-03-11"):
        room.publish(ANOMALY, date=day, dimension="model", value="a", severity="high")
    assert len(room.alerts()) == 1
    assert room.history(alert).count("suppressed") == 1
    assert room.said() == []
    other = raised(room, value="b")  # of another subject
    assert other != alert
    room.clock.current = datetime(2027, 3, 10, 13, tzinfo=UTC)
    raised(room, value="a", date="2027-03-12")


def test_a_clock_that_was_set_back_suppresses_nothing(quick: Room) -> None:
    quick.rule("anomaly", cooldown_minutes=60)
    raised(quick, value="a")
    quick.clock.current = datetime(2027, 3, 10, 11, tzinfo=UTC)
    raised(quick, value="a", date="2027-03-12")


def test_severities_are_routed(room: Room) -> None:
    room.channel("all")
    room.channel("urgent", severities=["critical"])
    room.channel("off", enabled=False)
    make_budget(room.app, amount=10, alert_thresholds=["0.5", 1])
    room.spend(10)
    assert sorted(room.said()) == [("all", "trigger"), ("all", "trigger"), ("urgent", "trigger")]


def test_a_rule_says_how_severe_it_is(quick: Room) -> None:
    quick.rule("anomaly", severity="critical")
    assert quick.alert(raised(quick, severity="low"))["severity"] == "critical"


def test_acts_are_idempotent_by_key(room: Room) -> None:
    alert = raised(room)
    headers = {"Idempotency-Key": "one"}
    answers = [
        accepted(
            send(room.app, f"/alerts/{alert}/comments", {"comment": "x"}, headers=headers), 200
        )
        for _ in range(3)
    ]
    assert answers[0] == answers[1] == answers[2]
    assert room.history(alert).count("comment") == 1
