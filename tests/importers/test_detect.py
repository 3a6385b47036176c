"""Formats told from the beginning of a file."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.importers import FORMATS, ImportFormatError, detect
from tests.importers.reading import SAMPLES

EXPECTED = {
    "anthropic_batch.jsonl": "responses",
    "anthropic_costs.json": "anthropic-costs",
    "anthropic_usage.json": "anthropic-usage",
    "calls.csv": "csv",
    "claude_code.jsonl": "claude-code",
    "codex.jsonl": "codex",
    "codex_fork.jsonl": "codex",
    "codex_records.jsonl": "codex",
    "gemini_batch.jsonl": "responses",
    "helicone.csv": "helicone",
    "helicone.jsonl": "helicone",
    "langfuse.csv": "langfuse",
    "langfuse.json": "langfuse",
    "langfuse_blob.jsonl": "langfuse",
    "litellm.csv": "litellm",
    "litellm.json": "litellm",
    "openai_batch.jsonl": "responses",
    "openai_costs.json": "openai-costs",
    "openai_usage_completions.json": "openai-usage",
    "openai_usage_others.jsonl": "openai-usage",
    "records.json": "json",
    "responses.jsonl": "responses",
}


def test_every_sample_has_an_expectation() -> None:
    assert set(EXPECTED) == {path.name for path in SAMPLES.iterdir()}
    assert set(EXPECTED.values()) <= set(FORMATS)


@pytest.mark.parametrize("name", EXPECTED)
def test_samples_by_content_alone_and_packed(name: str) -> None:
    data = (SAMPLES / name).read_bytes()
    assert detect(data, name) == EXPECTED[name]
    assert detect(data, "") == EXPECTED[name]
    assert detect(b"\xef\xbb\xbf" + data, "") == EXPECTED[name]
    assert detect(gzip.compress(data), f"{name}.gz") == EXPECTED[name]


RECORD = {"provider": "openai", "model": "gpt-5.4", "prompt_tokens": 1, "metadata": {"a": 1}}
BODIES = [
    {"id": "x", "object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 1}},
    {"id": "m", "type": "message", "content": [], "model": "claude", "usage": {"input_tokens": 1}},
    {"candidates": [], "usageMetadata": {"promptTokenCount": 1}, "modelVersion": "g"},
    {"output": {"message": {}}, "usage": {"inputTokens": 1}, "metrics": {"latencyMs": 5}},
    {"object": "response", "output": [], "usage": {"input_tokens": 1}},
    {"object": "list", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 1}},
    {"id": "c", "meta": {"billed_units": {"search_units": 1}}, "results": []},
]


@pytest.mark.parametrize("body", BODIES)
def test_raw_bodies(body: dict[str, object]) -> None:
    assert detect(json.dumps(body).encode(), "log.jsonl") == "responses"
    envelope = {"provider": "openai", "timestamp": "2026-11-01", "response": body}
    assert detect(json.dumps(envelope).encode(), "") == "responses"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (json.dumps(RECORD) + "\n" + json.dumps(RECORD), "", "jsonl"),
        (json.dumps([RECORD, RECORD], indent=1), "", "json"),
        (json.dumps({"records": [RECORD]}), "", "json"),
        (json.dumps(RECORD, indent=1), "", "json"),
        (json.dumps(RECORD), "one.json", "json"),
        (json.dumps({**RECORD, "usage": {"input_tokens": 1}}), "", "jsonl"),
        (
            '{"timestamp": 0, "input_length": 6, "output_length": 5, "hash_ids": [0]}',
            "",
            "mooncake-trace",
        ),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\r\n1,2,3", "", "azure-llm-trace"),
        ("a\tb\n1\t2", "", "tsv"),
        ("a,b\n1,2", "", "csv"),
        ("tokens\n1", "x.csv", "csv"),
        ('{"type":"summary","summary":"x","leafUuid":"u"}\n{"sessionId":"s"}', "", "claude-code"),
        (
            '{"object":"page","data":[{"object":"bucket","start_time":1,"results":[]}]}',
            "",
            "openai-usage",
        ),
    ],
)
def test_other_beginnings(text: str, name: str, expected: str) -> None:
    assert detect(text.encode(), name) == expected


def test_parquet_by_its_magic() -> None:
    assert detect(b"PAR1\x15\x04") == "parquet"


def test_a_first_object_longer_than_the_sample() -> None:
    row = {"parentUuid": None, "sessionId": "s", "message": {"content": "x" * 100_000}}
    assert detect(json.dumps(row).encode()[:65536], "") == "claude-code"


@pytest.mark.parametrize("head", [b"", b"hello", b"{}", b"[1,2]", b"\x1f\x8bnot gzip", b"\x00\x01"])
def test_what_tells_nothing_is_refused(head: bytes) -> None:
    with pytest.raises(ImportFormatError):
        detect(head, "mystery.bin")


@given(st.binary(max_size=300), st.text(max_size=10))
def test_any_bytes_give_a_known_format_or_a_refusal(head: bytes, name: str) -> None:
    try:
        assert detect(head, name) in FORMATS
    except ImportFormatError:
        pass
