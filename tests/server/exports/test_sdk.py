"""`client.export`: files of what calls cost."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient, UsageRecord
from llm_cost_ops.exceptions import APIError, NetworkError, TimeoutError, ValidationError
from tests.docs.place import Place, redirected
from tests.docs.snippets import SEEDS, snippets
from tests.support.live import LiveServer
from tests.support.sink import Got, Reply, sink


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
    assert repr(export) == f"<Export {export.id} costs.csv, pending>"
    assert export.wait().progress["rows"] == 3
    assert [each.id for each in client.export.list()] == [export.id]
    assert client.export.list()[0].download() == export.download()
    export.cancel()
    with pytest.raises(APIError) as gone:
        export.download()
    assert gone.value.status_code == 410
    assert client.exports is client.export


def test_of_the_asynchronous_client(client: CostOpsClient, tmp_path: Path) -> None:
    async def exported() -> bytes:
        async with AsyncCostOpsClient(
            client.settings.api_key, client.settings.base_url
        ) as asynchronous:
            made = await asynchronous.export.create(type="aggregates", group_by="model")
            assert (await made.save(tmp_path / "a.csv")).read_bytes() == await made.download()
            return await made.download()

    head, row, *_ = asyncio.run(exported()).decode().splitlines()
    assert head.startswith("model,currency,requests")
    assert row.startswith('"gpt-4o","USD",3,4500,0.0225')


def test_what_is_refused_names_its_field(client: CostOpsClient) -> None:
    with pytest.raises(ValidationError) as refused:
        client.export.create(include_fields=["nope"])
    assert "include_fields" in refused.value.field_errors


CONTENT = bytes(range(256)) * 2_000


class Breaking:
    """A server whose downloads break after some bytes, `times` times."""

    def __init__(self, times: int, *, after: int = 200_000, sha256: str | None = None) -> None:
        self.times = times
        self.after = after
        self.sha256 = sha256 or hashlib.sha256(CONTENT).hexdigest()
        self.ranges: list[str | None] = []
        self.status = "completed"

    def __call__(self, got: Got) -> Reply:
        if not got.path.endswith("/download"):
            shown = {"id": "exp_1", "status": self.status, "type": "costs", "format": "csv",
                     "sha256": self.sha256, "reason": None}  # fmt: skip
            return Reply(200, {"Content-Type": "application/json"}, json.dumps(shown).encode())
        asked = got.headers.get("range")
        self.ranges.append(asked)
        if asked is not None:
            assert got.headers["if-range"] == f'"{self.sha256}"'
        start = 0 if asked is None else int(asked.removeprefix("bytes=").removesuffix("-"))
        rest = CONTENT[start:]
        head = f"HTTP/1.1 {200 if asked is None else 206} x\r\nContent-Length: {len(rest)}\r\n"
        cut = self.after if self.times > 0 else len(rest)
        self.times -= 1

        def answer(out: Any) -> None:
            out.wfile.write(f"{head}Connection: close\r\n\r\n".encode() + rest[:cut])

        return Reply(raw=answer)


Fetch = Callable[[str], bytes]


def synchronously(base_url: str) -> bytes:
    client = CostOpsClient("sk_x", base_url, max_retries=1, retry_delay=0.01)
    return bytes(client.export.get("exp_1").download())


def asynchronously(base_url: str) -> bytes:
    async def fetch() -> bytes:
        async with AsyncCostOpsClient("sk_x", base_url, max_retries=1, retry_delay=0.01) as client:
            return bytes(await (await client.export.get("exp_1")).download())

    return asyncio.run(fetch())


BOTH = pytest.mark.parametrize("fetch", [synchronously, asynchronously])


@BOTH
def test_a_download_that_breaks_goes_on_where_it_was(fetch: Fetch) -> None:
    with sink() as server:
        server.answer = breaking = Breaking(2)
        assert fetch(f"http://127.0.0.1:{server.port}") == CONTENT
    first, *more = breaking.ranges
    assert first is None
    assert len(more) == 2
    starts = [int((each or "").removeprefix("bytes=").removesuffix("-")) for each in more]
    assert 0 < starts[0] < starts[1] < len(CONTENT)


@BOTH
def test_a_download_that_brings_nothing_more_ends(fetch: Fetch) -> None:
    with sink() as server:
        server.answer = breaking = Breaking(100, after=0)
        with pytest.raises(NetworkError):
            fetch(f"http://127.0.0.1:{server.port}")
    assert len(breaking.ranges) == 2


@BOTH
def test_another_file_is_no_success(fetch: Fetch) -> None:
    with sink() as server:
        server.answer = Breaking(0, sha256="0" * 64)
        with pytest.raises(NetworkError, match="not the one that was made"):
            fetch(f"http://127.0.0.1:{server.port}")


def test_what_stood_there_stays_when_the_download_fails(tmp_path: Path) -> None:
    place = tmp_path / "costs.csv"
    place.write_bytes(b"before")
    with sink() as server:
        server.answer = Breaking(0, sha256="0" * 64)
        client = CostOpsClient("sk_x", f"http://127.0.0.1:{server.port}")
        with pytest.raises(NetworkError):
            client.export.save("exp_1", place)
    assert (place.read_bytes(), list(tmp_path.iterdir())) == (b"before", [place])


def test_waiting_has_an_end() -> None:
    with sink() as server:
        server.answer = breaking = Breaking(0)
        breaking.status = "pending"
        client = CostOpsClient("sk_x", f"http://127.0.0.1:{server.port}", enable_caching=True)
        with pytest.raises(TimeoutError, match="does a worker run"):
            client.export.wait("exp_1", timeout=0.3)
        breaking.status = "failed"
        with pytest.raises(APIError, match="export exp_1 is failed"):
            client.export.wait("exp_1")


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
    assert written == ["provider,model,cost,tokens", '"openai","gpt-4",12.5,10']
