"""Budgets, alerts and webhooks of the fake, as a user's own test would use them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.exceptions import (
    APIError,
    BudgetExceededError,
    ConflictError,
    NotFoundError,
    PermissionDenied,
    ValidationError,
)
from llm_cost_ops.testing import FakeServer, alerts, webhooks


class Time:
    now = datetime(2026, 3, 15, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def fake(time: Time) -> FakeServer:
    return FakeServer(now=time)


@pytest.fixture
def client(fake: FakeServer) -> Any:
    return fake.client()


def spend(client: Any, cost: object, **fields: Any) -> Any:
    return client.costs.create(model="m", cost=cost, tokens_used=10, **fields)


class TestBudgets:
    def test_they_count_what_is_recorded(self, client: Any, time: Time) -> None:
        spend(client, "1.5")
        made = client.budgets.create("all", 10, period="daily")
        assert (made.spent, made.remaining, made.utilization) == (1.5, 8.5, Decimal("0.15"))
        team = client.budgets.create("team", amount=5, scope={"team_id": "t"}, parent_id=made.id)
        spend(client, 2, team_id="t")
        gone = spend(client, 4)
        client.costs.delete(gone.id)
        assert client.budgets.get(made.id).spent == Decimal("3.5")
        assert client.budgets.get(team.id).spent == 2
        assert client.budgets.get_current().id == made.id
        assert [row.name for row in client.budgets.list()] == ["all", "team"]
        assert [row.name for row in client.budgets.list(name="team")] == ["team"]
        time.now += timedelta(days=1)
        assert client.budgets.get(made.id).spent == 0

    def test_they_are_changed_and_removed(self, client: Any) -> None:
        made = client.budgets.create("all", 10)
        child = client.budgets.create("child", 5, parent_id=made.id, scope={"project_id": "p"})
        assert client.budgets.update(made.id, amount="12.5").amount == Decimal("12.5")
        with pytest.raises(ConflictError):
            client.budgets.delete(made.id)
        client.budgets.delete(child.id)
        client.budgets.delete(made.id)
        for call in (client.budgets.get, client.budgets.delete, client.budgets.alerts):
            with pytest.raises(NotFoundError):
                call(made.id)
        with pytest.raises(NotFoundError):
            client.budgets.get_current()

    def test_without_one_for_all_they_are_added_up(self, client: Any) -> None:
        client.budgets.create("a", 10, scope={"project_id": "a"})
        client.budgets.create("b", 5, scope={"project_id": "b"})
        spend(client, 6, project_id="b")
        found = client.budgets.get_current()
        assert (found.amount, found.spent, found.status) == (15, 6, "exceeded")

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"amount": None}, "amount"),
            ({"colour": "red"}, "colour"),
            ({"period": "now"}, "period"),
            ({"parent_id": "bud_x"}, "parent_id"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, client: Any, fields: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(ValidationError) as caught:
            client.budgets.create("x", **{"amount": 10, **fields})
        assert field in str(caught.value)

    def test_a_hard_one_refuses_what_does_not_fit(self, client: Any) -> None:
        made = client.budgets.create("hard", 10, enforcement="hard")
        spend(client, 4)
        assert client.budgets.check(estimated_cost=6).allowed is True
        assert client.budgets.check(estimated_cost="6.01").allowed is False
        held = client.budgets.reserve(estimated_cost=5, project_id="p")
        assert (held.status, held.budgets[0].remaining) == ("open", 1)
        with pytest.raises(BudgetExceededError) as caught:
            client.budgets.reserve(estimated_cost=2)
        assert caught.value.budget_id == made.id
        assert caught.value.details["remaining"] == 1
        done = client.budgets.settle(held, cost="0.5")
        assert (done.status, done.cost, done.released) == ("settled", 0.5, 4.5)
        assert client.budgets.settle(held, cost="0.5") == done
        with pytest.raises(ConflictError):
            client.budgets.settle(held, cost="0.6")
        assert client.budgets.get(made.id).spent == Decimal("4.5")
        assert client.costs.list()[-1].project_id == "p"

    def test_what_is_released_or_expired_is_held_no_more(self, client: Any, time: Time) -> None:
        made = client.budgets.create("hard", 10, enforcement="hard")
        held = client.budgets.reserve(estimated_cost=7)
        assert client.budgets.release(held).released == 7
        assert client.budgets.release(held).status == "released"
        held = client.budgets.reserve(estimated_cost=7, ttl_seconds=60)
        assert client.budgets.get(made.id).reserved == 7
        time.now += timedelta(seconds=60)
        assert client.budgets.reservation(held).status == "expired"
        assert client.budgets.get(made.id).reserved == 0
        with pytest.raises(NotFoundError):
            client.budgets.reservation("rsv_x")
        with pytest.raises(ValidationError):
            client.budgets.reserve(estimated_cost=1, ttl_seconds=0)

    def test_a_call_is_estimated_by_its_tokens(self, client: Any) -> None:
        client.budgets.create("hard", 1, enforcement="hard", scope={"provider": "openai"})
        ask = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000}
        held = client.budgets.reserve(**ask, max_tokens=1000)
        assert held.amount > 0
        done = client.budgets.settle(held, usage={"input_tokens": 1000, "output_tokens": 10})
        assert 0 < done.cost < held.amount
        for missing in (
            {},
            {"estimated_cost": "much"},
            {**ask, "model": "nobody", "max_tokens": 1},
        ):
            with pytest.raises(ValidationError):
                client.budgets.check(**missing)
        other = client.budgets.reserve(**ask, max_tokens=5)
        with pytest.raises(APIError, match="cost is required"):
            client.budgets.settle(other)


class TestAlerts:
    def test_each_threshold_alerts_once_a_period(self, client: Any, time: Time) -> None:
        made = client.budgets.create("all", 10, period="daily", alert_thresholds=["0.5", 1])
        spend(client, 6)
        spend(client, 5)
        found = client.budgets.alerts(made.id)
        assert [row.title for row in found] == [
            "Budget all is exceeded", "Budget all has reached 100 %", "Budget all has reached 50 %",
        ]  # fmt: skip
        assert [row.severity for row in found] == ["critical", "critical", "warning"]
        time.now += timedelta(days=1)
        spend(client, 5)
        assert len(client.alerts.list()) == 4
        client.budgets.update(made.id, amount=20)
        spend(client, 5)
        assert len(client.alerts.list(type="budget")) == 5

    def test_a_life(self, fake: FakeServer, client: Any) -> None:
        raised = fake.raise_alert("anomaly", "Unusual cost", severity="critical")
        (alert,) = client.alerts.list(status="open", severity="critical")
        assert alert.id == raised["id"]
        assert client.alerts.acknowledge(alert.id, comment="on it").status == "acknowledged"
        snoozed = client.alerts.snooze(alert.id, minutes=60)
        assert snoozed.snoozed_until == "2026-03-15T13:00:00Z"
        until = client.alerts.snooze(alert.id, until="2026-03-16T00:00:00Z").snoozed_until
        assert until == "2026-03-16T00:00:00Z"
        client.alerts.comment(alert.id, "see the wiki")
        assert client.alerts.resolve(alert.id).status == "resolved"
        assert client.alerts.resolve(alert.id).status == "resolved"
        assert [each.type for each in client.alerts.history(alert.id)] == [
            "fired", "acknowledged", "snoozed", "snoozed", "comment", "resolved",
        ]  # fmt: skip
        assert client.alerts.get(alert.id).history[1].text == "on it"
        assert client.alerts.list(status="open") == []
        with pytest.raises(ConflictError):
            client.alerts.acknowledge(alert.id)
        with pytest.raises(NotFoundError):
            client.alerts.get("alt_x")
        with pytest.raises(ValidationError):
            client.alerts.list(colour="red")

    @pytest.mark.parametrize(
        "wrong",
        [{}, {"minutes": 5, "until": "2027-01-01"}, {"minutes": -5}, {"until": "2020-01-01"}],
    )
    def test_a_snooze_that_cannot_be(
        self, fake: FakeServer, client: Any, wrong: dict[str, Any]
    ) -> None:
        alert = fake.raise_alert("anomaly", "x")
        with pytest.raises(ValidationError):
            client.alerts.snooze(alert["id"], **wrong)
        with pytest.raises(ValidationError):
            client.alerts.comment(alert["id"], "")

    def test_rules(self, client: Any) -> None:
        made = client.alerts.rules.create("dear", "high_cost", threshold=10)
        assert (made.type, made.threshold, made.enabled) == ("call_cost", 10, True)
        changed = client.alerts.rules.update(made.id, clear=["threshold"], enabled=False)
        assert ("threshold" in changed, changed.enabled) == (False, False)
        opened = client.alerts.create("e", "error", conditions={"threshold": 0.1})
        assert opened.threshold == Decimal("0.1")
        assert len(client.alerts.rules.list()) == 2
        client.alerts.rules.delete(made.id)
        with pytest.raises(NotFoundError):
            client.alerts.rules.get(made.id)
        for wrong in ({"type": "odd"}, {"name": ""}, {"conditions": 5}):
            with pytest.raises(ValidationError):
                client.alerts.rules.create(**{"name": "x", "type": "usage", **wrong})
        with pytest.raises(ValidationError):
            client.alerts.rules.update(opened.id, type="usage")

    def test_channels(self, client: Any) -> None:
        made = client.alerts.channels.create("ops", "slack", url="https://hooks.example.com/x")
        assert made.config.url == "***"
        assert client.alerts.channels.get("ops").id == made.id
        assert client.alerts.channels.update("ops", enabled=False).enabled is False
        assert client.alerts.channels.test("ops").delivered is True
        assert [row.name for row in client.alerts.channels.list()] == ["ops"]
        with pytest.raises(ConflictError):
            client.alerts.channels.create("ops", "email", recipients=["a@example.com"])
        for wrong in ({"type": "fax"}, {"url": None}, {"name": ""}):
            with pytest.raises(ValidationError):
                client.alerts.channels.create(
                    **{"name": "x", "type": "slack", "url": "https://x.example.com", **wrong}
                )
        with pytest.raises(ValidationError):
            client.alerts.channels.update("ops", type="email")
        client.alerts.channels.delete(made.id)
        with pytest.raises(NotFoundError):
            client.alerts.channels.get("ops")


class TestWebhooks:
    def test_they_list_what_they_would_deliver(self, client: Any) -> None:
        made = client.webhooks.create("https://app.example.com/h", ["budget.threshold"])
        every = client.webhooks.create("https://app.example.com/all", ["*"], secret="s" * 24)
        assert made.secret.startswith("whsec_")
        assert every.secret == "s" * 24
        assert "secret" not in client.webhooks.get(made.id)
        client.budgets.create("all", 10, alert_thresholds=["0.5"])
        spend(client, 5)
        (delivery,) = client.webhooks.deliveries(made.id)
        assert (delivery.type, delivery.event) == (
            "budget.threshold", "budget.threshold_exceeded",
        )  # fmt: skip
        whole = client.webhooks.delivery(made.id, delivery.id)
        assert (whole.data.spent, whole.data.threshold) == (5, 0.5)
        assert [row.event for row in client.webhooks.deliveries(every.id)] == [
            "budget.threshold_exceeded", "cost.created", "usage.submitted",
        ]  # fmt: skip
        assert len(client.webhooks.deliveries(every.id, event="cost.created")) == 1
        assert client.webhooks.redeliver(made.id, delivery.id).attempts == 2
        assert client.webhooks.replay(every.id, start="2026-03-15", status="all") == 3
        assert client.webhooks.replay(every.id, start="2026-03-15", end="2026-03-15T12:00:00Z",
                                      status="all") == 0  # fmt: skip
        assert client.webhooks.replay(every.id, start="2026-03-15") == 0
        assert client.webhooks.test(made.id).event == "webhook.test"

    def test_a_batch_that_is_refused_tells_nothing(self, client: Any) -> None:
        made = client.webhooks.create("https://app.example.com/h", ["*"])
        call = {"provider": "openai", "model": "gpt-4o", "completion_tokens": 1}
        with pytest.raises(ValidationError):
            client.usage.batch_create(
                [{**call, "prompt_tokens": 1}, {**call, "prompt_tokens": -1}], atomic=True
            )
        assert client.webhooks.deliveries(made.id) == []

    def test_they_are_changed_and_removed(self, client: Any) -> None:
        made = client.webhooks.create("https://app.example.com/h", ["*"], description="d")
        assert client.webhooks.disable(made.id).enabled is False
        spend(client, 1)
        assert client.webhooks.deliveries(made.id) == []
        assert client.webhooks.enable(made.id).enabled is True
        rotated = client.webhooks.rotate_secret(made.id)
        assert rotated.secret not in ("", made.secret)
        assert client.webhooks.update(made.id, secret="t" * 24).secret == "t" * 24
        assert len(client.webhooks.events()) == 15
        assert [row.id for row in client.webhooks.list()] == [made.id]
        for wrong in (
            {"url": "ftp://x"}, {"events": []}, {"events": ["odd"]}, {"secret": "short"},
        ):  # fmt: skip
            with pytest.raises(ValidationError):
                client.webhooks.update(made.id, **wrong)
        with pytest.raises(NotFoundError):
            client.webhooks.delivery(made.id, "dlv_x")
        client.webhooks.delete(made.id)
        for call in (client.webhooks.get, client.webhooks.delete, client.webhooks.test):
            with pytest.raises(NotFoundError):
                call(made.id)


def test_the_names_are_those_of_the_server() -> None:
    from llm_cost_ops.server.alerts import rules
    from llm_cost_ops.server.delivery import channels
    from llm_cost_ops.server.webhooks import catalogue

    assert set(alerts.TYPES) == set(rules.TYPES)
    assert dict(alerts.SYNONYMS) == dict(rules.SYNONYMS)
    assert set(alerts.CHANNELS) == set(channels.CHANNELS)
    assert {n: tuple(k.aliases) for n, k in catalogue.EVENTS.items()} == dict(webhooks.EVENTS)


def test_another_organization_is_refused() -> None:
    client = FakeServer(organization_id="org-a").client()
    with pytest.raises(PermissionDenied):
        client.budgets.create("x", 10, organization_id="org-b")
