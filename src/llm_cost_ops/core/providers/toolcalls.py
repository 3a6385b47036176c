"""Billed tool calls and images that stand beside the usage block.

Items are counted by their type; what they say is not looked at, but for the queries of Google
Search, which are counted when they differ, as they are billed.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import cast

from llm_cost_ops.core.providers.counts import whole
from llm_cost_ops.core.providers.paths import Body, at_path, objects_in
from llm_cost_ops.core.providers.shapes import Shape
from llm_cost_ops.core.usage import Quantity

_BILLED_ITEMS = MappingProxyType(
    {
        "web_search_call": "web_searches",
        "x_search_call": "social_searches",
        "file_search_call": "storage_searches",
        "code_interpreter_call": "code_executions",
    }
)
_FREE_ACTIONS = frozenset({"open_page", "find_in_page", "find"})
"""Web search actions that read a page which a search found: only searches are charged."""

_IMAGE_LISTS = ("data", "predictions", "images")
_IMAGE_KEYS = frozenset({"url", "b64_json", "bytesBase64Encoded", "gcsUri"})
"""Where image APIs that report no usage hold their images: OpenAI's form, Vertex, fal."""

_GEMINI_GENERATION = re.compile(r"gemini-(\d{1,3})")
_MAPS = "grounding with Google Maps is charged apart and is not in usage"
_LAST_GENERATION_BY_PROMPT = 2
"""Up to Gemini 2.x Google Search is charged per grounded prompt, from 3 on per query."""


def output_items(
    body: Body, block: Body, _shape: Shape, usage: dict[str, Quantity], warnings: list[str]
) -> None:
    """Tool calls in `output[]` of the Responses API, which its usage block leaves out."""
    _image_tool(body, warnings)
    if isinstance(block.get("server_side_tool_usage_details"), dict):
        return
    found: dict[str, int] = {}
    containers: list[str] = []
    for item in objects_in(body.get("output")):
        kind = item.get("type")
        billed = _BILLED_ITEMS.get(kind) if isinstance(kind, str) else None
        if billed is None or str(at_path(item, ("action", "type"))) in _FREE_ACTIONS:
            continue
        found[billed] = found.get(billed, 0) + 1
        if kind == "code_interpreter_call":
            containers.append(str(item.get("container_id", len(containers))))
    if len(containers) > len(set(containers)):
        warnings.append("code interpreter calls share a container, which is what is charged")
    path = ("tool_usage", "web_search", "num_requests")
    stated = at_path(body, path)
    if stated is not None and whole(stated, ".".join(path)):
        found["web_searches"] = cast("int", stated)
    for billed, count in found.items():
        usage[billed] = max(usage.get(billed, 0), count)


def _image_tool(body: Body, warnings: list[str]) -> None:
    spent = at_path(body, ("tool_usage", "image_gen", "total_tokens"))
    if isinstance(spent, int) and spent > 0:
        warnings.append(f"{spent} tokens of the image generation tool are not in usage")


def grounding(
    body: Body, _block: Body, _shape: Shape, usage: dict[str, Quantity], warnings: list[str]
) -> None:
    """Google Search by groundingMetadata: one per grounded prompt, or one per different query."""
    queries: set[str] = set()
    maps = False
    for candidate in objects_in(body.get("candidates")):
        metadata = candidate.get("groundingMetadata")
        if not isinstance(metadata, dict):
            continue
        metadata = cast("Body", metadata)
        queries |= _queries(metadata.get("webSearchQueries"))
        maps = maps or any("maps" in chunk for chunk in objects_in(metadata.get("groundingChunks")))
    if maps:
        warnings.append(_MAPS)
    if not queries:
        return
    usage["web_searches"] = _searches(body.get("modelVersion"), len(queries), warnings)


def grounding_tools(
    body: Body, block: Body, _shape: Shape, usage: dict[str, Quantity], warnings: list[str]
) -> None:
    """The Interactions API counts its searches itself, for every model by query."""
    tools = objects_in(block.get("grounding_tool_count"))
    if any(tool.get("type") == "google_maps" for tool in tools):
        warnings.append(_MAPS)
    if "web_searches" in usage:
        queries = int(usage["web_searches"])
        usage["web_searches"] = _searches(body.get("model"), queries, warnings)


def _searches(model: object, queries: int, warnings: list[str]) -> int:
    generation = _GEMINI_GENERATION.search(model) if isinstance(model, str) else None
    if generation is None:
        if queries > 1:
            warnings.append("the model is unknown: Google Search was counted per query")
        return queries
    return 1 if int(generation[1]) <= _LAST_GENERATION_BY_PROMPT else queries


def _queries(value: object) -> set[str]:
    if not isinstance(value, list):
        return set()
    return {query for query in cast("list[object]", value) if isinstance(query, str) and query}


def image_items(
    body: Body, _block: Body, _shape: Shape, usage: dict[str, Quantity], _warnings: list[str]
) -> None:
    """Images counted where the answer reports no usage."""
    usage["output_images"] = count_images(body)


def count_images(body: Body) -> int:
    """How many images an answer holds; 0 when it is no answer of an image API."""
    for name in _IMAGE_LISTS:
        items = body.get(name)
        if isinstance(items, list) and items:
            images = sum(
                not _IMAGE_KEYS.isdisjoint(item) for item in objects_in(cast("object", items))
            )
            if images:
                return images
    return 0
