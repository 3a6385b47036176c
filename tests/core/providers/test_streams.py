"""Streams: the counts of a streamed response are those of the same response in one body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.extract import Extracted, extract, extract_stream

COUNT = st.integers(0, 10**7)


@st.composite
def openai_bodies(draw: st.DrawFn) -> dict[str, Any]:
    cached, prompt, reasoning, completion = (draw(COUNT) for _ in range(4))
    return {
        "id": "chatcmpl-1",
        "model": "gpt-5",
        "service_tier": draw(st.sampled_from(["default", "flex", "priority"])),
        "choices": [],
        "usage": {
            "prompt_tokens": prompt + cached,
            "completion_tokens": completion + reasoning,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        },
    }


@st.composite
def anthropic_bodies(draw: st.DrawFn) -> dict[str, Any]:
    short, long = draw(COUNT), draw(COUNT)
    return {
        "id": "msg_1",
        "type": "message",
        "model": "claude-sonnet-4-6",
        "content": [],
        "usage": {
            "input_tokens": draw(COUNT),
            "cache_read_input_tokens": draw(COUNT),
            "cache_creation_input_tokens": short + long,
            "cache_creation": {
                "ephemeral_5m_input_tokens": short,
                "ephemeral_1h_input_tokens": long,
            },
            "output_tokens": draw(COUNT),
            "server_tool_use": {"web_search_requests": draw(st.integers(0, 20))},
            "service_tier": draw(st.sampled_from(["standard", "priority"])),
            "inference_geo": draw(st.sampled_from(["us", "global", "not_available"])),
        },
    }


@st.composite
def gemini_bodies(draw: st.DrawFn) -> dict[str, Any]:
    cached, prompt, tools = draw(COUNT), draw(COUNT), draw(COUNT)
    candidates, thoughts = draw(COUNT), draw(COUNT)
    queries = draw(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=5))
    return {
        "modelVersion": draw(st.sampled_from(["gemini-2.5-pro", "gemini-3-pro-preview"])),
        "responseId": "r1",
        "candidates": [{"groundingMetadata": {"webSearchQueries": queries}}],
        "usageMetadata": {
            "promptTokenCount": cached + prompt,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": candidates,
            "thoughtsTokenCount": thoughts,
            "toolUsePromptTokenCount": tools,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
            "totalTokenCount": cached + prompt + candidates + thoughts + tools,
        },
    }


def openai_chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    head = {"id": body["id"], "model": body["model"], "service_tier": body["service_tier"]}
    text = {**head, "choices": [{"delta": {"content": "x"}}], "usage": None}
    return [text, text, {**head, "choices": [], "usage": body["usage"]}]


def anthropic_chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    usage = body["usage"]
    start = {**usage, "output_tokens": min(1, usage["output_tokens"])}
    start["server_tool_use"] = {"web_search_requests": 0}
    return [
        {"type": "message_start", "message": {**body, "usage": start}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {
                "output_tokens": usage["output_tokens"],
                "server_tool_use": usage["server_tool_use"],
            },
        },
        {"type": "message_stop"},
    ]


def gemini_chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    usage = body["usageMetadata"]
    head = {"modelVersion": body["modelVersion"], "responseId": body["responseId"]}
    early = {"promptTokenCount": usage["promptTokenCount"], "candidatesTokenCount": 1}
    return [
        {**head, "candidates": [{"content": {}}], "usageMetadata": early},
        {**head, "candidates": body["candidates"]},
        {**head, "candidates": [{"finishReason": "STOP"}], "usageMetadata": usage},
    ]


def facts(found: Extracted) -> tuple[object, ...]:
    return (
        found.usage, found.model, found.response_id, found.service_tier, found.region,
        found.processing, found.usage_block(), found.warnings,
    )  # fmt: skip


def check(
    provider: str, body: dict[str, Any], cut: Callable[[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    assert facts(extract_stream(provider, cut(body))) == facts(extract(provider, body))


@given(openai_bodies())
def test_openai(body: dict[str, Any]) -> None:
    check("openai", body, openai_chunks)


@given(anthropic_bodies())
def test_anthropic(body: dict[str, Any]) -> None:
    check("anthropic", body, anthropic_chunks)


@given(gemini_bodies())
def test_gemini(body: dict[str, Any]) -> None:
    check("google", body, gemini_chunks)


def test_chunks_may_come_from_a_generator() -> None:
    body = {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    assert extract_stream("openai", (chunk for chunk in [body])).usage["input_tokens"] == 3


@pytest.mark.parametrize("chunks", [[], [{}], [{"type": "ping"}], [{"choices": []}]])
def test_a_stream_that_ended_before_its_usage(chunks: list[dict[str, Any]]) -> None:
    with pytest.raises(UsageError, match="reports no usage"):
        extract_stream("openai", chunks)


def test_a_chunk_that_is_no_object() -> None:
    chunks: Any = [{"choices": []}, "data: [DONE]"]
    with pytest.raises(UsageError, match="must be an object") as refusal:
        extract_stream("openai", chunks)
    assert refusal.value.field == "chunks[1]"


def test_a_second_realtime_response_is_refused() -> None:
    event = {
        "type": "response.done",
        "response": {"usage": {"input_tokens": 1, "output_tokens": 1}},
    }
    assert extract_stream("openai", [event]).usage == {"input_tokens": 1, "output_tokens": 1}
    with pytest.raises(UsageError, match="belongs to a second response"):
        extract_stream("openai", [event, event])


def test_the_larger_count_stands_and_a_later_null_changes_nothing() -> None:
    chunks: list[dict[str, Any]] = [
        {"model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 4, "cost": 0.1}},
        {"model": "", "usage": {"prompt_tokens": 9, "completion_tokens": None, "cost": 0.2}},
        {"usage": None},
    ]
    found = extract_stream("openrouter", chunks)
    assert found.usage == {"input_tokens": 9, "output_tokens": 4}
    assert found.model == "m"
    assert str(found.reported_cost) == "0.2"


def test_an_empty_usage_metadata_does_not_hide_an_earlier_one() -> None:
    chunks: list[dict[str, Any]] = [
        {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4}},
        {"usageMetadata": {"trafficType": "ON_DEMAND"}},
        {"usageMetadata": "?", "candidates": ["?", {"groundingMetadata": None}]},
    ]
    assert extract_stream("google", chunks).usage == {"input_tokens": 9, "output_tokens": 4}


def test_interactions_events() -> None:
    chunks = [
        {"event_type": "step.delta", "delta": {"text": "x"}},
        {
            "event_type": "interaction.completed",
            "interaction": {
                "id": "i1",
                "model": "gemini-3-flash-preview",
                "usage": {"total_input_tokens": 7, "total_output_tokens": 20, "total_tokens": 27},
            },
        },
    ]
    found = extract_stream("google", chunks)
    assert (found.usage, found.model, found.response_id) == (
        {"input_tokens": 7, "output_tokens": 20},
        "gemini-3-flash-preview",
        "i1",
    )


def test_snake_case_chunks_of_the_gemini_sdk() -> None:
    chunks: list[dict[str, Any]] = [
        {"candidates": [{"grounding_metadata": {"web_search_queries": ["a", "b"]}}]},
        {
            "model_version": "gemini-3-flash-preview",
            "usage_metadata": {"prompt_token_count": 9, "candidates_token_count": 4},
        },
    ]
    found = extract_stream("google", chunks)
    assert found.usage == {"input_tokens": 9, "output_tokens": 4, "web_searches": 2}
