"""`client.forecast` against a real server, and the documents' blocks about it as printed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.client.rows import Anomaly, BudgetForecast, Forecast
from llm_cost_ops.exceptions import APIError, NotFoundError
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.forecasts import watch
from tests.docs.place import Place, redirected
from tests.docs.snippets import SEEDS, snippets
from tests.server.forecasts.test_watch import row
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]

JANUARY = [datetime(2025, 1, day, tzinfo=UTC) for day in (*range(1, 20), *range(21, 32), 20)]


def lately() -> list[datetime]:
    now = datetime.now(UTC)
    return [now - timedelta(days=back) for back in range(21, 0, -1)]


def spend(client: CostOpsClient, days: list[datetime]) -> None:
    """A cost a day, of which the last is ten times as much."""
    for place, day in enumerate(days):
        cost = (Decimal(50) if day == days[-1] else Decimal(5)) + place % 3
        at = day.replace(hour=12, minute=0, second=0, microsecond=0)
        client.costs.create(
            model="gpt-4", cost=cost, tokens_used=1, timestamp=at, provider="openai"
        )


@pytest.fixture
def place(live_server: LiveServer) -> Place:
    organization, key = live_server.new_organization()
    return Place(live_server.base_url, key, {"org-abc": organization})


@pytest.fixture
def client(place: Place) -> Iterator[CostOpsClient]:
    with CostOpsClient(place.api_key, place.base_url, max_retries=0) as made:
        yield made


def test_forecasts(client: CostOpsClient) -> None:
    with pytest.raises(APIError) as caught:
        client.forecasts.generate(model="linear")
    assert caught.value.code == "FORECAST_001"
    spend(client, lately())
    made = client.forecast.generate(model="linear", horizon_days=3, confidence_level=0.9)
    assert isinstance(made, Forecast)
    last = made.predictions[-1]
    assert last.value == last.predicted_cost
    assert last.lower_bound <= last.value <= last.upper_bound
    assert f"{last.value:.2f}"
    assert made.drivers is not None
    assert made.drivers.change == sum(each.amount for each in made.drivers.parts)
    assert client.forecasts.get(made.id) == made
    assert [each.id for each in client.forecasts.list()] == [made.id]
    with pytest.raises(NotFoundError):
        client.forecasts.get("fct_0")


def test_budgets(client: CostOpsClient) -> None:
    spend(client, lately())
    budget = client.budgets.create("all", 1, period="annual")
    found = client.forecasts.budget(budget.id, model="linear")
    assert isinstance(found, BudgetForecast)
    assert (found.status, found.breach_probability) == ("exceeded", 1)
    thought = client.forecasts.budget(amount=10**6, alert_thresholds=[0.5])
    assert (thought.budget_id, thought.status) == (None, "on_track")
    assert [each.threshold for each in thought.alert_thresholds] == [0.5]


def test_anomalies(client: CostOpsClient, live_server: LiveServer) -> None:
    spend(client, JANUARY)
    found = client.forecasts.detect_anomalies(
        method="zscore", threshold=3.0, start_date="2025-01-01", end_date="2025-01-31",
        group_by=["model"], explain=True,
    )  # fmt: skip
    (anomaly,) = found.data
    assert isinstance(anomaly, Anomaly)
    assert (anomaly.date, anomaly.value) == ("2025-01-20", "gpt-4")
    assert anomaly.actual_cost > anomaly.upper > anomaly.expected_cost
    assert anomaly.causes.jump == sum(each.amount for each in anomaly.causes.drivers)
    organization_id = client.costs.list(limit=1)[0].organization_id
    with write(live_server.database) as session:
        watch.keep(session, organization_id, [row("day", 18)], 1)
    (stored,) = client.forecast.anomalies.list()
    assert client.forecast.anomalies.get(stored.id).is_anomaly is None
    said = client.forecast.anomalies.feedback(stored, False, note="a test")
    assert (said.is_anomaly, said.note) == (False, "a test")
    assert client.forecast.anomalies.feedback(stored.id, None).is_anomaly is None
    causes = client.forecast.anomalies.causes(stored)
    assert causes.jump == sum(each.amount for each in causes.drivers)


async def _asynchronously(place: Place) -> tuple[Any, ...]:
    async with AsyncCostOpsClient(place.api_key, place.base_url) as client:
        made = await client.forecast.generate(model="moving_average", horizon=1)
        found = await client.forecasts.detect_anomalies(method="zscore")
        stored = await client.forecasts.anomalies.list()
        plan = await client.forecasts.budget(amount=5)
        return made.model, len(found), [*stored], plan.currency


def test_asynchronously(client: CostOpsClient, place: Place) -> None:
    spend(client, lately())
    assert asyncio.run(_asynchronously(place)) == ("moving_average", 1, [], "USD")


def forecast_is(count: int) -> Callable[[dict[str, Any]], None]:
    def step(names: dict[str, Any]) -> None:
        made = names["forecast"]
        assert len(made.predictions) == count
        assert made.predictions[-1].value > 0

    return step


def three(names: dict[str, Any]) -> None:
    made = names["forecasts"]
    assert [made[name].model for name in names["models"]] == names["models"]
    assert all(len(each.predictions) == 30 for each in made.values())


def found_on_the_twentieth(names: dict[str, Any]) -> None:
    assert [row.date for row in names["anomalies"].data] == ["2025-01-20"]


SNIPPETS: dict[str, tuple[Callable[[], list[datetime]], Callable[[dict[str, Any]], None]]] = {
    "cheat-sheet#16": (lately, forecast_is(30)),
    "cheat-sheet#17": (lately, three),
    "cheat-sheet#18": (lambda: JANUARY, found_on_the_twentieth),
    "cheat-sheet#19": (lambda: JANUARY, found_on_the_twentieth),
    "cheat-sheet#29": (lately, forecast_is(7)),
}


@pytest.mark.skipif(not SEEDS.exists(), reason="the documents are not here")
@pytest.mark.parametrize("key", SNIPPETS)
def test_the_documents_blocks(
    key: str, client: CostOpsClient, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    days, then = SNIPPETS[key]
    spend(client, days())
    code = next(each.code for each in snippets() if each.key == key)
    names: dict[str, Any] = {"client": client}
    with redirected(place, monkeypatch):
        exec(compile(code, key, "exec", dont_inherit=True), names)  # noqa: S102
    then(names)
