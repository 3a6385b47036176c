"""A stream of chunks to one body that reports the whole call, in the provider's own form.

Providers repeat counts as they grow: of a whole number given twice the larger one stands, of
anything else the later one. Gemini's `usageMetadata` is complete each time, so the last stands.
Kimi reports the usage of the whole call in its last choice.
Text deltas are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.paths import Body, objects_in

_FACTS = (
    "id", "object", "model", "modelVersion", "model_version", "responseId", "response_id",
    "generation_id", "service_tier", "service_tier_used", "serviceTier", "performanceConfig",
    "output", "tool_usage", "trace",
)  # fmt: skip
_GROWING = ("usage", "amazon-bedrock-invocationMetrics", "x_groq", "meta")
_WHOLE = ("usageMetadata", "usage_metadata")
_COUNTS = (
    "prompt_eval_count", "eval_count", "prompt_token_count", "generation_token_count",
    "inputTextTokenCount", "totalOutputTextTokenCount",
)  # fmt: skip
_GROUNDING = ("groundingMetadata", "grounding_metadata")
_INSIDE = ("message", "metadata", "delta", "response", "interaction", "data")
_FINAL_EVENTS = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.done"}
)


def fold(chunks: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """One body from the chunks of one response. Raises UsageError for chunks of two responses."""
    folded: dict[str, object] = {}
    responses = 0
    for index, chunk in enumerate(chunks):
        if not isinstance(cast("object", chunk), Mapping):
            raise UsageError(f"chunks[{index}]", "must be an object")
        kind = str(chunk.get("type"))
        if kind == "message_start" or kind in _FINAL_EVENTS:
            responses += 1
        elif kind.startswith("response."):
            continue
        if responses > 1:
            raise UsageError(f"chunks[{index}]", "belongs to a second response: extract it apart")
        _take(folded, chunk)
        for key in _INSIDE:
            inner = chunk.get(key)
            if isinstance(inner, dict) and _reports(cast("Body", inner)):
                _take(folded, cast("Body", inner))
    return folded


def _reports(inner: Body) -> bool:
    return "usage" in inner or "meta" in inner or "usageMetadata" in inner


def _take(folded: dict[str, object], chunk: Body) -> None:
    for name in _FACTS:
        value = chunk.get(name)
        if value is not None and value != "":
            folded[name] = value
    for name in _GROWING:
        if chunk.get(name) is not None:
            folded[name] = _grown(folded.get(name), chunk[name])
    for name in _COUNTS:
        if name in chunk:
            folded[name] = _grown(folded.get(name), chunk[name])
    for name in _WHOLE:
        value = chunk.get(name)
        if isinstance(value, dict) and _counts_something(cast("Body", value)):
            folded[name] = value
    if chunk.get("type") == "message":
        folded["type"] = "message"
    if "choices" in chunk:
        folded["choices"] = []
        _take_usage_of_choices(folded, chunk["choices"])
    if isinstance(chunk.get("candidates"), list):
        _take_grounding(folded, cast("list[object]", chunk["candidates"]))


def _take_usage_of_choices(folded: dict[str, object], choices: object) -> None:
    for choice in objects_in(choices):
        if isinstance(choice.get("usage"), dict):
            folded["usage"] = _grown(folded.get("usage"), choice["usage"])


def _counts_something(block: Body) -> bool:
    return any(isinstance(value, int) for value in block.values())


def _grown(before: object, after: object) -> object:
    if after is None:
        return before
    if isinstance(before, int) and isinstance(after, int):
        return max(before, after)
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    merged = dict(cast("Body", before))
    for key, value in cast("Body", after).items():
        merged[key] = _grown(merged.get(key), value)
    return merged


def _take_grounding(folded: dict[str, object], candidates: list[object]) -> None:
    kept = cast("list[object]", folded.setdefault("candidates", []))
    for candidate in candidates:
        if isinstance(candidate, dict):
            facts = cast("Body", candidate)
            kept += [{name: facts[name]} for name in _GROUNDING if facts.get(name) is not None]
