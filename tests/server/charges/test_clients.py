"""Charges from Python and from the command line."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.exceptions import NotFoundError, ValidationError
from tests.support.live import LiveServer


@pytest.fixture
def client(live_server: LiveServer) -> CostOpsClient:
    organization_id, key = live_server.new_organization()
    return CostOpsClient(key, live_server.base_url, organization_id=organization_id)


def test_from_python(client: CostOpsClient) -> None:
    made = client.charges.create(
        "commitment", "openai", "Credits", Decimal("45.5"), "USD", date(2025, 10, 1),
        "2025-12-31", granted=50, contract_id=None,
    )  # fmt: skip
    assert (made.amount, made.granted, made.remaining) == (Decimal("45.5"), 50, 50)
    assert client.charges.get(made.id).end_date == "2025-12-31"
    assert [each.id for each in client.charges.list(kind="commitment")] == [made.id]
    with pytest.raises(ValidationError, match="end_date"):
        client.charges.create("credit", "openai", "x", 1, "USD", "2025-10-01", "2025-10-02")
    client.charges.delete(made.id)
    with pytest.raises(NotFoundError):
        client.charges.delete(made.id)


def test_from_asynchronous_python(client: CostOpsClient) -> None:
    async def work() -> int:
        settings = client.settings
        async with AsyncCostOpsClient(settings.api_key, settings.base_url) as other:
            await other.charges.create("credit", "openai", "Goodwill", 5, "USD", "2025-10-01")
            return len(list(await other.charges.list()))

    assert asyncio.run(work()) == 1
