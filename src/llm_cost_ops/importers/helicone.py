"""Helicone requests: query API, export tool and dashboard files as JSON, JSON lines or CSV.

A row that kept the response body is read from the body, which is the provider's own word. The
columns of other rows are disjoint, as Helicone stores them: `prompt_tokens` without cached tokens,
`completion_tokens` without reasoning. Answers from Helicone's cache called no provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, cast

from llm_cost_ops.importers.attribution import provider_for
from llm_cost_ops.importers.counts import without_zeros
from llm_cost_ops.importers.exports import export_rows
from llm_cost_ops.importers.fields import Fields, object_of
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
from llm_cost_ops.importers.times import stamp, zone_of

SOURCE = "helicone"
_USAGE_BLOCKS = ("usage", "usageMetadata", "meta")
_NO_CACHE = frozenset({"00000000-0000-0000-0000-000000000000"})
# Helicone's names for the ways to reach a provider.
_PROVIDERS = {"custom": None, "helicone": None, "bedrock": "aws", "vertex": "google"}


def read_helicone(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    return convert_rows(export_rows(stream, options), _converter(options))


def _converter(options: ImportOptions) -> Callable[[Row], Iterable[Record]]:
    zone = zone_of(options.time_zone)

    def convert(row: Row) -> Iterable[Record]:
        fields = Fields(row)
        identity = fields.text("request_id", "response_id")
        if identity is None:
            raise RowError("is required", field="request_id")
        _refuse_unbilled(fields)
        model = fields.text("model", "response_model", "request_model") or options.model
        begun = fields.get("request_created_at", "response_created_at", "created_at")
        record: Record = {
            "source": SOURCE,
            "event_id": natural_id(identity),
            "timestamp": stamp(begun, "request_created_at", zone=zone),
            "provider": provider_for(_provider(fields), model, options),
            "model": model,
            **_usage(fields),
            "latency_ms": _latency(fields),
            "status": fields.text("response_status", "status"),
            "user_id": fields.text("request_user_id", "user_id", "helicone_user"),
            "metadata": {**_properties(fields), **_metadata(fields)},
        }
        yield record

    return convert


def _refuse_unbilled(fields: Fields) -> None:
    reference = fields.text("cache_reference_id")
    if reference is not None and reference not in _NO_CACHE:
        raise NothingToBill("answered from Helicone's cache", field="cache_reference_id")


def _usage(fields: Fields) -> dict[str, object]:
    """`response` from the stored body where it holds usage, else `usage` from the columns."""
    body = _body(fields.get("response_body"))
    if any(isinstance(body.get(name), Mapping) for name in _USAGE_BLOCKS):
        return {"response": body}
    read = fields.count("prompt_cache_read_tokens") or 0
    write = fields.count("prompt_cache_write_tokens") or 0
    reasoning = fields.count("reasoning_tokens") or 0
    counts = without_zeros(
        {
            "input_tokens": (fields.count("prompt_tokens") or 0) + read + write,
            "cache_read_tokens": read,
            "cache_write_tokens": write,
            "input_audio_tokens": fields.count("prompt_audio_tokens") or 0,
            "output_tokens": (fields.count("completion_tokens") or 0) + reasoning,
            "output_reasoning_tokens": reasoning,
            "output_audio_tokens": fields.count("completion_audio_tokens") or 0,
        }
    )
    if not counts:
        raise NothingToBill("the request reports no usage", field="prompt_tokens")
    return {"usage": counts}


def _body(value: object) -> Mapping[str, object]:
    """The stored response body; streams and error texts are no bodies to read usage from."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return object_of(value, "response_body")
    return cast("Row", value) if isinstance(value, dict) else {}


def _latency(fields: Fields) -> int | None:
    given = fields.amount("delay_ms", "latency")
    return None if given is None or given < 0 else int(given)


def _provider(fields: Fields) -> str | None:
    name = (fields.text("provider") or "").lower()
    return _PROVIDERS.get(name, name) or None


def _properties(fields: Fields) -> dict[str, object]:
    own = {**fields.object("request_properties"), **fields.object("properties")}
    return {k: v for k, v in own.items() if isinstance(v, str | int | bool) and v != ""}


def _metadata(fields: Fields) -> dict[str, object]:
    return metadata(
        helicone_cost_usd=fields.amount("costUSD", "cost_usd", "cost"),
        request_path=fields.text("request_path"),
        prompt_id=fields.text("prompt_id"),
        country_code=fields.text("country_code"),
    )
