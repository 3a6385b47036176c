"""`client.alerts` against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.exceptions import NotFoundError, ValidationError
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]

NOBODY = "alt_00000000000000000000000000"


@pytest.fixture
def client(live_server: LiveServer) -> Iterator[CostOpsClient]:
    _, key = live_server.new_organization()
    with CostOpsClient(key, live_server.base_url, max_retries=0) as made:
        yield made


def test_rules(client: CostOpsClient) -> None:
    made = client.alerts.rules.create("dear", "call_cost", threshold=10, severity="critical")
    assert (made.name, made.type, made.threshold) == ("dear", "call_cost", 10)
    assert [row.id for row in client.alerts.rules.list()] == [made.id]
    assert client.alerts.rules.get(made.id).severity == "critical"
    changed = client.alerts.rules.update(made.id, clear=["severity"], threshold="12.5")
    assert ("severity" in changed, changed.threshold) == (False, 12.5)
    client.alerts.rules.delete(made.id)
    with pytest.raises(NotFoundError):
        client.alerts.rules.get(made.id)
    other = client.alerts.create(
        "errors", "error", conditions={"threshold": 0.05, "window_minutes": 30}
    )
    assert (other.type, other.window_minutes) == ("error_rate", 30)


def test_channels(client: CostOpsClient) -> None:
    made = client.alerts.channels.create("ops", "email", recipients=["ops@example.com"])
    assert made.config.recipients == ["ops@example.com"]
    assert client.alerts.channels.get("ops").id == made.id
    assert [row.name for row in client.alerts.channels.list()] == ["ops"]
    assert client.alerts.channels.update(made.id, enabled=False).enabled is False
    tested = client.alerts.channels.test("ops")
    assert tested.delivered is False  # there is no mail server
    client.alerts.channels.delete(made.id)
    with pytest.raises(NotFoundError):
        client.alerts.channels.get("ops")


def test_alerts(client: CostOpsClient) -> None:
    budget = client.budgets.create("all", 5)
    assert client.alerts.list(status="open", limit=5) == []
    assert client.budgets.alerts(budget.id) == []
    assert client.budgets.get_budget_alerts(budget.id) == []
    for act in (
        client.alerts.get,
        client.alerts.history,
        client.alerts.acknowledge,
        client.alerts.resolve,
    ):
        with pytest.raises(NotFoundError):
            act(NOBODY)
    with pytest.raises(NotFoundError):
        client.alerts.snooze(NOBODY, minutes=5)
    with pytest.raises(NotFoundError):
        client.alerts.comment(NOBODY, "x")
    with pytest.raises(ValidationError):
        client.alerts.list(status="odd")


async def _both(base_url: str, key: str) -> tuple[object, ...]:
    async with AsyncCostOpsClient(key, base_url) as client:
        rule = await client.alerts.rules.create("dear", "call_cost", threshold=10)
        channel = await client.alerts.channels.create("o", "email", recipients=["a@example.com"])
        listed = await client.alerts.list()
        return rule.name, channel.name, list(listed)


def test_asynchronously(live_server: LiveServer) -> None:
    _, key = live_server.new_organization()
    assert asyncio.run(_both(live_server.base_url, key)) == ("dear", "o", [])
