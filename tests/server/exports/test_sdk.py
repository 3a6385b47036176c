"""`client.export`: files of what calls cost."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient, UsageRecord
from llm_cost_ops.exceptions import ValidationError
from tests.docs.place import Place, redirected
from tests.docs.snippets import SEEDS, snippets
from tests.support.live import LiveServer


@pytest.fixture
def client(live_server: LiveServer) -> CostOpsClient:
    organization_id, key = live_server.new_organization()
    made = CostOpsClient(key, live_server.base_url, organization_id=organization_id)
    for number in range(3):
        made.usage.create(
            UsageRecord(
                provider="openai", model="gpt-4o", prompt_tokens=1000, completion_tokens=500,
                event_id=f"e{number}", timestamp="2026-11-05T12:00:00Z",
            )
        )  # fmt: skip
    return made


def test_as_the_guide_says(client: CostOpsClient, tmp_path: Path) -> None:
    export = client.export.create(
        organization_id=client.settings.organization_id,
        format="csv",
        start_date="2026-11-01",
        end_date="2026-11-30",
        include_fields=["provider", "model", "cost", "tokens"],
    )
    rows = list(csv.reader(io.StringIO(export.download().decode(), newline="")))
    assert rows[0] == ["provider", "model", "cost", "tokens"]
    assert rows[1:] == [["openai", "gpt-4o", "0.0075", "1500"]] * 3
    place = export.save(tmp_path / "costs.csv")
    assert place.read_bytes() == export.download()
    assert repr(export) == f"<Export costs.csv, {len(export.content)} bytes>"
    assert client.exports is client.export


def test_of_the_asynchronous_client(client: CostOpsClient) -> None:
    async def exported() -> bytes:
        async with AsyncCostOpsClient(
            client.settings.api_key, client.settings.base_url
        ) as asynchronous:
            made = await asynchronous.export.create(type="aggregates", group_by="model")
            return made.download()

    head, row, *_ = asyncio.run(exported()).decode().splitlines()
    assert head.startswith("model,currency,requests")
    assert row.startswith("gpt-4o,USD,3,4500,0.0225")


def test_what_is_refused_names_its_field(client: CostOpsClient) -> None:
    with pytest.raises(ValidationError) as refused:
        client.export.create(include_fields=["nope"])
    assert "include_fields" in refused.value.field_errors


@pytest.mark.skipif(not SEEDS.exists(), reason="COST_OPS_SHARED has no seeds")
def test_the_documents_block_of_a_file_runs_as_printed(
    live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    organization_id, key = live_server.new_organization()
    place = Place(live_server.base_url, key, {"org-abc": organization_id})
    (block,) = (each for each in snippets() if "client.export.create(" in each.code)
    with redirected(place, monkeypatch), CostOpsClient() as led:
        led.costs.create(model="gpt-4", cost="12.5", tokens_used=10, provider="openai",
                         timestamp="2025-01-15T12:00:00Z")  # fmt: skip
        exec(compile(block.code, str(block), "exec"), {"client": led})  # noqa: S102 - as printed
    written = (tmp_path / "costs.csv").read_text(encoding="utf-8").splitlines()
    assert written == ["provider,model,cost,tokens", "openai,gpt-4,12.5,10"]
