"""Rules that a shape names because no drawing says them: each corrects the counts or warns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.paths import Body, objects_in
from llm_cost_ops.core.providers.shapes import Shape
from llm_cost_ops.core.providers.toolcalls import (
    grounding,
    grounding_tools,
    image_items,
    output_items,
)
from llm_cost_ops.core.usage import Quantity

Note = Callable[[Body, Body, Shape, dict[str, Quantity], list[str]], None]
"""(body, usage block, shape, usage, warnings): corrects usage, adds warnings."""


def cache_split(
    _body: Body, block: Body, _shape: Shape, usage: dict[str, Quantity], _warnings: list[str]
) -> None:
    """Cache writes given by lifetime only: their sum is the write count, and is input."""
    if block.get("cache_creation_input_tokens") is not None:
        return
    written = usage.get("cache_write_5m_tokens", 0) + usage.get("cache_write_1h_tokens", 0)
    if written:
        usage["cache_write_tokens"] = written
        usage["input_tokens"] = usage.get("input_tokens", 0) + written


def iterations(
    _body: Body, block: Body, shape: Shape, usage: dict[str, Quantity], warnings: list[str]
) -> None:
    """Compaction passes of Claude: charged, but left out of the counts above them."""
    given = block.get("iterations")
    if given is None:
        return
    if not isinstance(given, list):
        raise UsageError("usage.iterations", "must be a list")
    passes = others = 0
    for step in objects_in(cast("object", given)):
        kind = step.get("type")
        if kind == "compaction":
            passes += 1
            spent: dict[str, Quantity] = {}
            shape.read(step, spent)
            cache_split(step, step, shape, spent, warnings)
            for name, quantity in spent.items():
                usage[name] = usage.get(name, 0) + quantity
        elif kind != "message":
            others += 1
    if others:
        warnings.append(f"usage.iterations holds {others} of a kind that is not counted")
    if passes:
        warnings.append(f"usage includes {passes} compaction pass{'es' if passes > 1 else ''}")


def search_fee(
    _body: Body, block: Body, _shape: Shape, _usage: dict[str, Quantity], warnings: list[str]
) -> None:
    """Perplexity's fee per request depends on a size that no usage kind carries."""
    size = block.get("search_context_size")
    if isinstance(size, str) and size in ("low", "medium", "high"):
        warnings.append(f"the request fee depends on the search context size, which was {size}")


def byok(
    _body: Body, block: Body, _shape: Shape, _usage: dict[str, Quantity], warnings: list[str]
) -> None:
    """With an own upstream key, OpenRouter's cost is its fee alone."""
    if block.get("is_byok") is True:
        warnings.append("usage.cost is the router's fee: the upstream provider charges its own key")


def free(
    _body: Body, _block: Body, _shape: Shape, _usage: dict[str, Quantity], _warnings: list[str]
) -> None:
    """Moderations report no usage: there is nothing to count."""


NOTES: Mapping[str, Note] = MappingProxyType(
    {
        "output_items": output_items,
        "grounding": grounding,
        "grounding_tools": grounding_tools,
        "cache_split": cache_split,
        "iterations": iterations,
        "search_fee": search_fee,
        "byok": byok,
        "image_items": image_items,
        "free": free,
    }
)
