"""Closing a month from Python and from the command line."""

from __future__ import annotations

import asyncio
import csv
from typing import Any, cast

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient, UsageRecord
from llm_cost_ops.client.policy import Flow, Sleep
from llm_cost_ops.client.resources.periods import settled
from llm_cost_ops.exceptions import ConflictError, TimeoutError
from tests.support.live import LiveServer

MAY, JUNE = "2025-05", "2025-06"


def used(event_id: str) -> UsageRecord:
    return UsageRecord(
        provider="openai", model="gpt-4o", prompt_tokens=1000, completion_tokens=500,
        event_id=event_id, timestamp="2025-05-30T12:00:00Z",
    )  # fmt: skip


@pytest.fixture
def client(live_server: LiveServer) -> CostOpsClient:
    organization_id, key = live_server.new_organization()
    made = CostOpsClient(key, live_server.base_url, organization_id=organization_id)
    made.usage.create(used("e1"))
    return made


def test_from_python(client: CostOpsClient) -> None:
    closed = client.periods.close(MAY, strict=True)
    assert (closed.status, closed.warnings) == ("closed", [])
    before = client.export.create(billing_period=MAY).download()
    client.usage.create(used("e2"))
    assert client.export.create(billing_period=MAY).download() == before
    assert [each.status for each in client.periods.list()][:2] == ["closed", "open"]
    assert client.periods.get(MAY).requests == 1
    assert client.periods.statement(JUNE).corrections[0]["corrects"] == MAY
    lines = client.periods.statement_file(JUNE).decode().splitlines()
    assert next(csv.reader(lines[1:]))[:4] == ["2025-06", "2025-05", "openai", "gpt-4o"]
    with pytest.raises(ConflictError):
        client.periods.close("2025-08")
    assert client.periods.reopen(MAY, "a mistake").status == "open"


def test_of_the_asynchronous_client(client: CostOpsClient) -> None:
    async def closed() -> Any:
        settings = client.settings
        async with AsyncCostOpsClient(settings.api_key, settings.base_url) as asynchronous:
            await asynchronous.periods.close(MAY)
            return await asynchronous.periods.get(MAY)

    assert asyncio.run(closed()).status == "closed"


def test_the_client_waits_for_the_worker() -> None:
    states = ["closing", "closing", "closed"]

    class Told:
        """A server whose worker is at it."""

        def write(self, method: str, path: str, body: Any) -> Flow[Any]:
            assert (method, path, body) == ("POST", "/periods/2025-05/close", {"strict": True})
            return self.get(path)

        def get(self, path: str, *, fresh: bool = True) -> Flow[Any]:
            assert fresh, path
            yield from ()
            return {"period": MAY, "status": states.pop(0)}

    flow = settled(cast("Any", Told()), MAY, "close", {"strict": True}, 600)
    pauses = [cast("Sleep", each).seconds for each in flow]
    assert pauses == [0.5, 0.75]
    states += ["closing"] * 3
    with pytest.raises(TimeoutError, match="worker"):
        list(settled(cast("Any", Told()), MAY, "close", {"strict": True}, 1.0))
