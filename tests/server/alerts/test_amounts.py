"""Budgets whose amount is changed, of tokens and requests; windows that slide; unpriced calls."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.server.alerts import levels as alert_levels
from tests.server.alerts.test_budget_alerts import levels
from tests.server.alerts.test_kinds import call
from tests.support.alerts import Room
from tests.support.budgets import make_budget
from tests.support.calls import accepted, put, send


def put_amount(room: Room, budget: dict[str, Any], **fields: Any) -> None:
    accepted(put(room.app, f"/budgets/{budget['id']}", fields), 200)
    room.work()


PERIODS: list[dict[str, Any]] = [{"period": "monthly"}, {"period": "weekly", "rolling": True}]


@pytest.mark.parametrize("period", PERIODS)
def test_a_raised_budget_tells_of_its_thresholds_again(room: Room, period: dict[str, Any]) -> None:
    room.channel()
    made = make_budget(room.app, amount=10, alert_thresholds=["0.5", 1], **period)
    room.spend(11)
    assert levels(room) == ["0.5", "1", "None"]
    put_amount(room, made, amount=40)
    assert len(room.alerts()) == 3
    room.later(minutes=1)
    assert {each["status"] for each in room.alerts()} == {"resolved"}
    room.told.clear()
    room.spend(8)
    assert len(room.alerts()) == 3
    room.spend(1)
    assert levels(room)[3:] == ["0.5"]
    room.spend(21)
    assert levels(room)[3:] == ["0.5", "1", "None"]
    assert room.said() == [("ops", "trigger")] * 3
    room.spend(1)
    assert len(room.alerts()) == 6


def test_of_two_alerts_about_one_threshold_the_newer_stays(quick: Room) -> None:
    quick.channel()
    made = make_budget(quick.app, amount=10, alert_thresholds=["0.5"])
    quick.spend(6)
    put_amount(quick, made, amount=20)
    quick.spend(5)  # before anybody looked whether the first one is over
    assert [each["status"] for each in quick.alerts()] == ["active", "active"]
    quick.told.clear()
    quick.later(minutes=1)
    first, second = quick.alerts()
    assert (first["status"], second["status"]) == ("resolved", "active")
    assert quick.told[0].notice.summary == (
        "A newer alert tells of the limits that the budget has now. It began with: "
        "USD 6.00 of USD 10.00 is spent (60 % of the budget test); calls go on."
    )


def test_an_increase_of_the_period_tells_again_too(room: Room) -> None:
    made = make_budget(room.app, amount=10, period="monthly", alert_thresholds=[1])
    room.spend(10)
    body = {"type": "increase", "amount": 10, "reason": "a launch"}
    accepted(send(room.app, f"/budgets/{made['id']}/adjustments", body), 200, 201)
    room.later(minutes=1)
    assert room.only()["status"] == "resolved"
    room.spend(10)
    assert levels(room) == ["1", "1"]
    assert room.alerts()[-1]["details"]["amount"] == 20


def test_what_is_still_reached_after_a_raise_is_not_told_again(room: Room) -> None:
    room.rule("budget", thresholds=["0.4", "0.8"])
    made = make_budget(room.app, amount=10, alert_thresholds=["0.5"])
    room.spend(8)
    assert levels(room) == ["0.4", "0.8"]
    put_amount(room, made, amount=16)
    for _ in range(3):
        room.later(minutes=1)
    states = [(str(a["details"]["threshold"]), a["status"]) for a in room.alerts()]
    assert states == [("0.4", "active"), ("0.8", "resolved")]
    room.spend(5)
    assert levels(room) == ["0.4", "0.8", "0.8"]


def test_what_is_taken_back_and_spent_again_is_told_once(room: Room) -> None:
    rule_of_own = make_budget(room.app, name="own", amount=10, alert_thresholds=[])
    make_budget(room.app, name="usual", amount=10, alert_thresholds=["0.5"])
    room.spend(1)
    made = room.spend(5)
    assert levels(room) == ["0.5"]
    room.rule("budget", thresholds=["0.6"], budget_ids=[rule_of_own["id"]])
    room.later(minutes=1)
    assert levels(room) == ["0.5", "0.6"]
    assert room.app.delete(f"/api/v1/costs/{made['id']}").status_code == 204
    room.later(minutes=1)
    assert {each["status"] for each in room.alerts()} == {"resolved"}
    room.spend(7)
    room.later(minutes=1)
    assert levels(room) == ["0.5", "0.6"]


def test_a_lowered_budget_tells_what_it_has_reached_by_that(room: Room) -> None:
    room.channel()
    made = make_budget(room.app, amount=100, enforcement="hard", alert_thresholds=["0.8"])
    room.spend(50)
    assert room.alerts() == []
    put_amount(room, made, amount=40)
    assert levels(room) == ["0.8", "None"]
    assert room.alerts()[-1]["summary"] == (
        "USD 50.00 of USD 40.00 is spent (125 % of the budget test); "
        "calls that do not fit are refused."
    )


def test_a_budget_of_requests_and_tokens_says_these(room: Room) -> None:
    made = make_budget(room.app, name="t", token_limit=3000, request_limit=10, alert_thresholds=[1])
    call(room, 2)
    alert = room.only()
    assert alert["summary"] == (
        "2 of 10 requests and 3,000 of 3,000 tokens are used (100 % of the budget t); calls go on."
    )
    facts = {fact["label"]: fact["value"] for fact in alert["facts"]}
    assert (facts["Requests"], facts["Tokens"]) == ("2 of 10", "3,000 of 3,000")
    assert facts["Spent"] == "USD 0.015"
    details = alert["details"]
    assert (details["metric"], details["tokens"], details["token_limit"]) == ("tokens", 3000, 3000)
    assert alert["drivers"][0]["amount"] == "3,000 tokens"
    assert made["amount"] is None


def test_a_budget_of_money_and_tokens_says_both(quick: Room) -> None:
    make_budget(quick.app, name="b", amount=1, token_limit=1500, alert_thresholds=[1])
    call(quick, 1)
    assert quick.only()["summary"].startswith(
        "USD 0.0075 of USD 1.00 and 1,500 of 1,500 tokens are used (100 % of the budget b)"
    )


class TestWindows:
    def test_what_comes_again_after_its_end_is_another(self, room: Room) -> None:
        room.channel()
        room.rule("usage", metric="requests", threshold=2, window_minutes=120)
        call(room, 2)
        room.later(minutes=61)
        call(room, 1)
        assert len(room.alerts()) == 1
        room.later(minutes=60)
        assert room.only()["status"] == "resolved"
        call(room, 1)  # two within the last two hours again, on the same day
        assert [each["status"] for each in room.alerts()] == ["resolved", "active"]

    def test_a_cooldown_of_nothing_is_none(self, quick: Room) -> None:
        quick.rule("usage", metric="requests", threshold=1, window_minutes=1440, cooldown_minutes=0)
        for number in range(1, 4):
            quick.later(seconds=1)
            call(quick, 1)
            assert len(quick.alerts()) == number
            quick.act(quick.alerts()[-1]["id"], "resolve")

    @pytest.mark.parametrize("minutes", [59, 61, 150, 1441])
    def test_a_window_that_slides_counts_to_the_minute(self, room: Room, minutes: int) -> None:
        """Whole hours come from rollups, what is before and after from the calls."""
        room.later(minutes=17)
        room.rule("usage", metric="tokens", threshold=4500, window_minutes=minutes)
        call(room, 1)
        step = max(20, minutes // 9)
        for elapsed in range(step, minutes - 1, step):
            room.later(minutes=step)
            if elapsed == step:
                call(room, 1)
        left = minutes - (minutes - 2) // step * step
        room.later(minutes=left, seconds=-1)
        call(room, 1)  # the first one is in the window still
        assert len(room.alerts()) == 1

    def test_the_bound_is_below_again_when_the_first_call_leaves(self, quick: Room) -> None:
        quick.rule("usage", metric="tokens", threshold=3000, window_minutes=150)
        call(quick, 1)
        quick.later(minutes=60)
        call(quick, 1)
        quick.later(minutes=89)
        assert quick.only()["status"] == "active"
        quick.later(minutes=1)
        assert quick.only()["status"] == "resolved"

    def test_of_many_groups_the_largest_alert(
        self, quick: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(alert_levels, "MAX_GROUPS", 2)
        quick.rule("usage", metric="requests", threshold=1, group_by="user_id")
        for number, user in enumerate("abc", start=1):
            call(quick, number, user_id=user)
        call(quick, 1, user_id="a")  # a 2, b 2, c 3
        subjects = [each["details"]["subject"] for each in quick.alerts()]
        assert subjects == ["user_id=a", "user_id=b", "user_id=c"]
        call(quick, 2, user_id="d")
        assert len(quick.alerts()) == 3
        quick.later(minutes=1)
        assert {each["status"] for each in quick.alerts()} == {"active"}

    def test_an_alert_of_a_rule_that_is_gone_says_why_it_is_over(self, quick: Room) -> None:
        rule = quick.rule("usage", metric="requests", threshold=1)
        call(quick, 1)
        accepted(put(quick.app, f"/alerts/rules/{rule}", {"enabled": False}), 200)
        quick.later(minutes=1)
        assert quick.only()["history"][-1]["text"] == "The rule was removed or switched off."


class TestUnpriced:
    def test_only_calls_of_the_scope_count(self, room: Room) -> None:
        room.rule("unpriced", min_requests=2, scope={"project_id": "a"})
        call(room, 5, model="nobody-knows", project_id="b")
        call(room, 1, model="nobody-knows", project_id="a")
        assert room.alerts() == []
        call(room, 1, model="nobody-knows", project_id="a")
        alert = room.only()
        assert alert["details"]["requests"] == 2
        assert alert["summary"] == (
            "2 calls of openai/nobody-knows have no price and count in no cost until one is given."
        )

    def test_calls_that_leave_the_window_have_no_price_still(self, quick: Room) -> None:
        quick.rule("unpriced", window_minutes=60)
        call(quick, 1, model="nobody-knows")
        alert = quick.only()
        assert "1 call of openai/nobody-knows has no price" in alert["summary"]
        quick.later(hours=2)
        assert quick.only()["history"][-1]["text"] == (
            "No further call came without a price; those before have none still."
        )

    def test_after_a_resolution_the_next_is_another(self, quick: Room) -> None:
        quick.rule("unpriced", cooldown_minutes=0)
        call(quick, 1, model="nobody-knows")
        quick.act(quick.only()["id"], "resolve")
        call(quick, 1, model="nobody-knows")
        assert len(quick.alerts()) == 2


def test_a_breach_that_came_is_not_said_to_be_averted(quick: Room) -> None:
    from datetime import UTC, datetime

    quick.clock.current = datetime(2027, 3, 1, 12, tzinfo=UTC)
    make_budget(quick.app, amount=310, period="monthly", alert_thresholds=[])
    quick.rule("projected_breach", probability="0.9")
    for _ in range(9):
        quick.spend(20)
        quick.later(days=1)
    assert quick.only(type="projected_breach")["status"] == "active"
    quick.spend(300)
    quick.later(minutes=15)
    assert quick.only(type="projected_breach")["history"][-1]["text"] == (
        "The budget came to be exceeded."
    )
