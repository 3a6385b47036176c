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
    jsontext.dumps(found.usage_block())
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
    kept = jsontext.loads(jsontext.dumps(found.usage_block()))
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
    assert jsontext.dumps(found.usage_block()) == (
        '{"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.00219855}}'
    )


def test_nothing_of_the_call_itself_is_kept() -> None:
    secret = "the prompt"
    for case in BODIES:
        body = {**case["response"], "content": [{"text": secret}], "note": secret}
        found = extract(case["provider"], body, case.get("api_flavor"))
        assert secret not in jsontext.dumps(found.usage_block())


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
