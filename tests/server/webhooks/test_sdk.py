"""`client.webhooks`, synchronous and asynchronous, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.exceptions import ConflictError, NotFoundError, ValidationError
from tests.docs.snippets import SEEDS, snippets
from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]

URL = "https://hooks.invalid/costs"
SECRET = "your-webhook-secret"


@pytest.fixture
def client(live_server: LiveServer) -> Iterator[CostOpsClient]:
    _, key = live_server.new_organization()
    with CostOpsClient(key, live_server.base_url, max_retries=0) as made:
        yield made


def test_a_webhook_from_its_making_to_its_end(client: CostOpsClient) -> None:
    hooks = client.webhooks
    made = hooks.create(url=URL, events=["cost.created"], secret=SECRET, description="ours")
    assert (made.id[:4], made.secret, made.events) == ("whk_", SECRET, ["cost.created"])
    assert [row.id for row in hooks.list()] == [made.id]
    assert hooks.get(made.id).description == "ours"
    assert hooks.update(made.id, events=["budget.threshold"]).events == ["budget.threshold"]
    assert hooks.disable(made.id).disabled_reason == "user"
    with pytest.raises(ConflictError):
        hooks.replay(made.id, start=datetime(2026, 1, 1, tzinfo=UTC))
    assert hooks.enable(made.id).enabled is True
    assert hooks.replay(made.id, start=datetime(2026, 1, 1, tzinfo=UTC), status="all") == 0
    rotated = hooks.rotate_secret(made.id, overlap_hours=1)
    assert rotated.secret.startswith("whsec_")
    tested = hooks.test(made.id)
    assert tested.status == "failed"
    assert tested.attempt_log[0].detail.startswith("the name could not be resolved")
    (delivery,) = hooks.deliveries(made.id)
    assert hooks.delivery(made.id, delivery.id).data.webhook_id == made.id
    assert hooks.redeliver(made.id, delivery.id).status == "pending"
    assert "budget.threshold" in hooks.events()[4].aliases
    hooks.delete(made.id)
    with pytest.raises(NotFoundError):
        hooks.get(made.id)
    with pytest.raises(ValidationError) as caught:
        hooks.create("http://127.0.0.1/", ["cost.created"])
    assert "url" in caught.value.field_errors


@pytest.mark.skipif(not SEEDS.exists(), reason="COST_OPS_SHARED has no seeds")
def test_the_printed_registration_runs(
    client: CostOpsClient,
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (printed,) = (each for each in snippets() if each.key == "developer-guide#23")
    _, key = live_server.new_organization()
    monkeypatch.setenv("LLM_COST_OPS_BASE_URL", live_server.base_url)
    assert '"your-api-key"' in printed.code
    code = printed.code.replace('"your-api-key"', repr(key))
    names: dict[str, Any] = {}
    exec(compile(code, str(printed), "exec"), names)  # noqa: S102 - the documents' own code
    names["client"].close()
    assert capsys.readouterr().out.startswith("Webhook created: whk_")
    assert len(names["webhooks"]) == 1
    with CostOpsClient(key, live_server.base_url) as after:
        assert not after.webhooks.list()


def test_asynchronous(live_server: LiveServer) -> None:
    _, key = live_server.new_organization()

    async def walk() -> None:
        async with AsyncCostOpsClient(key, live_server.base_url, max_retries=0) as client:
            made = await client.webhooks.create(URL, ["*"], SECRET)
            assert [row.id for row in await client.webhooks.list()] == [made.id]
            assert (await client.webhooks.update(made.id, url=URL + "/b")).url == URL + "/b"
            await client.webhooks.delete(made.id)
            assert not await client.webhooks.list()

    asyncio.run(walk())
