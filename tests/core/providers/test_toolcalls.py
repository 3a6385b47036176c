"""Billed tool calls beside the usage block, and rules that no shape draws."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.core.providers.extract import extract


class TestToolCalls:
    def test_items_that_are_not_billed_or_no_items(self) -> None:
        output: list[Any] = [
            {"type": "web_search_call"},
            {"type": "web_search_call", "action": {"type": "find_in_page"}},
            {"type": "web_search_call", "action": {"type": ["open_page"]}},
            {"type": "x_search_call"},
            {"type": ["web_search_call"]},
            {"type": "function_call"},
            "web_search_call",
        ]
        body = {"output": output, "usage": {"input_tokens": 1, "output_tokens": 1}}
        assert extract("openai", body).usage == {
            "input_tokens": 1,
            "output_tokens": 1,
            "web_searches": 2,
            "social_searches": 1,
        }

    def test_own_containers_are_not_warned_about(self) -> None:
        output: list[Any] = [
            {"type": "code_interpreter_call", "container_id": "a"},
            {"type": "code_interpreter_call", "container_id": "b"},
            {"type": "code_interpreter_call"},
            {"type": "code_interpreter_call"},
        ]
        body = {"output": output, "usage": {"input_tokens": 1, "output_tokens": 1}}
        found = extract("openai", body)
        assert (found.usage["code_executions"], found.warnings) == (4, ())

    def test_a_stated_zero_does_not_hide_the_items(self) -> None:
        body = {
            "output": [{"type": "web_search_call"}],
            "tool_usage": {"web_search": {"num_requests": 0}},
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        assert extract("openai", body).usage["web_searches"] == 1

    @pytest.mark.parametrize(
        "metadata",
        [None, {}, {"webSearchQueries": []}, {"webSearchQueries": [""]}, {"webSearchQueries": "a"},
         {"webSearchQueries": [3]}],
    )  # fmt: skip
    def test_prompts_that_were_not_grounded(self, metadata: object) -> None:
        body = {
            "modelVersion": "gemini-3-flash-preview",
            "candidates": [{"groundingMetadata": metadata}],
            "usageMetadata": {"promptTokenCount": 1},
        }
        assert extract("google", body).usage == {"input_tokens": 1}

    @pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-pro", 1), ("gemini-3.5-pro", 4)])
    def test_interactions_count_by_prompt_or_query(self, model: str, searches: int) -> None:
        tools = [{"type": "google_search", "count": 4}, {"type": "google_maps", "count": 1}]
        body = {"model": model, "usage": {"total_input_tokens": 1, "grounding_tool_count": tools}}
        found = extract("google", body)
        assert found.usage == {"input_tokens": 1, "web_searches": searches}
        assert len(found.warnings) == 1

    def test_one_search_of_an_unknown_model_needs_no_warning(self) -> None:
        body = {
            "candidates": [{"groundingMetadata": {"webSearchQueries": ["a"]}}],
            "usageMetadata": {"promptTokenCount": 1},
        }
        found = extract("google", body)
        assert (found.usage["web_searches"], found.warnings) == (1, ())

    def test_iterations_without_compaction_change_nothing(self) -> None:
        counts = {"input_tokens": 100, "output_tokens": 20}
        usage = {**counts, "iterations": [{"type": "message", **counts}]}
        found = extract("anthropic", {"type": "message", "usage": usage})
        assert (found.usage, found.warnings) == (counts, ())

    def test_two_compaction_passes_with_cache_and_another_step(self) -> None:
        step = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}
        usage = {
            "input_tokens": 100,
            "output_tokens": 20,
            "cache_creation_input_tokens": 7,
            "iterations": [
                {"type": "compaction", **step},
                {"type": "compaction", **step, "cache_creation": {"ephemeral_5m_input_tokens": 3}},
                {"type": "message", "input_tokens": 100, "output_tokens": 20},
                {"type": "advisor_message", "input_tokens": 9, "output_tokens": 9},
                {"type": "advisor_message", "input_tokens": 9, "output_tokens": 9},
            ],
        }
        found = extract("anthropic", {"type": "message", "usage": usage})
        assert found.usage == {
            "input_tokens": 100 + 7 + 15 + 15 + 3,
            "cache_write_tokens": 7 + 3,
            "cache_write_5m_tokens": 3,
            "cache_read_tokens": 10,
            "output_tokens": 22,
        }
        assert found.warnings == (
            "usage.iterations holds 2 of a kind that is not counted",
            "usage includes 2 compaction passes",
        )
