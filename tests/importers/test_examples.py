"""The bundled example: made by its generator, readable, and with every case that it promises."""

from __future__ import annotations

import json
import runpy
from collections import Counter

import pytest

from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.core.usage import check_usage
from llm_cost_ops.importers import Record, detect
from tests.importers.reading import REPOSITORY, items_of, split

EXAMPLES = REPOSITORY / "examples"
FORMATS = {"responses.jsonl": "responses", "usage.jsonl": "jsonl"}


def read(name: str) -> list[Record]:
    data = (EXAMPLES / name).read_bytes()
    records, problems = split(items_of(data, FORMATS[name]))
    assert problems == []
    return records


@pytest.mark.parametrize("name", FORMATS)
def test_the_files_are_what_the_generator_makes(name: str) -> None:
    made = runpy.run_path(str(EXAMPLES / "generate.py"))["files"]()
    assert (EXAMPLES / name).read_text(encoding="utf-8") == made[name]


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_is_a_record_with_an_id_of_its_own(name: str) -> None:
    records = read(name)
    assert 200 <= len(records) <= 300
    assert len({record["event_id"] for record in records}) == len(records)
    stamps = [str(record["timestamp"]) for record in records]
    assert stamps == sorted(stamps)
    assert stamps[0] >= "2026-10-20"
    assert stamps[-1] < "2026-11-20"
    for field in ("project_id", "team_id", "user_id", "environment", "feature", "tags", "metadata"):
        assert all(record[field] for record in records)
    assert detect((EXAMPLES / name).read_bytes()[:65536], name) == FORMATS[name]


def test_every_response_can_be_extracted() -> None:
    kinds: Counter[str] = Counter()
    providers: set[object] = set()
    tiers: set[object] = set()
    for record in read("responses.jsonl"):
        provider, body = record["provider"], record["response"]
        assert isinstance(provider, str)
        assert isinstance(body, dict)
        found = extract(provider, body)
        kinds.update(found.usage)
        providers.add(provider)
        tiers.add(found.service_tier or record.get("processing"))
        assert found.model or record["model"]
    assert len(providers) >= 14
    assert {"flex", "priority", "batch", "standard"} <= tiers
    assert {
        "web_searches", "cache_write_1h_tokens", "cache_write_5m_tokens", "cache_read_tokens",
        "input_audio_tokens", "output_reasoning_tokens", "rerank_searches",
    } <= kinds.keys()  # fmt: skip


def test_the_records_name_one_model_that_no_book_knows() -> None:
    records = read("usage.jsonl")
    models = Counter(str(record["model"]) for record in records)
    assert models["gpt-77-preview"] == 1
    for record in records:
        usage = record.get("usage")
        if isinstance(usage, dict):
            assert check_usage(usage) == usage
        elif "total_tokens" in record:
            assert record["total_tokens"] == record["prompt_tokens"] + record["completion_tokens"]  # type: ignore[operator]


def test_nothing_but_placeholders_stands_where_text_would_be() -> None:
    contents: set[str] = set()
    for line in (EXAMPLES / "responses.jsonl").read_text().splitlines():
        body = json.loads(line)["response"]
        for choice in body.get("choices", []):
            contents.add(choice["message"]["content"])
        for block in body.get("content", []):
            contents.add(block["text"])
    assert contents == {"(left out)"}
