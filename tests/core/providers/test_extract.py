"""Properties of extraction, and the rules that no shape draws."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.extract import Extracted, extract, extract_stream
from llm_cost_ops.core.providers.names import PROVIDERS
from llm_cost_ops.core.providers.shapes import profile_for
from llm_cost_ops.core.usage import MAX_QUANTITY, check_usage

FIXTURES = Path(__file__).parents[3] / "contract" / "fixtures" / "responses.json"
CASES: list[dict[str, Any]] = json.loads(FIXTURES.read_text("utf-8"))["cases"]
BODIES = [case for case in CASES if "response" in case and "expected" in case]
IN_TOOLS = ("web_searches", "storage_searches", "code_executions", "output_images")

KEYS = st.sampled_from(
    [
        "usage", "usageMetadata", "meta", "billed_units", "tokens", "input_tokens", "output_tokens",
        "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "model",
        "service_tier", "id", "response", "result", "custom_id", "message", "output", "type",
        "action", "candidates", "groundingMetadata", "webSearchQueries", "promptTokenCount",
        "promptTokensDetails", "modality", "tokenCount", "iterations", "cache_creation", "seconds",
        "cost", "headers", "x-amzn-bedrock-input-token-count", "results", "metrics", "data", "body",
        "prompt_eval_count", "usage_metadata", "modelOutput", "batch_result", "input", "delta",
        "grounding_tool_count", "total_input_tokens", "tool_usage", "web_search", "num_requests",
        "url", "predictions", "duration", "text", "category_scores", "usage_info", "container_id",
    ]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats()
    | st.decimals(allow_nan=True)
    | st.text(max_size=8)
    | st.sampled_from(["message", "web_search_call", "compaction", "TEXT", "response.done", "5m"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6)
)


def answer(read: Callable[[], Extracted]) -> Extracted | UsageError:
    """What a reading gives; any other exception than a refusal is a fault of ours."""
    try:
        return read()
    except UsageError as refusal:
        return refusal


def check_facts(found: Extracted | UsageError) -> None:
    if isinstance(found, UsageError):
        assert found.field
        return
    assert check_usage(found.usage) == found.usage
    jsontext.dumps(found.usage_block)
    jsontext.dumps(found.reported_cost)
    assert all(len(warning) < 200 for warning in found.warnings)


@given(st.dictionaries(KEYS, JSON, max_size=6), st.sampled_from([*PROVIDERS, "acme"]))
def test_any_body_gives_usable_facts_or_a_usage_error(body: dict[str, Any], provider: str) -> None:
    before = copy.deepcopy(body)
    check_facts(answer(lambda: extract(provider, body)))
    check_facts(answer(lambda: extract_stream(provider, [body, body])))
    assert repr(body) == repr(before)


@given(
    st.dictionaries(KEYS, JSON, max_size=6), st.sampled_from(sorted(profile_for("openai").flavours))
)
def test_any_flavour_gives_usable_facts_or_a_usage_error(
    body: dict[str, Any], flavour: str
) -> None:
    check_facts(answer(lambda: extract("openai", body, flavour)))


@pytest.mark.parametrize("case", BODIES, ids=lambda case: str(case["id"]))
def test_the_same_body_twice_is_the_same_answer(case: dict[str, Any]) -> None:
    body = case["response"]
    first = extract(case["provider"], body, case.get("api_flavor"))
    again = extract(case["provider"], copy.deepcopy(body), case.get("api_flavor"))
    assert first == again
    assert first == extract(case["provider"], MappingProxyType(body), case.get("api_flavor"))


@pytest.mark.parametrize("case", BODIES, ids=lambda case: str(case["id"]))
def test_the_kept_block_says_the_same_again(case: dict[str, Any]) -> None:
    found = extract(case["provider"], case["response"], case.get("api_flavor"))
    kept = jsontext.loads(jsontext.dumps(found.usage_block))
    if not kept:
        assert case["id"] in ("openai-images-counted", "openai-moderations", "vertex-imagen")
        return
    flavour = case.get("api_flavor")
    if found.usage.keys() & {"input_annotated_document_pages"}:
        flavour = "ocr_annotated"
    again = extract(case["provider"], kept, flavour)
    for kind, quantity in found.usage.items():
        if kind not in IN_TOOLS:
            assert again.usage[kind] == quantity


def test_exact_numbers_of_a_decimal_decoder() -> None:
    text = '{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.00219855}}'
    found = extract("openrouter", jsontext.loads(text))
    assert found.reported_cost == Decimal("0.00219855")
    assert jsontext.dumps(found.usage_block) == (
        '{"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.00219855}}'
    )


def test_nothing_of_the_call_itself_is_kept() -> None:
    secret = "the prompt"
    for case in BODIES:
        body = {**case["response"], "content": [{"text": secret}], "note": secret}
        found = extract(case["provider"], body, case.get("api_flavor"))
        assert secret not in jsontext.dumps(found.usage_block)


@pytest.mark.parametrize("body", [None, [], "usage", 3])
def test_a_body_that_is_no_object(body: Any) -> None:
    with pytest.raises(UsageError) as refusal:
        extract("openai", body)
    assert refusal.value.field == "response"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "is missing: the response reports no usage"),
        ({"usage": {}}, "is missing: the response reports no usage"),
        ({"usage": 3}, "must be an object"),
        ({"usage": {"units": 3}}, "is in no known form"),
        ({"usage": {"billed_units": {}}}, "is missing: the response reports no usage"),
        ({"usage": {"total_tokens": None}}, "is in no known form"),
        ({"usageMetadata": {"totalTokenCount": 5}}, "is missing: the response reports no usage"),
        ({"results": [], "duration": 1.0}, "is missing: the response reports no usage"),
    ],
)
def test_a_body_without_usage_says_so(body: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        extract("openai", body)
    assert (refusal.value.field, refusal.value.message) == ("usage", message)


def test_a_list_form_without_counts_says_so() -> None:
    with pytest.raises(UsageError, match="reports no usage"):
        extract("acme", {"results": [{"text": "a"}]})


def test_all_counts_zero_is_known_and_not_missing() -> None:
    body = {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    assert extract("openai", body).usage == {}


def test_a_sum_beyond_the_range_of_counts() -> None:
    usage = {"input_tokens": MAX_QUANTITY, "cache_read_input_tokens": 0, "output_tokens": 1}
    body = {"type": "message", "usage": usage}
    assert extract("anthropic", body).usage["input_tokens"] == MAX_QUANTITY
    usage["cache_read_input_tokens"] = 1
    with pytest.raises(UsageError, match="adds up to more than"):
        extract("anthropic", body)


def test_a_sum_of_list_items_beyond_the_range_of_counts() -> None:
    items = [{"tokenCount": MAX_QUANTITY}, {"tokenCount": 1}]
    body = {"inputTextTokenCount": 1, "results": items[:1]}
    assert extract("aws", body).usage["output_tokens"] == MAX_QUANTITY
    with pytest.raises(UsageError, match="adds up to more than"):
        extract("aws", {**body, "results": items})


class TestPaths:
    @pytest.mark.parametrize(
        ("provider", "body", "field"),
        [
            (
                "openai",
                {"usage": {"prompt_tokens": 1, "completion_tokens": 1,
                           "prompt_tokens_details": {"cached_tokens": -1}}},
                "usage.prompt_tokens_details.cached_tokens",
            ),
            (
                "google",
                {"usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 1.5}]}},
                "usageMetadata.promptTokensDetails[TEXT].tokenCount",
            ),
            (
                "google",
                {"usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": {}}},
                "usageMetadata.promptTokensDetails",
            ),
            (
                "google",
                {"usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [3]}},
                "usageMetadata.promptTokensDetails",
            ),
            (
                "aws",
                {"inputTextTokenCount": 1, "results": [{"tokenCount": True}]},
                "results[].tokenCount",
            ),
            (
                "aws",
                {"headers": {"x-amzn-bedrock-input-token-count": "many"}},
                "headers.x-amzn-bedrock-input-token-count",
            ),
            (
                "anthropic",
                {"usage": {"input_tokens": 1, "output_tokens": 1, "iterations": {}}},
                "usage.iterations",
            ),
            (
                "openai",
                {"output": [], "usage": {"input_tokens": 1, "output_tokens": 1},
                 "tool_usage": {"web_search": {"num_requests": -1}}},
                "tool_usage.web_search.num_requests",
            ),
            ("openai", {"model": 3, "usage": {"prompt_tokens": 1, "total_tokens": 1}}, "model"),
            (
                "openai",
                {"model": "m" * 513, "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
                "model",
            ),
            (
                "openai",
                {"service_tier": 3, "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
                "service_tier",
            ),
            (
                "anthropic",
                {"usage": {"input_tokens": 1, "output_tokens": 1, "inference_geo": 3}},
                "usage.inference_geo",
            ),
            ("openai", {"custom_id": "a", "response": {"body": None}}, "response.body"),
        ],
    )  # fmt: skip
    def test_a_refusal_names_the_path(
        self, provider: str, body: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(UsageError) as refusal:
            extract(provider, body)
        assert refusal.value.field == field


class TestModalityLists:
    def test_unknown_modalities_and_items_without_a_count_are_passed_over(self) -> None:
        details: list[dict[str, Any]] = [
            {"modality": "SMELL", "tokenCount": 3},
            {"modality": ["TEXT"], "tokenCount": 3},
            {"modality": "TEXT"},
            {"modality": "AUDIO", "tokenCount": 0},
            {"modality": "IMAGE", "tokenCount": 2},
        ]
        body = {"usageMetadata": {"promptTokenCount": 9, "promptTokensDetails": details}}
        assert extract("google", body).usage == {"input_tokens": 9, "input_image_tokens": 2}

    def test_a_modality_given_twice_adds_up(self) -> None:
        details = [{"modality": "TEXT", "tokenCount": 2}, {"modality": "TEXT", "tokenCount": 3}]
        body = {"usageMetadata": {"promptTokenCount": 9, "promptTokensDetails": details}}
        assert extract("google", body).usage == {"input_tokens": 9, "input_text_tokens": 5}


class TestServed:
    @pytest.mark.parametrize(
        ("reported", "tier"),
        [
            ("default", "standard"),
            ("standard", "standard"),
            ("on_demand", "standard"),
            ("auto", None),
            ("", None),
            (None, None),
            ("FLEX", "flex"),
            ("priority", "priority"),
            ("scale", "scale"),
            ("ultrafast", "ultrafast"),
        ],
    )
    def test_tier_names(self, reported: str | None, tier: str | None) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        assert extract("openai", {"service_tier": reported, "usage": usage}).service_tier == tier

    def test_a_tier_name_that_is_too_long(self) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        assert extract("openai", {"service_tier": "t" * 64, "usage": usage}).service_tier
        with pytest.raises(UsageError, match="at most 64 characters"):
            extract("openai", {"service_tier": "t" * 65, "usage": usage})

    @pytest.mark.parametrize(
        ("reported", "response_id"),
        [
            ("a", "a"),
            (17, "17"),
            (True, None),
            ("", None),
            ("x" * 512, "x" * 512),
            ("x" * 513, None),
            (2**63, None),
            ({"oid": 1}, None),
        ],
    )
    def test_response_ids(self, reported: object, response_id: str | None) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        assert extract("openai", {"id": reported, "usage": usage}).response_id == response_id

    @pytest.mark.parametrize(
        ("stated", "cost"),
        [
            (0, "0"),
            (2, "2"),
            (1.4e-05, "0.000014"),
            (Decimal("0.1"), "0.1"),
            ("0.1", None),
            (True, None),
            (-0.1, None),
            (float("nan"), None),
            (float("inf"), None),
            (1e300, None),
            (2**64, None),
            (Decimal("0." + "1" * 29), None),
            ({"total": 1}, None),
        ],
    )
    def test_stated_costs(self, stated: object, cost: str | None) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": stated}
        found = extract("openrouter", {"usage": usage})
        assert found.reported_cost == (None if cost is None else Decimal(cost))
        assert bool(found.warnings) == (cost is None)

    def test_a_cost_not_stated_is_no_fault(self) -> None:
        usage: dict[str, Any] = {"prompt_tokens": 1, "completion_tokens": 1, "cost": None}
        found = extract("openrouter", {"usage": usage})
        assert (found.reported_cost, found.warnings) == (None, ())

    def test_another_provider_s_cost_field_is_not_read(self) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 3}
        assert extract("acme", {"usage": usage}).reported_cost is None


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
            "usage holds 2 compaction passes",
        )


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
        assert found.usage_block == {"headers": {"x-amzn-bedrock-input-token-count": "3"}}

    def test_a_dump_of_the_gemini_sdk_without_candidates(self) -> None:
        body = {"usage_metadata": {"prompt_token_count": 3}, "model_version": "gemini-2.5-flash"}
        found = extract("google", body)
        assert (found.usage, found.model) == ({"input_tokens": 3}, "gemini-2.5-flash")

    def test_headers_at_the_top(self) -> None:
        body = {"X-Amzn-Bedrock-Input-Token-Count": "3", "Date": "today"}
        found = extract("aws", body)
        assert found.usage_block == {"headers": {"x-amzn-bedrock-input-token-count": "3"}}

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
                {"input_tokens": 2, "output_tokens": 1},
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
