"""Who is told and when: replayed deliveries, quiet hours, alerts that get worse, silence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.queue import dead_letters
from tests.server.alerts.test_apart import dead
from tests.server.alerts.test_kinds import call
from tests.server.alerts.test_lifecycle import QUIET, raised
from tests.support.alerts import Room
from tests.support.budgets import make_budget
from tests.support.calls import accepted, error, put, send, tamper

REFUSED = Outcome(False, "535 bad credentials", 535, final=True)


def replay(room: Room) -> None:
    (job,) = dead(room)
    with write(room.app.database) as session:
        dead_letters.replay(session, None, job["id"], now_us=room.clock.micros())
    room.work()


def test_a_replayed_dead_letter_is_sent(room: Room) -> None:
    room.channel()
    room.outcomes = [REFUSED, REFUSED]
    alert = raised(room)
    assert room.alert(alert)["deliveries"][0]["state"] == "failed"
    replay(room)
    assert room.alert(alert)["deliveries"][0]["state"] == "failed"
    replay(room)
    found = room.alert(alert)["deliveries"][0]
    assert (found["state"], found["attempts"]) == ("delivered", 3)
    assert room.said() == [("ops", "trigger")] * 3
    assert room.history(alert) == ["fired", "failed", "failed", "notified"]
    room.act(alert, "resolve")
    assert room.said() == [("ops", "resolve")]


def test_a_replayed_dead_letter_of_what_is_over_is_not_sent(quick: Room) -> None:
    quick.channel()
    quick.outcomes = [REFUSED]
    alert = raised(quick)
    quick.act(alert, "resolve")
    quick.told.clear()
    replay(quick)
    assert quick.said() == []
    assert quick.alert(alert)["deliveries"][0]["state"] == "skipped"


NIGHT = datetime(2027, 3, 10, 22, tzinfo=UTC)
MORNING_H = 8


def test_an_escalation_waits_until_somebody_can_know(room: Room) -> None:
    room.channel("first")
    room.channel("boss", default=False)
    room.rule(
        "anomaly", quiet_hours=QUIET, escalation=[{"after_minutes": 30, "channels": ["boss"]}]
    )
    room.clock.current = NIGHT
    raised(room)
    room.later(hours=MORNING_H)
    assert room.said() == [("first", "trigger")]
    room.later(minutes=29)
    assert room.said() == []
    room.later(minutes=2)
    assert room.said() == [("boss", "trigger")]


@pytest.mark.parametrize("verb", ["resolve", "acknowledge"])
def test_a_machine_hears_of_the_end_also_in_quiet_hours(room: Room, verb: str) -> None:
    room.channel("ops")
    room.channel("pager", type="pagerduty", routing_key="a" * 32)
    room.rule("anomaly", quiet_hours=QUIET)
    room.clock.current = datetime(2027, 3, 10, 20, tzinfo=UTC)
    alert = raised(room)
    assert len(room.said()) == 2
    room.clock.current = NIGHT
    room.act(alert, verb)
    assert [(told.channel.kind, told.notice.moment) for told in room.told] == [("pagerduty", verb)]
    room.told.clear()
    room.later(hours=MORNING_H)
    assert room.said() == ([("ops", "resolve")] if verb == "resolve" else [])


def test_quiet_hours_go_by_the_clock_of_the_organization(quick: Room) -> None:
    tamper(quick.app, "UPDATE organizations SET time_zone = 'Asia/Tokyo'")
    rule = quick.rule("anomaly", quiet_hours={"start": "22:00", "end": "07:00"})
    shown = accepted(quick.app.get(f"/api/v1/alerts/rules/{rule}"), 200)
    assert shown["quiet_hours"]["timezone"] == "Asia/Tokyo"
    other = quick.rule("usage", threshold=1, quiet_hours={**QUIET, "days": None})
    shown = accepted(quick.app.get(f"/api/v1/alerts/rules/{other}"), 200)
    assert shown["quiet_hours"] == QUIET


def test_what_gets_worse_is_told_to_those_who_take_the_worst(room: Room) -> None:
    room.channel("all")
    room.channel("urgent", severities=["critical"])
    room.rule("error_rate", threshold="0.1", min_requests=10)
    call(room, 9)
    call(room, 1, status="failed")
    assert room.said() == [("all", "trigger")]
    call(room, 1, status="failed")
    assert room.said() == []
    call(room, 9, status="failed")  # 11 of 20
    alert = room.only()
    assert alert["severity"] == "critical"
    assert alert["title"] == "error_rate: 55 % of calls failed"
    assert sorted((told.to, told.notice.severity) for told in room.told) == [
        ("all@example.com", "critical"), ("urgent@example.com", "critical"),
    ]  # fmt: skip
    assert {told.notice.summary.partition(".")[0] for told in room.told} == {
        "This got worse and is critical now"
    }
    room.told.clear()
    assert room.history(alert["id"]).count("worsened") == 1
    call(room, 9, status="failed")
    assert room.said() == []


def test_what_gets_worse_in_good_hands_is_noted(quick: Room) -> None:
    quick.channel()
    quick.rule("error_rate", threshold="0.1", min_requests=10)
    call(quick, 9)
    call(quick, 1, status="failed")
    quick.act(quick.only()["id"], "acknowledge")
    quick.told.clear()
    call(quick, 20, status="failed")
    assert quick.said() == []
    assert "worsened" in quick.history(quick.only()["id"])


def test_failures_are_driven_by_what_failed(room: Room) -> None:
    room.rule("error_rate", threshold="0.1", min_requests=10, scope={"tags": ["prod"]})
    call(room, 20, tags=["prod"], project_id="big")
    call(room, 2, tags=["prod"], status="failed", project_id="small", model="gpt-4o-mini")
    call(room, 1, tags=["prod"], status="failed", project_id="big")
    call(room, 5, status="failed", project_id="other")
    alert = room.only()
    room.act(alert["id"], "resolve")
    room.later(minutes=61)
    call(room, 10, tags=["prod"], status="failed", project_id="big")
    assert room.alert(alert["id"])["drivers"] == [
        {"name": "gpt-4o-mini in project small", "amount": "2 failures", "share": "66.7 %"},
        {"name": "gpt-4o in project big", "amount": "1 failures", "share": "33.3 %"},
    ]


def test_an_alert_that_nobody_is_told_of_says_so(quick: Room) -> None:
    quick.channel("urgent", severities=["critical"])
    alert = raised(quick)
    assert quick.history(alert) == ["fired", "not_told"]
    critical = raised(quick, severity="critical")
    assert quick.history(critical) == ["fired", "notified"]


def test_switching_the_only_rule_off_silences(room: Room) -> None:
    room.channel()
    make_budget(room.app, amount=10, alert_thresholds=["0.5"])
    rule = room.rule("budget")
    path = f"/alerts/rules/{rule}"
    accepted(put(room.app, path, {"enabled": False}), 200)
    room.spend(6)
    assert room.alerts() == []
    assert room.app.delete(f"/api/v1{path}").status_code == 204
    room.spend(6)
    assert [each["details"]["threshold"] for each in room.alerts()] == [None]  # by the default


def test_a_rule_whose_budget_is_gone_can_be_changed(quick: Room) -> None:
    gone = make_budget(quick.app, amount=10)["id"]
    rule = quick.rule("budget", budget_ids=[gone])
    assert quick.app.delete(f"/api/v1/budgets/{gone}").status_code == 204
    path = f"/alerts/rules/{rule}"
    assert accepted(put(quick.app, path, {"enabled": False}), 200)["budget_ids"] == [gone]
    refused = error(put(quick.app, path, {"budget_ids": ["bud_x"]}), 422)
    assert list(refused["field_errors"]) == ["budget_ids"]
    body = {"name": "new", "type": "budget", "budget_ids": [gone]}
    error(send(quick.app, "/alerts/rules", body), 422)


def test_a_digest_that_is_renamed_at_its_slot_is_not_lost(quick: Room) -> None:
    quick.channel()
    rule = quick.rule("digest", time="13:00")
    quick.clock.current = datetime(2027, 3, 10, 13, tzinfo=UTC)
    accepted(put(quick.app, f"/alerts/rules/{rule}", {"name": "other"}), 200)
    quick.work()
    assert quick.said() == [("ops", "digest")]


def test_a_share_that_is_nothing_is_none(quick: Room) -> None:
    body = {"name": "x", "type": "error_rate", "threshold": "0.0000001"}
    error(send(quick.app, "/alerts/rules", body), 422)


def test_long_histories_have_pages(quick: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_cost_ops.server.alerts import store

    monkeypatch.setattr(store, "MAX_HISTORY", 3)
    alert = raised(quick)
    for number in range(4):
        quick.act(alert, "comments", comment=f"c{number}")
    assert [each["text"] for each in quick.alert(alert)["history"]] == ["c1", "c2", "c3"]
    path, seen, cursor = f"/api/v1/alerts/{alert}/history", list[str](), None
    while True:
        query: dict[str, Any] = {"limit": 4, **({} if cursor is None else {"cursor": cursor})}
        page = accepted(quick.app.get(path, params=query), 200)
        seen += [each["type"] for each in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert seen == ["fired", "not_told", *["comment"] * 4]
    assert quick.app.get(f"{path}x").status_code == 404
