"""Listing of prices: the organization's and the operator's first, then the public book."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.instant import format_instant
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.pricing import store
from llm_cost_ops.server.pricing.cards import prices_json
from llm_cost_ops.server.pricing.manage import is_active, wire

MAX_PAGE = 1_000
SOURCES = ("organization", "operator", "public")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a listing. `active_only` keeps prices in force at `at`; with `known_at` own prices
    are those that were recorded until then."""

    provider: str | None
    model: str | None
    at: datetime
    active_only: bool
    source: str | None
    limit: int | None
    cursor: str | None
    known_at: datetime | None = None


def listing(
    session: ReadSession, book: PriceBook, organization_id: str, wanted: Wanted
) -> dict[str, Any]:
    """A page of prices in the list shape. Raises PricingError for a bad filter."""
    limit = 100 if wanted.limit is None else wanted.limit
    if not 1 <= limit <= MAX_PAGE:
        raise PricingError(f"must be between 1 and {MAX_PAGE}", field="limit")
    if wanted.source is not None and wanted.source not in SOURCES:
        raise PricingError(f"must be one of: {', '.join(SOURCES)}", field="source")
    skip = _offset(wanted.cursor)
    page: list[dict[str, Any]] = []
    for position, row in enumerate(_matching(session, book, organization_id, wanted)):
        if position < skip:
            continue
        if len(page) == limit:
            return _page(page, limit, next_offset=skip + limit)
        page.append(row)
    return _page(page, limit, next_offset=None)


def card_wire(card: RateCard) -> dict[str, Any]:
    """A card of the public book in the shape of a price."""
    shown: dict[str, Any] = {
        "id": card.id,
        "version": 1,
        "provider": card.provider,
        "model": card.model,
        "currency": card.currency,
        "region": card.region,
        "service_tier": card.service_tier,
        "processing": card.processing,
        "effective_date": None if card.valid_from is None else format_instant(card.valid_from),
        "end_date": None if card.valid_to is None else format_instant(card.valid_to),
        "pricing_structure": None,
        "prices": prices_json(card.prices),
        "source": "public",
        "source_name": card.source,
        "source_version": card.source_version,
        "checked_at": None if card.checked_at is None else card.checked_at.isoformat(),
    }
    for kind, name in (
        ("input_tokens", "input_price_per_million"),
        ("output_tokens", "output_price_per_million"),
        ("cache_read_tokens", "cached_input_price_per_million"),
    ):
        price = card.prices.get(kind)
        if price is not None and price.per == 1_000_000:
            shown[name] = price.price
    if card.windows:
        shown["windows"] = [
            {
                "time_zone": window.time_zone,
                "weekdays": sorted(window.weekdays),
                "start_minute": window.start_minute,
                "end_minute": window.end_minute,
            }
            for window in card.windows
        ]
    return shown


def _matching(
    session: ReadSession, book: PriceBook, organization_id: str, wanted: Wanted
) -> Iterator[dict[str, Any]]:
    provider = wanted.provider and (provider_id(wanted.provider) or wanted.provider)
    model = wanted.model and wanted.model.strip().lower()
    if wanted.source != "public":
        yield from _own(session, organization_id, wanted, provider, model)
    if wanted.source in (None, "public"):
        yield from _public(book, wanted, provider, model)


def _own(
    session: ReadSession,
    organization_id: str,
    wanted: Wanted,
    provider: str | None,
    model: str | None,
) -> Iterator[dict[str, Any]]:
    for row in store.latest_versions(session, organization_id, known_at=wanted.known_at):
        if provider and row["provider"] != provider:
            continue
        if model and row["model"].lower() != model:
            continue
        if wanted.active_only and not _in_force(session, organization_id, row, wanted):
            continue
        shown = wire(row)
        if wanted.source in (None, shown["source"]):
            yield shown


def _in_force(
    session: ReadSession, organization_id: str, last: Mapping[str, Any], wanted: Wanted
) -> bool:
    """A price whose last version only begins later is in force through an earlier one."""
    at = wanted.at
    if is_active(last, at):
        return True
    rows = store.history(session, organization_id, last["pricing_id"], known_at=wanted.known_at)
    return any(
        (card.valid_from is None or card.valid_from <= at)
        and (card.valid_to is None or at < card.valid_to)
        for card in store.timelines(rows)
    )


def _public(
    book: PriceBook, wanted: Wanted, provider: str | None, model: str | None
) -> Iterator[dict[str, Any]]:
    for entry in book.models():
        if provider and entry.provider != provider:
            continue
        if model and entry.key != model and model not in entry.aliases:
            continue
        for card in entry.cards:
            started = card.valid_from is None or card.valid_from <= wanted.at
            ended = card.valid_to is not None and card.valid_to <= wanted.at
            if not wanted.active_only or (started and not ended):
                yield card_wire(card)


def _page(rows: list[dict[str, Any]], limit: int, next_offset: int | None) -> dict[str, Any]:
    cursor = None
    if next_offset is not None:
        cursor = base64.urlsafe_b64encode(str(next_offset).encode()).decode()
    return {
        "data": rows,
        "has_more": cursor is not None,
        "next_cursor": cursor,
        "pagination": {"limit": limit, "next_cursor": cursor},
    }


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise PricingError("is not a cursor of this list", field="cursor")
    return int(text)
