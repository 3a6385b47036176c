"""Langfuse observations: UI, API and blob storage exports as JSON, JSON lines or CSV.

The types of `usageDetails` are disjoint: `input` does not contain what `input_cached_tokens` or
`cache_read_input_tokens` count. Where an integration stored them inclusively after all, the stored
`total` shows it, and the parts are not added again. Types that are not known here count for the
direction in their name, as they do in Langfuse, and are listed in the metadata. Only observations
with usage are calls; spans and events are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO

from llm_cost_ops.importers.attribution import provider_for
from llm_cost_ops.importers.counts import without_zeros
from llm_cost_ops.importers.exports import export_rows
from llm_cost_ops.importers.fields import Fields, count_of, text_of
from llm_cost_ops.importers.identity import natural_id
from llm_cost_ops.importers.problem import NothingToBill, RowError
from llm_cost_ops.importers.record import (
    ImportOptions,
    ItemStream,
    Record,
    Row,
    convert_rows,
    metadata,
)
from llm_cost_ops.importers.times import elapsed_ms, stamp, zone_of

SOURCE = "langfuse"
_KINDS = {
    "input": "input_tokens",
    "input_tokens": "input_tokens",
    "prompt_tokens": "input_tokens",
    "input_text_tokens": "input_tokens",
    "output": "output_tokens",
    "output_tokens": "output_tokens",
    "completion_tokens": "output_tokens",
    "output_text_tokens": "output_tokens",
    "input_cached_tokens": "cache_read_tokens",
    "input_cache_read": "cache_read_tokens",
    "input_cache_read_tokens": "cache_read_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "input_cached": "cache_read_tokens",
    "cached_tokens": "cache_read_tokens",
    "input_cache_creation": "cache_write_tokens",
    "input_cache_write": "cache_write_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "input_cache_creation_5m": "cache_write_5m_tokens",
    "input_cache_creation_1h": "cache_write_1h_tokens",
    "ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image": "input_image_tokens",
    "input_image_tokens": "input_image_tokens",
    "output_reasoning": "output_reasoning_tokens",
    "output_reasoning_tokens": "output_reasoning_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "output_image_tokens": "output_image_tokens",
    "web_searches": "web_searches",
    "web_search_requests": "web_searches",
}
_WRITES = ("cache_write_5m_tokens", "cache_write_1h_tokens")
_INPUT_PARTS = (
    "cache_read_tokens", "cache_write_tokens", "input_audio_tokens", "input_image_tokens",
)  # fmt: skip
_OUTPUT_PARTS = ("output_reasoning_tokens", "output_audio_tokens", "output_image_tokens")


def read_langfuse(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    return convert_rows(export_rows(stream, options), _converter(options))


def _converter(options: ImportOptions) -> Callable[[Row], Iterable[Record]]:
    zone = zone_of(options.time_zone)

    def convert(row: Row) -> Iterable[Record]:
        fields = Fields(row)
        kind = (fields.text("type") or "GENERATION").upper()
        usage, notes = _usage(fields)
        if not usage:
            if kind in ("GENERATION", "EMBEDDING"):
                raise NothingToBill("the observation reports no usage", field="usageDetails")
            return
        identity = fields.text("id")
        if identity is None:
            raise RowError("is required", field="id")
        model = fields.text("model", "providedModelName") or options.model
        if model is None:
            raise RowError("is required", field="model")
        yield {
            "source": SOURCE,
            "event_id": natural_id(identity),
            "timestamp": stamp(fields.get("startTime"), "startTime", zone=zone),
            "provider": provider_for(_named_provider(fields), model, options),
            "model": model,
            "usage": usage,
            "latency_ms": elapsed_ms(fields.get("startTime"), fields.get("endTime")),
            "status": "error" if (fields.text("level") or "").upper() == "ERROR" else None,
            "environment": fields.text("environment"),
            "user_id": fields.text("userId"),
            "tags": fields.texts("tags", "traceTags") or None,
            "metadata": {**_metadata(fields), **notes},
        }

    return convert


def _usage(fields: Fields) -> tuple[dict[str, int], dict[str, object]]:
    details = fields.object("usageDetails")
    if not details:
        return _legacy(fields), {}
    counts: dict[str, int] = {}
    other: list[str] = []
    for name, value in details.items():
        count = count_of(value, f"usageDetails.{name}") or 0
        kind = _KINDS.get(name) or _direction(name)
        if kind and count:
            counts[kind] = counts.get(kind, 0) + count
        if count and name not in _KINDS and name != "total":
            other.append(f"{name}={count}")
    notes = metadata(langfuse_other_usage="; ".join(other))
    total = count_of(details.get("total"), "usageDetails.total")
    base = counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
    tokens = sum(count for kind, count in counts.items() if kind.endswith("_tokens"))
    if total is not None and total == base != tokens:
        notes["langfuse_counts"] = "inclusive"
        return without_zeros(_with_writes(counts)), notes
    return _inclusive(_with_writes(counts)), notes


def _direction(name: str) -> str | None:
    lowered = name.lower()
    if "input" in lowered:
        return "input_tokens"
    return "output_tokens" if "output" in lowered else None


def _with_writes(counts: Mapping[str, int]) -> dict[str, int]:
    """Cache writes by lifetime are parts of the cache writes, unless both were stored."""
    timed = sum(counts.get(kind, 0) for kind in _WRITES)
    return {**counts, "cache_write_tokens": max(counts.get("cache_write_tokens", 0), timed)}


def _inclusive(counts: Mapping[str, int]) -> dict[str, int]:
    full = dict(counts)
    full["input_tokens"] = sum(counts.get(kind, 0) for kind in ("input_tokens", *_INPUT_PARTS))
    full["output_tokens"] = sum(counts.get(kind, 0) for kind in ("output_tokens", *_OUTPUT_PARTS))
    return without_zeros(full)


def _legacy(fields: Fields) -> dict[str, int]:
    block = Fields(fields.object("usage"))
    prompt = fields.count("promptTokens", "inputUsage") or block.count("input", "promptTokens")
    completion = fields.count("completionTokens", "outputUsage") or block.count(
        "output", "completionTokens"
    )
    return without_zeros({"input_tokens": prompt or 0, "output_tokens": completion or 0})


def _named_provider(fields: Fields) -> str | None:
    """The provider that LangChain or OpenTelemetry instrumentation left in the metadata."""
    extra = fields.object("metadata")
    attributes = Fields(extra).object("attributes")
    for block, name in (
        (extra, "ls_provider"), (attributes, "gen_ai.provider.name"), (attributes, "gen_ai.system"),
    ):  # fmt: skip
        found = text_of(block.get(name), f"metadata.{name}")
        if found is not None:
            return found
    return None


def _metadata(fields: Fields) -> dict[str, object]:
    costs = Fields(fields.object("costDetails"))
    return metadata(
        langfuse_cost_usd=fields.amount("totalCost", "calculatedTotalCost")
        or costs.amount("total"),
        trace_id=fields.text("traceId"),
        session_id=fields.text("sessionId"),
        name=fields.text("name"),
        prompt_name=fields.text("promptName"),
        prompt_version=fields.text("promptVersion"),
        release=fields.text("release"),
        version=fields.text("version"),
    )
