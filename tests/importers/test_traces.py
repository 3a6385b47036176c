"""The public traces: our own few rows of them, and the whole files where they are present."""

from __future__ import annotations

import pytest

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportFormatError, ImportOptions, ImportProblem
from tests.importers.reading import SHARED, items_of, split

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,10\r\n"
MOONCAKE = '{"timestamp": 27482, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n'


def test_azure_rows_need_only_a_model() -> None:
    (record,) = split(items_of(AZURE, "azure-llm-trace", model="gpt-4o"))[0]
    assert record["timestamp"] == "2023-11-16T18:17:03.979960Z"
    assert (record["prompt_tokens"], record["completion_tokens"]) == (4808, 10)
    assert (record["provider"], record["model"]) == ("azure", "gpt-4o")
    assert record["source"] == "azure-llm-trace"
    with pytest.raises(ImportFormatError, match="names no model"):
        items_of(AZURE, "azure-llm-trace")


def test_azure_rows_for_another_provider_and_through_a_mapping() -> None:
    mapping = importers.parse_mapping("model:=gpt-4o-mini,environment:=replay")
    (record,) = split(items_of(AZURE, "azure-llm-trace", provider="openai", mapping=mapping))[0]
    assert (record["provider"], record["model"]) == ("openai", "gpt-4o-mini")
    assert record["environment"] == "replay"


def test_another_table_is_no_azure_trace() -> None:
    with pytest.raises(ImportFormatError, match="ContextTokens"):
        items_of("a,b\n", "azure-llm-trace", model="m")


def test_mooncake_rows_need_a_start() -> None:
    given = {"provider": "moonshotai", "model": "kimi-k2"}
    (record,) = split(items_of(MOONCAKE, "mooncake-trace", start="2026-11-01", **given))[0]
    assert record["timestamp"] == "2026-11-01T00:00:27.482000Z"
    assert (record["prompt_tokens"], record["completion_tokens"]) == (6758, 500)
    assert "hash_ids" not in record
    mapping = importers.parse_mapping("timestamp=timestamp@ms+2026-11-01T00:00:00Z")
    assert split(items_of(MOONCAKE, "mooncake-trace", mapping=mapping, **given))[0] == [record]
    with pytest.raises(ImportFormatError, match="unnamed start"):
        items_of(MOONCAKE, "mooncake-trace", **given)
    with pytest.raises(ImportFormatError) as caught:
        items_of(MOONCAKE, "mooncake-trace", start="soon", **given)
    assert caught.value.field == "start"


def read_shared(name: str, options: ImportOptions) -> list[dict[str, object]]:
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not present")
    with path.open("rb") as stream:
        format = importers.detect(stream.read(importers.HEAD_BYTES), name)
        stream.seek(0)
        items = list(importers.read(stream, format=format, options=options))
    assert not [item for item in items if isinstance(item, ImportProblem)]
    return [item for item in items if not isinstance(item, ImportProblem)]


def total(records: list[dict[str, object]], field: str) -> int:
    return sum(value for record in records if isinstance(value := record[field], int))


def test_the_azure_traces_whole() -> None:
    options = ImportOptions(model="gpt-4o")
    conversations = read_shared("AzureLLMInferenceTrace_conv.csv", options)
    code = read_shared("AzureLLMInferenceTrace_code.csv", options)
    assert (len(conversations), len(code)) == (19_366, 8_819)
    assert total(conversations, "prompt_tokens") == 22_361_870
    assert total(conversations, "completion_tokens") == 4_088_665
    assert total(code, "prompt_tokens") == 18_059_974
    assert total(code, "completion_tokens") == 245_896
    ids = {record["event_id"] for record in conversations + code}
    assert len(ids) == 28_185
    again = read_shared("AzureLLMInferenceTrace_code.csv", options)
    assert again == code


def test_the_mooncake_trace_whole() -> None:
    options = ImportOptions(provider="moonshotai", model="kimi-k2", start="2026-11-01")
    records = read_shared("mooncake_conversation_trace_4000.jsonl", options)
    assert len(records) == len({record["event_id"] for record in records}) == 4_000
    assert total(records, "prompt_tokens") == 53_249_359
    assert total(records, "completion_tokens") == 1_388_321
    assert records[-1]["timestamp"] == "2026-11-01T00:21:41.999000Z"
