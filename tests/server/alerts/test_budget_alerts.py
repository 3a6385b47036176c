"""Alerts of budgets: every threshold once a period, whatever happens in between."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import measures
from llm_cost_ops.server.alerts.desk import CHANNELS
from llm_cost_ops.server.alerts.sending import Sender
from llm_cost_ops.server.alerts.work import DELIVER
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.queue.tables import outbox
from llm_cost_ops.server.queue.work import Job
from tests.support.alerts import PUBLIC_URL, Room
from tests.support.budgets import make_budget
from tests.support.calls import accepted, put, send


def levels(room: Room) -> list[str]:
    """What the alerts are about, in order."""
    return [str(each["details"]["threshold"]) for each in room.alerts()]


def test_every_threshold_alerts_once_a_period_also_when_jumped_over(room: Room) -> None:
    room.channel()
    made = make_budget(room.app, amount=10, period="daily", alert_thresholds=["0.5", "0.8", 1])
    room.spend("4.99")
    assert room.alerts() == []
    room.spend("5.01")  # from under the first one to the last
    assert levels(room) == ["0.5", "0.8", "1"]
    assert [each["severity"] for each in room.alerts()] == ["info", "warning", "critical"]
    assert room.said() == [("ops", "trigger")] * 3
    room.spend("0.01")
    room.spend("3")
    assert levels(room) == ["0.5", "0.8", "1", "None"]
    assert room.said() == [("ops", "trigger")]
    listed = accepted(room.app.get(f"/api/v1/budgets/{made['id']}/alerts"), 200)["data"]
    assert len(listed) == 4
    room.later(days=1)
    assert {each["status"] for each in room.alerts()} == {"resolved"}
    assert room.said() == [("ops", "resolve")] * 4
    room.spend("9")
    assert levels(room)[4:] == ["0.5", "0.8"]
    assert [each["status"] for each in room.alerts()][4:] == ["active", "active"]


def test_a_notice_says_what_how_much_against_what_since_when_and_why(quick: Room) -> None:
    quick.channel()
    make_budget(quick.app, name="search", amount=1000, period="monthly", alert_thresholds=["0.8"])
    quick.spend("600.5", model="gpt-4o", project_id="chat")
    quick.spend("150", model="gpt-4o", project_id="batch")
    quick.spend("49.5", model="haiku")
    quick.spend("1.25", model="small")
    (told,) = quick.told
    notice = told.notice
    assert notice.title == "Budget search has reached 80 %"
    assert notice.summary == (
        "USD 800.00 of USD 1,000.00 is spent (80 % of the budget search); calls go on."
    )
    facts = {fact.label: fact.value for fact in notice.facts}
    assert facts["Spent"] == "USD 800.00 of USD 1,000.00"
    assert facts["Period"] == "2027-03-01 00:00 UTC to 2027-04-01 00:00 UTC"
    assert facts["Scope"] == "the whole organization"
    assert [(each.name, each.amount, each.share) for each in notice.drivers] == [
        ("gpt-4o in project chat", "USD 600.50", "75.1 %"),
        ("gpt-4o in project batch", "USD 150.00", "18.8 %"),
        ("haiku", "USD 49.50", "6.2 %"),
    ]
    alert = quick.only()
    assert notice.since == "2027-03-01 00:00 UTC"
    assert notice.link == f"{PUBLIC_URL}/alerts/{alert['id']}"
    assert notice.dedup_key == alert["dedup_key"]
    assert (alert["details"]["spent"], alert["details"]["utilization"]) == (800, Decimal("0.8"))


def test_an_alert_whose_drivers_take_too_long_goes_without(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.channel()
    make_budget(quick.app, amount=10, alert_thresholds=[1])

    def slow(*_: object) -> object:
        raise DatabaseUnavailable(Reason.TIMEOUT)

    monkeypatch.setattr(measures, "drivers", slow)
    quick.spend(10)
    assert quick.only()["drivers"] == []
    assert quick.said() == [("ops", "trigger")]


def test_without_channels_alerts_are_listed_all_the_same(quick: Room) -> None:
    make_budget(quick.app, amount=10, alert_thresholds=[1])
    quick.spend("10")
    assert quick.only()["deliveries"] == []


def test_rules_name_budgets_channels_and_thresholds_of_their_own(room: Room) -> None:
    room.channel("all")
    special = room.channel("special", default=False)
    first = make_budget(room.app, name="a", amount=10, alert_thresholds=["0.9"])
    make_budget(room.app, name="b", amount=10, alert_thresholds=["0.9"])
    room.rule("budget", budget_ids=[first["id"]], thresholds=[25, "0.6"], channels=["special"])
    room.spend("7")
    assert levels(room) == ["0.25", "0.6"]
    assert room.said() == [("special", "trigger")] * 2
    assert {each["budget_id"] for each in room.alerts()} == {first["id"]}
    room.spend("2.5")  # both reach 0.9, which no rule asks for
    assert levels(room) == ["0.25", "0.6"]
    assert accepted(room.app.get("/api/v1/alerts/channels/special"), 200)["id"] == special


def test_thresholds_of_a_rule_for_all_budgets_are_seen_with_the_batch(quick: Room) -> None:
    quick.rule("budget", thresholds=["0.3"])
    make_budget(quick.app, name="other", amount=10, scope={"project_id": "other"})
    made = make_budget(quick.app, amount=10, scope={"tags": ["prod"]})
    quick.spend("3", tags=["prod"])
    assert levels(quick) == ["0.3"]
    assert quick.only()["budget_id"] == made["id"]
    quick.later(minutes=1)
    assert len(quick.alerts()) == 1


def test_a_raised_budget_clears_what_is_true_no_more(room: Room) -> None:
    room.channel()
    made = make_budget(room.app, amount=10, alert_thresholds=["0.5", 1])
    room.spend("11")
    assert room.said() == [("ops", "trigger")] * 3
    accepted(put(room.app, f"/budgets/{made['id']}", {"amount": 20}), 200)
    room.later(minutes=1)
    states = {str(a["details"]["threshold"]): a["status"] for a in room.alerts()}
    assert states == {"0.5": "active", "1": "resolved", "None": "resolved"}
    assert room.said() == [("ops", "resolve")] * 2


def test_a_removed_budget_clears_its_alerts(quick: Room) -> None:
    made = make_budget(quick.app, amount=10, alert_thresholds=[1])
    quick.spend("10")
    assert quick.app.delete(f"/api/v1/budgets/{made['id']}").status_code == 204
    quick.later(minutes=1)
    alert = quick.only()
    assert (alert["status"], alert["history"][-1]["text"]) == (
        "resolved",
        "The budget was removed.",
    )


def events_of(room: Room, topic: str) -> list[dict[str, Any]]:
    with read(room.app.database) as session:
        rows = session.execute(select(outbox).where(outbox.c.topic == topic)).all()
    return [loads(row.payload) for row in rows]


def test_a_replayed_event_makes_no_second_alert(room: Room) -> None:
    room.channel()
    make_budget(room.app, amount=10, alert_thresholds=["0.5"])
    room.spend("6")
    (payload,) = events_of(room, "budget.threshold_exceeded")
    for _ in range(3):
        room.publish("budget.threshold_exceeded", **payload)
    alert = room.only()
    assert room.said() == [("ops", "trigger")]
    room.act(alert["id"], "resolve")
    room.publish("budget.threshold_exceeded", **payload)
    assert len(room.alerts()) == 1
    assert room.said() == [("ops", "resolve")]


def test_two_workers_make_one_alert_and_tell_once(room: Room) -> None:
    room.channel()
    make_budget(room.app, amount=10, alert_thresholds=["0.5", 1])
    waiting: list[Any] = []
    first, second = room.worker(waiting.append), room.worker(waiting.append)
    accepted(send(room.app, "/costs", {"model": "m", "provider": "openai", "cost": 10}), 201)
    for _ in range(12):
        first.round()
        second.round()
        while waiting:
            waiting.pop()()
    assert levels(room) == ["0.5", "1"]
    assert room.said() == [("ops", "trigger")] * 2


@dataclass
class Doomed:
    """What a handler sees of its job in a worker that will not live to record it."""

    job: Job
    stopping = False

    def write(self, work: Any) -> Any:
        raise AssertionError("a delivery writes nothing before its end")


@pytest.mark.parametrize("sent", [False, True])
def test_a_worker_that_dies_around_the_send_is_replaced(room: Room, sent: bool) -> None:
    room.channel()
    make_budget(room.app, amount=10, alert_thresholds=["0.5"])
    lost: list[Job] = []

    def run_or_die(run: Any) -> None:
        job: Job = run.args[0]
        if job.kind != DELIVER.name:
            run()
            return
        lost.append(job)
        if sent:
            sender = Sender(room.app.database, room.clock, room.send, Vault(None, CHANNELS), None)
            assert sender.deliver(Doomed(job)) is not None  # and the effect is lost with it

    doomed = room.worker(run_or_die)
    accepted(send(room.app, "/costs", {"model": "m", "provider": "openai", "cost": 5}), 201)
    while doomed.round() == 0:
        pass
    assert len(lost) == 1
    assert room.only()["deliveries"][0]["state"] == "pending"
    assert len(room.told) == int(sent)
    room.later(minutes=2)  # its lease ends, and the job waits as after any failed attempt
    room.later(minutes=1)
    alert = room.only()
    assert alert["deliveries"][0]["state"] == "delivered"
    assert {told.delivery_id for told in room.told} == {alert["deliveries"][0]["id"]}
    assert len({told.notice.dedup_key for told in room.told}) == 1
    assert room.said() == [("ops", "trigger")] * (2 if sent else 1)
    assert room.history(alert["id"]).count("notified") == 1


def test_hostile_names_stay_on_their_line(quick: Room) -> None:
    quick.channel()
    name = "a <b>{{7*7}}"
    project = "=cmd|'/c calc'!A1 <img src=x>y" + "x" * 200
    make_budget(quick.app, name=name, amount=10, alert_thresholds=[1], scope={"model": "m"})
    quick.spend("10", project_id=project)
    notice = quick.told[0].notice
    texts = [notice.title, notice.summary, *(fact.value for fact in notice.facts)]
    texts += [driver.name for driver in notice.drivers]
    assert all(text.isprintable() for text in texts), texts
    assert max(len(driver.name) for driver in notice.drivers) < 100
    assert notice.title == "Budget a <b>{{7*7}} has reached 100 %"


def test_organizations_do_not_meet(room: Room) -> None:
    room.channel()
    make_budget(room.app, amount=10, alert_thresholds=[1])
    other = Room(room.app.another(), room.clock)
    other.channel("theirs")
    make_budget(other.app, amount=1, alert_thresholds=[1])
    room.spend("10")
    other.spend("0.5")
    assert len(room.alerts()) == 1
    assert other.alerts() == []
    assert room.said() == [("ops", "trigger")]
    other.spend("0.5")
    assert len(other.alerts()) == 1
    assert len(room.alerts()) == 1
    assert [*room.said(), *other.said()] == [("theirs", "trigger")]
