"""LiteLLM spend logs: rows of its SpendLogs table as JSON, JSON lines or CSV.

The counts come from `metadata.usage_object` where the row has one, because the columns know no
cache; LiteLLM's own `spend` is kept beside ours as `litellm_spend_usd`. Answers from LiteLLM's
response cache and failed calls without tokens cost nothing at the provider and are reported as
skipped. LiteLLM's organization is metadata, because ours comes from the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import IO

from llm_cost_ops.importers.attribution import provider_for
from llm_cost_ops.importers.counts import openai_counts
from llm_cost_ops.importers.exports import export_rows
from llm_cost_ops.importers.fields import Fields, text_of
from llm_cost_ops.importers.identity import natural_id
from llm_cost_ops.importers.openai_usage import tier_of
from llm_cost_ops.importers.problem import NothingToBill, RowError
from llm_cost_ops.importers.record import (
    AGGREGATE,
    ImportOptions,
    ItemStream,
    Record,
    Row,
    convert_rows,
    metadata,
)
from llm_cost_ops.importers.times import elapsed_ms, stamp, zone_of

SOURCE = "litellm"
_BATCH_CALLS = frozenset({"aretrieve_batch", "retrieve_batch"})


def read_litellm(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    return convert_rows(export_rows(stream, options), _converter(options))


def _converter(options: ImportOptions) -> Callable[[Row], Iterable[Record]]:
    zone = zone_of(options.time_zone)

    def convert(row: Row) -> Iterable[Record]:
        fields = Fields(row)
        request_id = fields.text("request_id", "id")
        if request_id is None:
            raise RowError("is required", field="request_id")
        if (fields.text("cache_hit") or "").lower() == "true":
            raise NothingToBill(
                "answered from LiteLLM's cache: no provider was called", field="cache_hit"
            )
        extra = fields.object("metadata")
        usage, apart, block = _usage(fields, extra)
        if not usage:
            raise NothingToBill("the call reports no usage", field="prompt_tokens")
        model = fields.text("model", "model_group") or options.model
        record: Record = {
            "source": SOURCE,
            "event_id": natural_id(request_id),
            "timestamp": _started(fields, zone),
            "provider": provider_for(fields.text("custom_llm_provider"), model, options),
            "model": model,
            "usage": usage,
            "service_tier": tier_of(
                text_of(block.get("service_tier"), "usage_object.service_tier")
            ),
            "region": _region(block),
            "latency_ms": _latency(fields),
            "status": fields.text("status"),
            "user_id": fields.text("user"),
            "team_id": fields.text("team_id"),
            "project_id": text_of(extra.get("user_api_key_project_id"), "metadata.project_id"),
            "api_key_id": fields.text("api_key"),
            "tags": fields.texts("request_tags") or None,
            "metadata": {**_own_metadata(extra), **_metadata(fields, apart)},
        }
        if fields.text("call_type") in _BATCH_CALLS:
            record |= {"processing": "batch", AGGREGATE: True}
        yield record

    return convert


def _usage(
    fields: Fields, extra: Mapping[str, object]
) -> tuple[dict[str, int], bool, Mapping[str, object]]:
    columns = {name: fields.count(name) for name in ("prompt_tokens", "completion_tokens")}
    # Rows from before the usage block was kept have the cache counts by themselves.
    block = Fields(extra).object("usage_object") or {
        **Fields(extra).object("additional_usage_values"),
        **columns,
    }
    counts, apart = openai_counts(block)
    succeeded = Fields(extra).count("batch_successful_requests")
    return (counts | {"requests": succeeded} if succeeded and counts else counts), apart, block


def _started(fields: Fields, zone: tzinfo) -> str | None:
    """The start of the call; LiteLLM's log files have it in seconds since 1970."""
    value = fields.get("startTime")
    seconds = isinstance(value, int | Decimal)
    return stamp(value, "startTime", unit="s" if seconds else None, zone=zone)


def _region(block: Mapping[str, object]) -> str | None:
    geo = text_of(block.get("inference_geo"), "usage_object.inference_geo")
    return None if geo in ("not_available", "global") else geo


def _latency(fields: Fields) -> int | None:
    given = fields.count("request_duration_ms")
    begin, end = fields.get("startTime"), fields.get("endTime")
    if given is not None or not isinstance(begin, str):
        return given
    return elapsed_ms(begin, end)


def _metadata(fields: Fields, apart: bool) -> dict[str, object]:
    return metadata(
        litellm_spend_usd=fields.amount("spend", "response_cost"),
        call_type=fields.text("call_type"),
        model_group=fields.text("model_group"),
        model_id=fields.text("model_id"),
        session_id=fields.text("session_id"),
        end_user=fields.text("end_user"),
        litellm_organization_id=fields.text("organization_id"),
        litellm_call_id=fields.text("litellm_call_id"),
        cache_tokens="added to prompt_tokens" if apart else None,
    )


def _own_metadata(extra: Mapping[str, object]) -> dict[str, object]:
    """What the caller attached to the call, as far as it is plain text or a number."""
    attached = Fields(extra).object("spend_logs_metadata")
    return {k: v for k, v in attached.items() if isinstance(v, str | int | bool) and v != ""}
