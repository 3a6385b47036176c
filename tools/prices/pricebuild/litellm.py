"""Reader of LiteLLM's price file: one model per row, one card per price context, today's prices.

Zeros are dropped: the file writes 0.0 both for "free" and for "does not apply", and an unknown
price must not become a free one. What is free is stated in the overlay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

from .litellm_fields import CONTEXTS, exact, parse_field, per_second, per_unit
from .litellm_names import Place, place
from .rows import LITELLM, MILLION, THOUSAND, Card, Model, Price, TierRow

FILE = "model_prices_and_context_window_backup.json"
STANDARD = ("standard", "realtime")
_SIZED_IMAGE = re.compile(r"(?:^|/)(?:\d{3,4}|max)-x-(?:\d{3,4}|max)/")
_AUDIO_MODES = ("audio_transcription", "realtime")
_REQUEST_KINDS = frozenset(
    {"web_searches", "storage_searches", "code_executions", "requests", "rerank_searches"}
)


class Row(Model):
    """A LiteLLM row with the place it claims."""

    def __init__(self, where: Place, entry: Mapping[str, Any]) -> None:
        super().__init__(where.provider, where.model, mode=entry.get("mode"))
        self.region = where.region
        self.rank = where.rank
        self.accepts = _accepts(entry)


def read() -> tuple[list[Row], str]:
    """(rows, version). Needs the litellm package in the running environment."""
    version = metadata.version("litellm")
    entries = _entries()
    rows: list[Row] = []
    for name, entry in entries.items():
        where = place(name, str(entry.get("litellm_provider") or ""))
        if where is None:
            continue
        row = Row(where, entry)
        row.cards = cards_of(name, entry, where)
        if row.cards:
            rows.append(row)
    return rows, version


def limits() -> Iterator[tuple[str, str, int]]:
    """(provider, model, most output tokens) of every row that states them."""
    for name, entry in _entries().items():
        where = place(name, str(entry.get("litellm_provider") or ""))
        tokens = entry.get("max_output_tokens")
        if where is not None and isinstance(tokens, int) and tokens > 0:
            yield where.provider, where.model, tokens


def _entries() -> Mapping[str, Mapping[str, Any]]:
    located = metadata.distribution("litellm").locate_file(Path("litellm") / FILE)
    return json.loads(
        Path(str(located)).read_text(encoding="utf-8"), parse_float=Decimal, parse_int=int
    )


def _accepts(entry: Mapping[str, Any]) -> frozenset[str]:
    """Input modalities beside text, by the file's own flags."""
    listed = {str(m) for m in entry.get("supported_modalities") or ()}
    flags = {
        "image": entry.get("supports_vision") or "image" in listed,
        "video": entry.get("supports_video_input") or "video" in listed,
        "audio": entry.get("supports_audio_input") or "audio" in listed,
    }
    return frozenset(name for name, value in flags.items() if value is True)


def cards_of(name: str, entry: Mapping[str, Any], where: Place) -> list[Card]:
    """One card per price context that the row states."""
    prices: dict[tuple[str, str], dict[str, Price]] = {}
    tiers: dict[tuple[str, str], dict[str, list[TierRow]]] = {}
    inclusive = where.provider == "x-ai"
    for key, raw in entry.items():
        field = parse_field(key)
        value = exact(raw)
        if field is None or not value:
            continue
        if field.above is None:
            prices.setdefault(field.context, {})[field.kind] = per_unit(value, field.per)
        else:
            rows = tiers.setdefault(field.context, {}).setdefault(field.kind, [])
            rows.append((field.above, value * field.per, inclusive))
    standard = prices.setdefault(STANDARD, {})
    other = _other_kinds(name, entry)
    if "input_tokens" in standard or "output_tokens" in standard:
        other = {kind: price for kind, price in other.items() if kind in _REQUEST_KINDS}
    standard.update(other)
    _add_ranges(entry, standard)
    for context, by_kind in tiers.items():
        for kind, rows in by_kind.items():
            base = prices.get(context, {}).get(kind)
            if base is not None and not base.tiers:
                prices[context][kind] = Price(base.price, base.per, tuple(sorted(rows)))
    return _contexts(prices, standard, where)


def _contexts(
    prices: Mapping[tuple[str, str], dict[str, Price]], standard: dict[str, Price], where: Place
) -> list[Card]:
    """One card per context. Prices per call (searches, requests) hold in every context."""
    calls = {kind: price for kind, price in standard.items() if kind in _REQUEST_KINDS}
    return [
        Card({**calls, **prices[context]}, LITELLM, where.region, *context)
        for context in CONTEXTS.values()
        if prices.get(context)
    ]


def _other_kinds(name: str, entry: Mapping[str, Any]) -> dict[str, Price]:
    mode = entry.get("mode")
    found: dict[str, Price] = {}
    seconds = exact(entry.get("input_cost_per_second"))
    if seconds and mode in _AUDIO_MODES:
        found["audio_seconds"] = per_second(seconds)
        if mode == "audio_transcription":
            found["input_audio_seconds"] = per_second(seconds)
    video = exact(entry.get("output_cost_per_video_per_second"))
    if video is None and mode == "video_generation":
        video = exact(entry.get("output_cost_per_second"))
    if video:
        found["output_video_seconds"] = Price(video, 1)
    image = exact(entry.get("output_cost_per_image"))
    if not image and mode == "image_generation" and _SIZED_IMAGE.search(name):
        image = exact(entry.get("input_cost_per_image"))
    if image and mode in ("image_generation", "image_edit"):
        found["output_images"] = Price(image, 1)
    found.update(_call_kinds(entry, mode))
    return found


def _call_kinds(entry: Mapping[str, Any], mode: object) -> dict[str, Price]:
    found: dict[str, Price] = {}
    query = exact(entry.get("input_cost_per_query"))
    if query and mode in ("rerank", "search"):
        kind = "rerank_searches" if mode == "rerank" else "web_searches"
        found[kind] = per_unit(query, THOUSAND)
    for field, kind, per in (
        ("input_cost_per_request", "requests", THOUSAND),
        ("code_interpreter_cost_per_session", "code_executions", THOUSAND),
        ("input_cost_per_text_message", "input_text_messages", THOUSAND),
    ):
        value = exact(entry.get(field))
        if value:
            found[kind] = per_unit(value, per)
    search = {exact(v) for v in (entry.get("search_context_cost_per_query") or {}).values()}
    if len(search) == 1 and (value := search.pop()):
        found["web_searches"] = per_unit(value, THOUSAND)
    return found


def _add_ranges(entry: Mapping[str, Any], standard: dict[str, Price]) -> None:
    """`tiered_pricing`: whole-request ranges of input tokens, lower bound exclusive."""
    ranges = entry.get("tiered_pricing") or []
    token_ranges = [r for r in ranges if "range" in r]
    for field in ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"):
        steps = [(int(r["range"][0]), exact(r.get(field))) for r in token_ranges]
        known = sorted((low, value) for low, value in steps if value)
        parsed = parse_field(field)
        if not known or known[0][0] != 0 or parsed is None:
            continue
        above = tuple((low, value * MILLION, False) for low, value in known[1:])
        standard[parsed.kind] = Price(known[0][1] * MILLION, MILLION, above)
