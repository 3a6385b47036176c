"""Envelopes of batches and events, and forms found by what a body holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.extract import extract


class TestBatch:
    def test_a_bare_body_of_a_declared_batch(self) -> None:
        body = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        assert extract("openai", body, "batch").processing == "batch"
        assert extract("openai", body, "default").processing is None

    def test_a_line_whose_response_is_the_body(self) -> None:
        line = {
            "custom_id": "a",
            "response": {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        }
        assert extract("together", line).processing == "batch"

    def test_a_logged_exchange_is_no_batch(self) -> None:
        logged = {
            "key": "abc",
            "request": {},
            "response": {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        }
        assert extract("openai", logged).processing is None

    @pytest.mark.parametrize("answer", [{}, {"chat_get_completion": None}])
    def test_an_empty_answer_of_an_xai_batch(self, answer: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="reports no usage"):
            extract("x-ai", {"batch_result": {"response": answer}})


class TestEnvelopes:
    def test_an_event_s_model_is_read_from_around_the_response(self) -> None:
        usage = {"input_tokens": 1, "output_tokens": 1, "input_token_details": {}}
        event = {"type": "response.done", "model": "gpt-realtime", "response": {"usage": usage}}
        assert extract("openai", event).model == "gpt-realtime"

    def test_headers_in_lower_case_need_no_change(self) -> None:
        body = {"headers": {"x-amzn-bedrock-input-token-count": "3"}}
        assert extract("aws", body).usage == {"input_tokens": 3}

    def test_headers_in_any_case_beside_the_body(self) -> None:
        headers = {"X-Amzn-Bedrock-Input-Token-Count": "3", "Content-Type": "application/json"}
        found = extract("aws", {"headers": headers})
        assert found.usage == {"input_tokens": 3}
        assert found.usage_block() == {"headers": {"x-amzn-bedrock-input-token-count": "3"}}

    def test_a_dump_of_the_gemini_sdk_without_candidates(self) -> None:
        body = {"usage_metadata": {"prompt_token_count": 3}, "model_version": "gemini-2.5-flash"}
        found = extract("google", body)
        assert (found.usage, found.model) == ({"input_tokens": 3}, "gemini-2.5-flash")

    def test_headers_at_the_top(self) -> None:
        body = {"X-Amzn-Bedrock-Input-Token-Count": "3", "Date": "today"}
        found = extract("aws", body)
        assert found.usage_block() == {"headers": {"x-amzn-bedrock-input-token-count": "3"}}

    def test_envelopes_in_envelopes_end(self) -> None:
        body: dict[str, Any] = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        for _ in range(4):
            body = {"response": body}
        assert extract("openai", body).usage == {"input_tokens": 1, "output_tokens": 1}
        with pytest.raises(UsageError, match="reports no usage"):
            extract("openai", {"response": body})

    def test_a_decoded_invoke_model_answer(self) -> None:
        usage = {"input_tokens": 1, "output_tokens": 1}
        body = {"ResponseMetadata": {}, "body": {"type": "message", "usage": usage}}
        assert extract("aws", body).usage == usage

    def test_converse_metadata_alone(self) -> None:
        body = {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}}}
        assert extract("aws", body).usage == {"input_tokens": 1, "output_tokens": 1}


class TestDetection:
    @pytest.mark.parametrize(
        ("provider", "body", "usage"),
        [
            ("acme", {"usage": {"seconds": 3}}, {"audio_seconds": 3}),
            ("acme", {"usage": {"text_tokens": 3}}, {"input_tokens": 3}),
            ("x-ai", {"usage": {"billable_audio_seconds": 3}}, {"audio_seconds": 3}),
            ("openai", {"text": "a", "duration": 3.5}, {"input_audio_seconds": Decimal("3.5")}),
            ("google", {"usageMetadata": {"responseTokenCount": 3}}, {"output_tokens": 3}),
            ("acme", {"usage": {"outputTokens": 3, "inputTokens": 0}}, {"output_tokens": 3}),
            (
                "acme",
                {"usage": {"input_tokens": 9, "output_tokens": 3,
                           "output_tokens_details": {"reasoning_tokens": 2}}},
                {"input_tokens": 9, "output_tokens": 3, "output_reasoning_tokens": 2},
            ),
            (
                "acme",
                {"usage": {"input_tokens": 9, "output_tokens": 3,
                           "input_tokens_details": {"image_tokens": 2}}},
                {"input_tokens": 9, "output_tokens": 3, "input_image_tokens": 2},
            ),
            (
                "acme",
                {"output": [], "usage": {"input_tokens": 9, "output_tokens": 3,
                                         "input_tokens_details": {"text_tokens": 2}}},
                {"input_tokens": 9, "output_tokens": 3},
            ),
            ("acme", {"usage": {"tokens": {"input_tokens": 4}}}, {"input_tokens": 4}),
            (
                "acme",
                {"result": {"usage": {"input_tokens": 4, "output_tokens": 1}}},
                {"input_tokens": 4, "output_tokens": 1},
            ),
            ("mistral", {"usage": {"prompt_audio_seconds": 4}}, {"input_audio_seconds": 4}),
            (
                "mistral",
                {"choices": [], "usage": {"prompt_audio_seconds": 4, "prompt_tokens": 2,
                                          "completion_tokens": 1}},
                {"input_tokens": 2, "output_tokens": 1, "input_audio_seconds": 4},
            ),
            (
                "mistral",
                {"text": "a", "usage": {"prompt_audio_seconds": 4, "prompt_tokens": 2,
                                        "completion_tokens": 1}},
                {"input_audio_seconds": 4},
            ),
            ("mistral", {"usage": {"prompt_audio_seconds": 0}}, {}),
            (
                "google",
                {"usage": {"input_tokens": 4, "output_tokens": 1,
                           "cache_creation": {"ephemeral_5m_input_tokens": 2}}},
                {"input_tokens": 6, "output_tokens": 1, "cache_write_tokens": 2,
                 "cache_write_5m_tokens": 2},
            ),
            ("fal", {"images": [{"url": "a"}, {"url": "b"}, "c"]}, {"output_images": 2}),
        ],
    )  # fmt: skip
    def test_forms_by_what_they_hold(
        self, provider: str, body: dict[str, Any], usage: dict[str, Any]
    ) -> None:
        assert extract(provider, body).usage == usage

    @pytest.mark.parametrize("results", [3, [{"flagged": False}], [{"category_scores": {}}, 3]])
    def test_results_that_are_no_moderation(self, results: object) -> None:
        with pytest.raises(UsageError):
            extract("openai", {"results": results})

    def test_a_moderation_verdict_is_free(self) -> None:
        assert extract("openai", {"results": [{"category_scores": {}}]}).usage == {}
