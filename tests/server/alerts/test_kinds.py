"""What each kind of rule fires on, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from sqlalchemy import select

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts import levels
from llm_cost_ops.server.alerts.look import Look
from llm_cost_ops.server.alerts.rules import Rule
from llm_cost_ops.server.alerts.work import EVENTS, SWEEP
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.queue import dead_letters
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue
from llm_cost_ops.server.queue.tables import jobs, outbox
from tests.support.alerts import Room
from tests.support.budgets import make_budget
from tests.support.calls import accepted, record, send, usage


def call(room: Room, number: int, **fields: Any) -> None:
    """Calls of now through the door of usage."""
    now = f"{room.clock.current:%Y-%m-%dT%H:%M:%SZ}"
    record(room.app, *(usage(timestamp=now, **fields) for _ in range(number)))
    room.work()


class TestSingleCalls:
    def test_a_call_that_costs_as_much_alerts_once_for_its_model(self, room: Room) -> None:
        room.channel()
        room.rule("call_cost", threshold=10, scope={"project_id": "p"})
        room.spend("9.9999999999", project_id="p")
        room.spend("50", project_id="q")
        assert room.alerts() == []
        made = room.spend(10, project_id="p", user_id="u")
        alert = room.only()
        assert alert["title"] == "A call of m cost USD 10.00"
        assert alert["details"]["record_id"] == made["id"]
        room.spend(12, project_id="p")
        room.spend(11, project_id="p", model="other")
        first, second = room.alerts()
        assert (first["occurrences"], second["occurrences"]) == (2, 1)
        assert room.said() == [("ops", "trigger")] * 2
        room.act(first["id"], "resolve")
        room.spend(13, project_id="p")  # within the hour of the cooldown
        assert len(room.alerts()) == 2
        room.later(hours=1)
        room.spend(14, project_id="p")
        assert len(room.alerts()) == 3

    def test_events_that_come_again_count_once(self, room: Room) -> None:
        room.channel()
        room.rule("call_cost", threshold=10, cooldown_minutes=0)
        room.spend(10)
        room.spend(11)
        with read(room.app.database) as session:
            query = select(outbox).where(outbox.c.topic == "usage.recorded")
            events = [
                {
                    "id": row.id,
                    "topic": row.topic,
                    "created_at": row.created_at,
                    "payload": loads(row.payload),
                }
                for row in session.execute(query.order_by(outbox.c.id))
            ]
        assert room.only()["occurrences"] == 2
        for state in ("active", "resolved"):
            if state == "resolved":
                room.act(room.only()["id"], "resolve")
            for event in events:
                job = NewJob(EVENTS, {"events": [event]}, room.app.organization_id)
                with write(room.app.database) as session:
                    enqueue(session, job, now_us=room.clock.micros())
                room.work()
            alert = room.only()
            assert (alert["status"], alert["occurrences"]) == (state, 2)
        assert room.said() == [("ops", "trigger"), ("ops", "resolve")]

    def test_calls_make_no_job_where_no_rule_asks(self, room: Room) -> None:
        def looked() -> int:
            with read(room.app.database) as session:
                query = select(jobs).where(jobs.c.kind == EVENTS.name)
                return len(session.execute(query).all())

        room.spend(10)
        rule = room.rule("call_cost", threshold=100)
        assert room.app.delete(f"/api/v1/alerts/rules/{rule}").status_code == 204
        room.spend(10)
        assert looked() == 0
        room.rule("call_cost", threshold=100)
        room.spend(10)
        assert looked() == 1

    def test_of_a_batch_there_is_one_alert(self, quick: Room) -> None:
        quick.rule("call_cost", threshold="0.005")
        call(quick, 3)
        alert = quick.only()
        assert (alert["occurrences"], len(alert["drivers"])) == (3, 3)
        assert alert["summary"].endswith(" 2 more of the same batch reached it, too.")

    def test_another_currency_is_another_amount(self, quick: Room) -> None:
        quick.rule("call_cost", threshold=10, currency="EUR")
        quick.spend(100)
        assert quick.alerts() == []
        quick.spend(10, currency="EUR")
        assert quick.only()["details"]["currency"] == "EUR"


class TestUnpriced:
    def test_calls_without_a_price_alert_until_they_have_one(self, room: Room) -> None:
        room.channel()
        room.rule("unpriced", min_requests=2)
        call(room, 1, model="nobody-knows")
        assert room.alerts() == []
        call(room, 1, model="nobody-knows")
        alert = room.only()
        assert alert["title"] == "No price is known for openai/nobody-knows"
        call(room, 1, model="nobody-knows")
        assert len(room.alerts()) == 1
        price = {
            "provider": "openai",
            "model": "nobody-knows",
            "effective_date": "2027-01-01",
            "pricing_structure": {
                "type": "per_token",
                "input_price_per_million": 1,
                "output_price_per_million": 1,
            },
        }
        accepted(send(room.app, "/pricing", price), 201)
        room.later(minutes=1)
        assert room.history(alert["id"])[-2:] == ["auto_cleared", "notified"]
        assert room.said() == [("ops", "trigger"), ("ops", "resolve")]

    def test_a_rule_that_is_gone_clears_its_alerts(self, quick: Room) -> None:
        rule = quick.rule("unpriced")
        call(quick, 1, model="nobody-knows")
        assert quick.app.delete(f"/api/v1/alerts/rules/{rule}").status_code == 204
        quick.later(minutes=1)
        assert quick.only()["status"] == "resolved"


class TestUsage:
    @pytest.mark.parametrize(
        ("metric", "under", "bound", "shown"),
        [
            ("tokens", 4, 7500, "7,500 tokens"),
            ("requests", 4, 5, "5 requests"),
            ("cost", 4, "0.0375", "USD 0.0375"),
        ],
    )
    def test_a_bound_of_a_day(
        self, room: Room, metric: str, under: int, bound: object, shown: str
    ) -> None:
        room.channel()
        room.rule("usage", metric=metric, threshold=bound, scope={"team_id": "t"})
        call(room, under, team_id="t")
        call(room, 9, team_id="other")
        assert room.alerts() == []
        call(room, 1, team_id="t")
        alert = room.only()
        assert alert["title"] == f"usage: {shown} in this day"
        call(room, 5, team_id="t")
        room.later(minutes=5)
        assert len(room.alerts()) == 1
        assert room.said() == [("ops", "trigger")]
        room.later(hours=12)
        assert room.only()["status"] == "resolved"
        call(room, 5, team_id="t")  # a new day
        assert len(room.alerts()) == 2

    def test_of_each_user_alone_within_a_window_that_slides(self, room: Room) -> None:
        room.channel()
        room.rule("usage", metric="requests", threshold=3, window_minutes=60, group_by="user_id")
        call(room, 2, user_id="a")
        call(room, 2, user_id="b")
        call(room, 5)
        assert room.alerts() == []
        room.later(minutes=30)
        call(room, 1, user_id="a")
        alert = room.only()
        assert alert["details"]["subject"] == "user_id=a"
        assert "User a used 3 requests in the last 60 minutes" in alert["summary"]
        room.later(minutes=31)
        assert room.alert(alert["id"])["status"] == "resolved"

    def test_long_windows_are_seen_within_a_minute(self, quick: Room) -> None:
        quick.rule("usage", metric="requests", threshold=2, window="month")
        quick.rule("usage", metric="requests", threshold=2, window="hour", name="h")
        quick.rule("usage", metric="requests", threshold=2, window="week", name="w")
        call(quick, 2)
        assert [each["title"][:2] for each in quick.alerts()] == ["h:"]
        quick.later(minutes=1)
        assert sorted(each["title"].partition(":")[0] for each in quick.alerts()) == [
            "h", "usage", "w",
        ]  # fmt: skip


def test_an_organization_that_cannot_be_evaluated_holds_up_no_other(
    quick: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Room(quick.app.another(), quick.clock)
    for each in (quick, other):
        each.rule("usage", metric="requests", threshold=1, window="month")
        call(each, 1)
    real = levels.levels

    def broken(look: Look, rule: Rule) -> Any:
        if look.organization.id == min(quick.app.organization_id, other.app.organization_id):
            raise ValueError("cannot be")
        return real(look, rule)

    with monkeypatch.context() as patched:
        patched.setattr(levels, "levels", broken)
        quick.later(minutes=1)
    assert sorted([len(quick.alerts()), len(other.alerts())]) == [0, 1]
    with read(quick.app.database) as session:
        (job,) = dead_letters.list_jobs(session, None, kind=SWEEP.name, state="ready")
    assert "1 organizations" in job["last_error"]
    quick.later(minutes=1)
    assert (len(quick.alerts()), len(other.alerts())) == (1, 1)


class TestErrors:
    def test_a_share_of_failed_calls(self, room: Room) -> None:
        room.channel()
        room.rule("error_rate", threshold="0.25", window_minutes=15, min_requests=20)
        call(room, 14, status="success")
        call(room, 5, status="rate_limited")
        assert room.alerts() == []  # 19 calls are too few
        call(room, 1)
        alert = room.only()
        assert alert["title"] == "error_rate: 25 % of calls failed"
        facts = {fact["label"]: fact["value"] for fact in alert["facts"]}
        assert facts["Failed"] == "5 of 20 calls"
        assert facts["Statuses"] == "rate_limited: 5 (100 %)"
        call(room, 1)  # 5 of 21
        room.later(minutes=1)
        assert room.only()["status"] == "resolved"
        room.later(minutes=15)
        call(room, 20, status="timeout")  # again, within the cooldown
        assert len(room.alerts()) == 1
        assert room.history(alert["id"]).count("suppressed") == 1
        assert room.said() == [("ops", "trigger"), ("ops", "resolve")]

    def test_while_it_lasts_there_is_one_alert(self, quick: Room) -> None:
        quick.rule("error_rate", threshold=50, min_requests=1, cooldown_minutes=0, scope={
            "tags": ["prod"]})  # fmt: skip
        for _ in range(4):
            call(quick, 3, status="error", tags=["prod"])
            call(quick, 3, tags=["test"])
            quick.later(minutes=10)
        alert = quick.only()
        assert (alert["status"], alert["severity"]) == ("active", "critical")
        quick.later(minutes=20)
        assert quick.only()["status"] == "resolved"


class TestPrices:
    def test_a_changed_price(self, room: Room) -> None:
        room.channel()
        room.rule("price_change", scope={"provider": "openai"})
        room.publish("pricing.updated", provider="openai", model="gpt-4o", version=3)
        room.publish("pricing.updated", provider="anthropic", model="claude")
        room.publish("pricing.updated")
        alert = room.only()
        assert alert["title"] == "The price of openai/gpt-4o has changed"
        assert room.said() == [("ops", "trigger")]
        room.later(hours=24)
        assert room.only()["status"] == "resolved"


class TestAnomalies:
    FULL: ClassVar[dict[str, Any]] = {
        "date": "2027-03-09",
        "dimension": "model",
        "value": "gpt-4o",
        "actual_cost": "812.4",
        "expected_cost": 100,
        "lower": 80,
        "upper": 120,
        "severity": "high",
        "score": "7.1",
        "causes": [
            {"dimension": "project_id", "value": "chat", "amount": 600, "share": "0.84"},
            {"kind": "volume", "difference": "100.5"},
            "noise",
            {"nothing": 1},
        ],
    }

    def test_without_a_rule_they_are_told_to_default_channels(self, room: Room) -> None:
        room.channel()
        room.publish("cost.anomaly_detected", **self.FULL)
        room.publish("cost.anomaly_detected", **self.FULL)
        alert = room.only()
        assert alert["title"] == "Unusual cost of model gpt-4o: USD 812.40"
        assert alert["severity"] == "critical"
        assert alert["since"] == "2027-03-09T00:00:00Z"
        facts = {fact["label"]: fact["value"] for fact in alert["facts"]}
        assert facts["Expected"] == "USD 100.00 (USD 80.00 to USD 120.00)"
        assert [(d["name"], d["amount"], d["share"]) for d in alert["drivers"]] == [
            ("project_id chat", "USD 600.00", "84 %"),
            ("volume", "USD 100.50", ""),
        ]
        assert room.said() == [("ops", "trigger")]

    def test_causes_as_forecasts_tell_them(self, quick: Room) -> None:
        drivers = [
            {"name": "price", "amount": "12.4", "share": "0.017"},
            {"name": "volume", "amount": 700, "share": "0.98"},
        ]
        members = {
            "model": [{"name": "gpt-4o", "change": 500, "share": "0.7"}],
            "project_id": [{"name": "chat", "change": 650}, {"name": None, "change": -40}],
        }
        causes = {"drivers": drivers, "members": members, "rest": {}}
        quick.publish("cost.anomaly_detected", **{**self.FULL, "causes": causes})
        quick.publish(
            "cost.anomaly_detected", **{**self.FULL, "value": "b", "causes": {"drivers": drivers}}
        )
        first, second = quick.alerts()
        assert [(d["name"], d["amount"]) for d in first["drivers"]] == [
            ("project_id chat", "USD 650.00"),
            ("model gpt-4o", "USD 500.00"),
            ("project_id none", "USD -40.00"),
        ]
        assert {"label": "Why", "value": "volume USD 700.00, price USD 12.40"} in first["facts"]
        assert [d["name"] for d in second["drivers"]] == ["volume", "price"]

    @pytest.mark.parametrize(
        ("rule", "alerts"),
        [
            ({}, 1),
            ({"min_severity": "high"}, 1),
            ({"min_severity": "critical"}, 0),
            ({"min_amount": "712.4"}, 1),
            ({"min_amount": "712.5"}, 0),
            ({"dimension": "model"}, 1),
            ({"dimension": "user_id"}, 0),
            ({"scope": {"model": "gpt-4o"}}, 1),
            ({"scope": {"model": "other"}}, 0),
            ({"enabled": False}, 0),  # who switches the only rule off wants to be told less
        ],
    )
    def test_rules_choose(self, quick: Room, rule: dict[str, Any], alerts: int) -> None:
        quick.rule("anomaly", **rule)
        quick.publish("cost.anomaly_detected", **self.FULL)
        assert len(quick.alerts()) == alerts

    def test_what_is_missing_or_odd_stops_nothing(self, quick: Room) -> None:
        quick.rule("anomaly")
        quick.publish("cost.anomaly_detected")
        quick.publish(
            "cost.anomaly_detected", date="2027-03-09T05:00:00Z", dimension="total", value=None,
            actual_cost="NaN", expected_cost=True, severity="odd", causes={"a": 1},
        )  # fmt: skip
        quick.publish("cost.anomaly_detected", date="not-a-date", dimension="region", value="eu")
        assert [each["title"] for each in quick.alerts()] == [
            "Unusual cost of the whole organization: unknown",
            "Unusual cost of the whole organization: unknown",
            "Unusual cost of region eu: unknown",
        ]


class TestOutlook:
    def test_a_budget_that_is_heading_for_its_limit(self, room: Room) -> None:
        room.channel()
        room.clock.current = datetime(2027, 3, 1, 12, tzinfo=UTC)
        made = make_budget(room.app, name="march", amount=310, period="monthly")
        make_budget(room.app, name="fine", amount=100_000, period="monthly")
        room.rule("projected_breach", probability="0.9")
        for _ in range(9):
            room.spend(20)
            room.later(days=1)
        alert = room.only(type="projected_breach")
        assert alert["title"] == "Budget march is likely to be exceeded"
        assert alert["budget_id"] == made["id"]
        assert alert["details"]["probability"] >= Decimal("0.9")
        assert alert["details"]["projected_spend"] > 310
        assert alert["drivers"][0]["name"] == "m"
        assert room.said()[0] == ("ops", "trigger")
        room.later(days=1)
        assert len(room.alerts(type="projected_breach")) == 1
        body = {"amount": 10_000}
        accepted(room.app.request("PATCH", f"/api/v1/budgets/{made['id']}", json=body), 200)
        room.later(minutes=15)
        assert room.only(type="projected_breach")["status"] == "resolved"

    def test_one_that_is_exceeded_is_told_elsewhere(self, quick: Room) -> None:
        quick.rule("projected_breach")
        make_budget(quick.app, amount=10, period="monthly", alert_thresholds=[])
        for _ in range(3):
            quick.spend(20)
            quick.later(days=1)
        assert quick.alerts(type="projected_breach") == []

    def test_rules_that_are_gone_clear_their_alerts(self, quick: Room) -> None:
        quick.clock.current = datetime(2027, 3, 1, 12, tzinfo=UTC)
        made = make_budget(quick.app, amount=310, period="monthly")
        rule = quick.rule("projected_breach", budget_ids=[made["id"]])
        for _ in range(9):
            quick.spend(20)
            quick.later(days=1)
        assert quick.only(type="projected_breach")["status"] == "active"
        assert quick.app.delete(f"/api/v1/alerts/rules/{rule}").status_code == 204
        quick.later(minutes=15)
        assert quick.only(type="projected_breach")["status"] == "resolved"


class TestDigests:
    def test_weeks_in_virtual_time(self, quick: Room) -> None:
        quick.channel()
        quick.clock.current = datetime(2027, 3, 1, 6, tzinfo=UTC)  # a Monday
        quick.rule("digest", frequency="daily", time="08:00", timezone="America/New_York")
        quick.rule("digest", frequency="weekly", name="w", weekday="sunday", time="02:30",
                  timezone="America/New_York")  # fmt: skip
        begin = quick.clock.current
        while quick.clock.current < begin + timedelta(days=21):
            if quick.clock.current.hour == 18:
                quick.spend(
                    2, model="gpt-4o", timestamp=f"{quick.clock.current:%Y-%m-%dT%H:%M:%SZ}"
                )
            quick.later(hours=6)
        told = [t.notice for t in quick.told]
        assert {notice.moment for notice in told} == {"digest"}
        daily = [notice for notice in told if notice.title.startswith("Daily")]
        weekly = [notice for notice in told if notice.title.startswith("Weekly")]
        assert len(daily) == 21
        assert len({notice.title.split(",")[1] for notice in daily}) == 21
        assert daily[1].title == "Daily digest, 2027-03-01: USD 2.00"
        assert [notice.title.partition(", ")[2] for notice in weekly] == [
            "2027-02-28 to 2027-03-06: USD 12.00",
            "2027-03-07 to 2027-03-13: USD 14.00",  # the clocks go forward at 02:00 of the 14th
            "2027-03-14 to 2027-03-20: USD 14.00",
        ]
        assert "14 % more than" in weekly[1].summary or "16.7 % more than" in weekly[1].summary
        assert [driver.name for driver in weekly[1].drivers] == ["gpt-4o"]
        assert {alert["status"] for alert in quick.alerts(type="digest")} == {"resolved"}

    def test_a_digest_is_changed_stopped_and_removed(self, quick: Room) -> None:
        quick.channel()
        rule = quick.rule("digest")
        path = f"/api/v1/alerts/rules/{rule}"
        quick.later(days=1)
        assert quick.said() == [("ops", "digest")]
        accepted(quick.app.request("PATCH", path, json={"enabled": False}), 200)
        quick.later(days=1)
        assert quick.said() == []
        changed = {"enabled": True, "time": "23:00"}
        accepted(quick.app.request("PATCH", path, json=changed), 200)
        quick.later(hours=10)
        assert quick.said() == []
        quick.later(hours=1)
        assert quick.said() == [("ops", "digest")]
        assert quick.app.delete(path).status_code == 204
        quick.later(days=2)
        assert quick.said() == []

    def test_what_a_digest_counts(self, quick: Room) -> None:
        quick.channel()
        quick.rule("digest", time="00:00")
        quick.clock.current = datetime(2027, 3, 10, 20, tzinfo=UTC)
        quick.spend(10)
        quick.spend(5, currency="EUR")
        call(quick, 2, model="nobody-knows")
        quick.publish("cost.anomaly_detected", **TestAnomalies.FULL)
        quick.told.clear()
        quick.clock.current = datetime(2027, 3, 11, tzinfo=UTC)
        quick.work()
        facts = {fact.label: fact.value for fact in quick.told[-1].notice.facts}
        assert facts["Spent"] == "USD 10.00"
        assert facts["Without a price"] == "2 calls, not in the amount"
        assert facts["Other currencies"] == "1 calls, not in the amount"
        assert facts["Alerts"] == "1 critical; 1 open now"
        assert facts["Before"] == "USD 0.00 (more than)"
