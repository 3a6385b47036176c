"""Items to estimate, as the estimate endpoint and the offline estimate take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from llm_cost_ops.client.caller import Caller, many
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.rows import Estimate
from llm_cost_ops.client.wire import unfit

KINDS_OF_COUNTS = {
    "prompt_tokens": "input_tokens",
    "input_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}
"""Token counts of a record as usage kinds, which is what an estimate item names."""

Items = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


def estimate_items(items: Items, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One or many items, or one given as keyword arguments, each with `usage` or `response`."""
    if items is not None and not isinstance(items, Mapping):
        if fields:
            raise unfit("items", "must be either a list or the fields of one item")
        return [_item(item) for item in items]
    return [_item({**cast("Mapping[str, Any]", items or {}), **fields})]


def _item(given: Mapping[str, Any]) -> dict[str, Any]:
    item = {name: value for name, value in given.items() if value is not None}
    counts = {name: item.pop(name) for name in KINDS_OF_COUNTS if name in item}
    if counts and ("usage" in item or "response" in item):
        raise unfit("usage", "must be given as counts, usage or response, not two of them")
    if counts:
        item["usage"] = {KINDS_OF_COUNTS[name]: count for name, count in counts.items()}
    return item


def ask_estimates(caller: Caller, items: Items, fields: Mapping[str, Any]) -> Flow[Page[Estimate]]:
    """Estimates by the server's prices; nothing is stored."""
    body = {"items": estimate_items(items, fields)}
    return many((yield from caller.ask("/costs/estimate", body)), Estimate)
