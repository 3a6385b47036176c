"""LiteLLM spend logs, Langfuse observations and Helicone requests."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.core.usage import check_usage
from llm_cost_ops.importers import AGGREGATE, detect
from llm_cost_ops.importers.counts import anthropic_counts, inclusive_input, openai_counts
from tests.importers.reading import items_of, sample, split


class TestLitellm:
    def test_the_sample(self) -> None:
        records, problems = sample("litellm.json")
        chat, cached, old, batch = records
        assert chat["event_id"] == "chatcmpl-a1"
        assert chat["usage"] == {
            "input_tokens": 1200, "cache_read_tokens": 1024,
            "output_tokens": 100, "output_reasoning_tokens": 64,
        }  # fmt: skip
        assert (chat["provider"], chat["model"]) == ("openai", "gpt-5.4-mini")
        assert (chat["user_id"], chat["team_id"], chat["project_id"]) == (
            "user-1",
            "team-a",
            "proj-1",
        )
        assert (chat["tags"], chat["latency_ms"]) == (["prod", "chat"], 1250)
        assert chat["metadata"] == {
            "cost_center": "cc-9",
            "litellm_spend_usd": "0.0012299999999999998",
            "call_type": "acompletion",
            "model_group": "mini",
            "model_id": "m-1",
            "session_id": "s-1",
            "end_user": "customer-3",
            "litellm_organization_id": "org-x",
        }
        assert "organization_id" not in chat
        assert cached["usage"] == {
            "input_tokens": 2000, "cache_read_tokens": 500, "cache_write_tokens": 1253,
            "cache_write_5m_tokens": 253, "cache_write_1h_tokens": 1000,
            "output_tokens": 100, "web_searches": 2,
        }  # fmt: skip
        assert (cached["region"], cached["latency_ms"]) == ("us", 1500)
        assert old["usage"] == {
            "input_tokens": 1284, "cache_write_tokens": 1253, "output_tokens": 467,
        }  # fmt: skip
        assert batch["processing"] == "batch"
        assert batch[AGGREGATE] is True
        assert batch["usage"] == {"input_tokens": 900000, "output_tokens": 1000, "requests": 300}
        assert [(p.field, p.skipped) for p in problems] == [
            ("cache_hit", True), ("prompt_tokens", True),
            ("provider", False), ("prompt_tokens", False),
        ]  # fmt: skip

    def test_csv_gives_the_same_calls(self) -> None:
        table, problems = sample("litellm.csv")
        rows, _ = sample("litellm.json")
        assert problems == []
        for row, cell in zip(rows, table, strict=False):
            for name in (
                "event_id",
                "usage",
                "timestamp",
                "provider",
                "model",
                "tags",
                "latency_ms",
            ):
                assert cell[name] == row[name]

    def test_lines_are_read_too(self) -> None:
        line = json.dumps(
            {"request_id": "r", "call_type": "completion", "model": "azure/gpt-4o",
             "prompt_tokens": 1, "completion_tokens": 2, "metadata": "null", "request_tags": ""}
        )  # fmt: skip
        (record,) = split(items_of(line + "\n" + line, "litellm"))[0][:1]
        assert record["provider"] == "azure"

    def test_rows_with_the_cache_counts_by_themselves(self) -> None:
        row = {
            "request_id": "r", "model": "gpt-5.4", "custom_llm_provider": "openai",
            "prompt_tokens": 100, "completion_tokens": 5,
            "metadata": {"additional_usage_values": {"cache_read_input_tokens": 60}},
        }  # fmt: skip
        (record,) = split(items_of(json.dumps(row), "litellm"))[0]
        assert record["usage"] == {
            "input_tokens": 100, "cache_read_tokens": 60, "output_tokens": 5,
        }  # fmt: skip

    def test_a_log_file_of_litellm(self) -> None:
        row = {
            "id": "chatcmpl-1", "call_type": "acompletion", "model": "gpt-5.4",
            "custom_llm_provider": "openai", "response_cost": 0.25, "startTime": 1793527200.5,
            "endTime": 1793527201.5, "prompt_tokens": 100, "completion_tokens": 5,
        }  # fmt: skip
        text = json.dumps(row)
        (record,) = split(items_of(text, detect(text.encode(), "")))[0]
        assert record["timestamp"] == "2026-11-01T10:00:00.500000Z"
        assert record["metadata"] == {"litellm_spend_usd": "0.25", "call_type": "acompletion"}

    def test_a_row_without_an_id_is_a_problem(self) -> None:
        (problem,) = split(items_of('{"call_type": "x", "prompt_tokens": 1}', "litellm"))[1]
        assert problem.field == "request_id"


TOKENS = st.integers(0, 10**6)


@given(uncached=TOKENS, read=TOKENS, write=TOKENS)
def test_a_prompt_that_contains_the_cache_is_left_alone(
    uncached: int, read: int, write: int
) -> None:
    prompt = uncached + read + write
    assert inclusive_input(prompt, read, write) == (prompt, False)


@given(prompt=TOKENS, read=TOKENS, write=TOKENS)
def test_the_whole_input_always_holds_its_parts(prompt: int, read: int, write: int) -> None:
    total, added = inclusive_input(prompt, read, write)
    assert total >= read + write
    assert total >= prompt
    assert added == (prompt < read + write)


def test_a_usage_block_of_every_detail() -> None:
    counts, apart = openai_counts(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 20, "image_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 8},
            "server_tool_use": None,
        }
    )
    assert not apart
    assert counts == {
        "input_tokens": 100, "cache_read_tokens": 10, "input_audio_tokens": 20,
        "input_image_tokens": 5, "output_tokens": 50, "output_reasoning_tokens": 7,
        "output_audio_tokens": 8,
    }  # fmt: skip
    assert check_usage(counts) == counts


@given(
    plain=TOKENS, read=TOKENS, short=TOKENS, long=TOKENS, output=TOKENS, searches=st.integers(0, 9)
)
def test_log_blocks_mean_what_the_extraction_of_the_provider_says(
    plain: int, read: int, short: int, long: int, output: int, searches: int
) -> None:
    anthropic: dict[str, object] = {
        "input_tokens": plain + 1,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {
            "ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long,
        },
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": searches},
    }  # fmt: skip
    body = {"model": "claude-sonnet-4-5", "usage": anthropic}
    assert anthropic_counts(anthropic) == extract("anthropic", body).usage
    openai: dict[str, object] = {
        "prompt_tokens": plain + read + 1,
        "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": read},
        "completion_tokens_details": {"reasoning_tokens": output // 2},
    }
    body = {"object": "chat.completion", "model": "gpt-5.4", "usage": openai}
    assert openai_counts(openai)[0] == extract("openai", body).usage


class TestLangfuse:
    def test_disjoint_types_become_inclusive_counts(self) -> None:
        records, problems = sample("langfuse.json")
        by_id = {record["event_id"]: record for record in records}
        assert by_id["obs-1"]["usage"] == {
            "input_tokens": 4000, "cache_read_tokens": 3000,
            "output_tokens": 500, "output_reasoning_tokens": 300,
        }  # fmt: skip
        assert by_id["obs-2"]["usage"] == {
            "input_tokens": 1173, "cache_read_tokens": 1000, "cache_write_tokens": 73,
            "cache_write_5m_tokens": 50, "cache_write_1h_tokens": 23, "output_tokens": 97,
        }  # fmt: skip
        assert by_id["obs-2"]["status"] == "error"
        assert [(p.field, p.skipped) for p in problems] == [
            ("usageDetails", True), ("provider", False),
        ]  # fmt: skip

    def test_types_stored_inclusively_are_not_added_again(self) -> None:
        record = next(r for r in sample("langfuse.json")[0] if r["event_id"] == "obs-3")
        assert record["usage"] == {
            "input_tokens": 4000, "cache_read_tokens": 3000, "output_tokens": 500,
        }  # fmt: skip
        assert record["metadata"] == {"trace_id": "tr-2", "langfuse_counts": "inclusive"}

    def test_old_columns_unknown_types_and_named_providers(self) -> None:
        by_id = {record["event_id"]: record for record in sample("langfuse.json")[0]}
        assert by_id["obs-4"]["usage"] == {"input_tokens": 12, "output_tokens": 3}
        assert by_id["obs-7"]["provider"] == "groq"
        assert by_id["obs-8"]["usage"] == {"input_tokens": 12, "output_tokens": 6}
        assert by_id["obs-8"]["metadata"] == {
            "trace_id": "tr-3", "langfuse_other_usage": "input_modality_2=7",
        }  # fmt: skip

    def test_spans_are_passed_over(self) -> None:
        assert "obs-5" not in {record["event_id"] for record in sample("langfuse.json")[0]}

    def test_every_form_of_the_export_gives_the_same_call(self) -> None:
        api = sample("langfuse.json")[0][0]
        for name in ("langfuse_blob.jsonl", "langfuse.csv"):
            (record,) = sample(name)[0]
            for field in (
                "event_id",
                "usage",
                "timestamp",
                "provider",
                "model",
                "latency_ms",
                "tags",
            ):
                assert record[field] == api[field]

    @given(plain=TOKENS, cached=TOKENS, written=TOKENS, audio=TOKENS, out=TOKENS, reasoning=TOKENS)
    def test_the_parts_add_up_to_the_stored_total(
        self, plain: int, cached: int, written: int, audio: int, out: int, reasoning: int
    ) -> None:
        details = {
            "input": plain, "input_cached_tokens": cached, "input_cache_creation_1h": written,
            "input_audio": audio, "output": out, "output_reasoning": reasoning,
            "total": plain + cached + written + audio + out + reasoning,
        }  # fmt: skip
        row = {"id": "o", "model": "gpt-5.4", "startTime": "2026-11-01", "usageDetails": details}
        records, _ = split(items_of(json.dumps([row]), "langfuse"))
        for record in records:
            usage = record["usage"]
            assert isinstance(usage, dict)
            assert usage.get("input_tokens", 0) + usage.get("output_tokens", 0) == details["total"]
            assert check_usage(usage) == usage


class TestHelicone:
    def test_columns_are_disjoint(self) -> None:
        records, problems = sample("helicone.jsonl")
        assert records[0]["usage"] == {
            "input_tokens": 1000, "cache_read_tokens": 900,
            "output_tokens": 60, "output_reasoning_tokens": 20,
        }  # fmt: skip
        assert records[0]["model"] == "gpt-5.4-mini-2026-03-17"
        assert records[0]["metadata"] == {
            "Team": "search", "Helicone-Session-Id": "s-9",
            "helicone_cost_usd": "0.000345", "request_path": "/v1/chat/completions",
        }  # fmt: skip
        assert [(p.field, p.skipped) for p in problems] == [
            ("cache_reference_id", True), ("prompt_tokens", True),
        ]  # fmt: skip

    def test_a_stored_body_is_the_providers_own_word(self) -> None:
        record = sample("helicone.jsonl")[0][1]
        assert "usage" not in record
        assert record["response"] == {
            "id": "msg_1", "model": "claude-sonnet-4-5-20250929",
            "usage": {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 30},
        }  # fmt: skip

    def test_the_dashboards_columns(self) -> None:
        text = (
            "createdAt,requestId,model,userId,promptTokens,completionTokens,latency,costUSD\n"
            "2026-11-04T09:00:00Z,q-1,gpt-5.4-mini,user-5,100,40,1523.5,0.1\n"
        )
        (record,) = split(items_of(text, detect(text.encode(), "")))[0]
        assert record["timestamp"] == "2026-11-04T09:00:00Z"
        assert (record["latency_ms"], record["user_id"]) == (1523, "user-5")
        assert record["usage"] == {"input_tokens": 100, "output_tokens": 40}

    def test_csv(self) -> None:
        (record,) = sample("helicone.csv")[0]
        assert record["event_id"] == "r-7"
        assert record["provider"] == "openai"
        assert record["latency_ms"] == 950


@pytest.mark.parametrize(
    "name",
    [
        "litellm.json",
        "litellm.csv",
        "langfuse.json",
        "langfuse.csv",
        "helicone.jsonl",
        "helicone.csv",
    ],
)
def test_reading_twice_gives_the_same(name: str) -> None:
    assert sample(name) == sample(name)
    ids = [record["event_id"] for record in sample(name)[0]]
    assert len(set(ids)) == len(ids)
