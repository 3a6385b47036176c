"""`client.budgets` against a real server, and the documents' checks for continuous integration."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.exceptions import BudgetExceededError, ConflictError, NotFoundError
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]

SHARED = Path(os.environ.get("COST_OPS_SHARED", Path(__file__).parents[4] / "shared"))
GUIDE = SHARED / "seeds" / "developer-guide.md"
CALL = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "max_tokens": 500}


@pytest.fixture
def client(live_server: LiveServer) -> Iterator[CostOpsClient]:
    _, key = live_server.new_organization()
    with CostOpsClient(key, live_server.base_url, max_retries=0) as made:
        yield made


def test_a_budget_from_its_making_to_its_end(client: CostOpsClient) -> None:
    made = client.budgets.create("all", 10.5, enforcement="hard", alert_thresholds=[0.5, 1])
    assert (made.amount, made.spent, made.remaining, made.utilization) == (10.5, 0, 10.5, 0)
    assert [row.id for row in client.budgets.list()] == [made.id]
    assert client.budgets.get(made.id).name == "all"
    assert client.budgets.get_current().id == made.id
    assert client.budgets.update(made.id, amount="12").remaining == 12
    raised = client.budgets.adjust(made.id, type="increase", amount=1, reason="launch")
    assert (raised.amount, raised.remaining) == (12, 13)
    assert [row.reason for row in client.budgets.adjustments(made.id)] == ["launch"]
    assert client.budgets.status(made.id).projected_spend == 0
    client.budgets.delete(made.id)
    with pytest.raises(NotFoundError):
        client.budgets.get(made.id)


def test_reservations(client: CostOpsClient) -> None:
    made = client.budgets.create("all", "0.01", enforcement="hard")
    assert client.budgets.check(**CALL).allowed is True
    held = client.budgets.reserve(**CALL)
    assert (held.amount, held.basis) == (Decimal("0.0075"), "upper_bound")
    with pytest.raises(BudgetExceededError) as caught:
        client.budgets.reserve(**CALL)
    assert caught.value.budget_id == made.id
    assert caught.value.details["requested"] == 0.0075
    assert client.budgets.check(**CALL).allowed is False
    done = client.budgets.settle(held, usage={"input_tokens": 1000, "output_tokens": 100})
    assert (done.cost, done.released) == (Decimal("0.0035"), Decimal("0.004"))
    assert client.budgets.reservation(held).status == "settled"
    with pytest.raises(ConflictError):
        client.budgets.release(held)
    other = client.budgets.reserve(estimated_cost="0.001")
    assert client.budgets.release(other.reservation_id).released == Decimal("0.001")
    now = client.budgets.get(made.id)
    assert (now.spent, now.reserved) == (Decimal("0.0035"), 0)


async def _both(base_url: str, key: str) -> tuple[object, object]:
    async with AsyncCostOpsClient(key, base_url) as client:
        made = await client.budgets.create("all", 5)
        held = await client.budgets.reserve(estimated_cost=1)
        return made.spent, (await client.budgets.settle(held, cost=0.5)).released


def test_asynchronously(live_server: LiveServer) -> None:
    _, key = live_server.new_organization()
    assert asyncio.run(_both(live_server.base_url, key)) == (0, Decimal("0.5"))


def snippets() -> list[str]:
    """The documents' programs that ask for the current budget."""
    if not GUIDE.exists():
        return []
    found = re.findall(r"python - <<EOF\n(.*?)\n *EOF", GUIDE.read_text(encoding="utf-8"), re.S)
    return [textwrap.dedent(text) for text in found if "get_current" in text]


@pytest.mark.skipif(not GUIDE.exists(), reason="the documents are not here")
@pytest.mark.parametrize(("cost", "code"), [("999.99", 0), ("1000.01", 1)])
def test_the_documents_checks(live_server: LiveServer, cost: str, code: int) -> None:
    _, key = live_server.new_organization()
    environment = {
        **os.environ,
        "LLM_COST_OPS_API_KEY": key,
        "LLM_COST_OPS_BASE_URL": live_server.base_url,
        "BUDGET_THRESHOLD": "1000",
    }
    with CostOpsClient(key, live_server.base_url) as client:
        client.budgets.create("all", 1100)
        client.costs.create(model="gpt-4o", provider="openai", cost=cost, tokens_used=1)
    ran = [
        subprocess.run(
            [sys.executable, "-c", text], env=environment, capture_output=True, text=True
        )
        for text in snippets()
    ]
    assert [done.returncode for done in ran] == [code, 0], [done.stderr for done in ran]
    assert ran[0].stdout.startswith("Budget exceeded: $1000.01" if code else "Budget OK: $999.99")
    assert ran[1].stdout.startswith("WARNING: Budget at 9")
