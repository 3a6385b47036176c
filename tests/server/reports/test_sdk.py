"""`client.reports` against a real server, and the documents' blocks about it as printed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.exceptions import CostOpsError, NotFoundError, ValidationError
from tests.docs.place import Place, redirected
from tests.docs.snippets import SEEDS, snippets
from tests.support.live import LiveServer


@pytest.fixture
def place(live_server: LiveServer) -> Place:
    organization, key = live_server.new_organization()
    return Place(live_server.base_url, key, {"org-abc": organization})


@pytest.fixture
def client(place: Place) -> Iterator[CostOpsClient]:
    with CostOpsClient(place.api_key, place.base_url, max_retries=0) as made:
        made.costs.create(
            model="gpt-4", cost="12.5", tokens_used=10, provider="openai",
            timestamp="2025-01-15T12:00:00Z",
        )  # fmt: skip
        yield made


JANUARY: dict[str, Any] = {"start_date": "2025-01-01", "end_date": "2025-01-31"}


def test_reports(client: CostOpsClient, tmp_path: Path) -> None:
    made = client.reports.generate(type="cost_summary", format="markdown", **JANUARY)
    assert made.status == "completed"
    assert b"12.50" in made.download()
    assert made.save(tmp_path / "january.md").read_bytes() == made.download()
    assert client.reports.download(made.id, "html").startswith(b"<!")
    found = client.reports.get(made.id)
    assert found == made
    with pytest.raises(CostOpsError, match=r"client\.reports\.download"):
        found.download()
    assert [each.id for each in client.reports.list(type="cost_summary")] == [made.id]
    with pytest.raises(ValidationError) as refused:
        client.reports.generate(type="profit")
    assert "type" in refused.value.field_errors
    with pytest.raises(CostOpsError, match="no rate of USD to EUR"):
        client.reports.generate(currency="EUR", **JANUARY)
    kept = client.reports.create_template("Mine", ["totals"])
    assert [each.name for each in client.reports.list_templates()] == ["Mine"]
    custom = client.reports.generate("custom", template="Mine", format="json", **JANUARY)
    assert b'"Totals"' in custom.download()
    client.reports.delete_template(kept.id)
    client.reports.delete(made.id)
    with pytest.raises(NotFoundError):
        client.reports.get(made.id)


def test_of_the_asynchronous_client(client: CostOpsClient, place: Place) -> None:
    async def reported() -> bytes:
        async with AsyncCostOpsClient(place.api_key, place.base_url) as asynchronous:
            made = await asynchronous.reports.generate(format="html", **JANUARY)
            assert await asynchronous.reports.download(made.id) == made.download()
            return made.download()

    assert b"12.50" in asyncio.run(reported())


@pytest.mark.skipif(not SEEDS.exists(), reason="COST_OPS_SHARED has no seeds")
def test_the_documents_blocks_run_as_printed(
    client: CostOpsClient, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [each for each in snippets() if "client.reports." in each.code]
    assert [each.key for each in blocks] == ["cheat-sheet#22", "cheat-sheet#23"]
    found: list[Any] = []
    with redirected(place, monkeypatch), CostOpsClient() as led:
        for block in blocks:
            names: dict[str, Any] = {"client": led}
            exec(compile(block.code, str(block), "exec"), names)  # noqa: S102 - the documents' own
            found.append(names["report"])
    assert (tmp_path / "cost_report.pdf").read_bytes().startswith(b"%PDF-")
    assert found[1].download().startswith(b"PK")
    assert found[1].type == "usage_analysis"
