"""Listing of prices: the organization's and the operator's first, then the public book."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.instant import format_instant, to_micros
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.pricing import store
from llm_cost_ops.server.pricing.cards import prices_json
from llm_cost_ops.server.pricing.manage import is_active, wire

SOURCES = ("organization", "operator", "public")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a listing. `active_only` keeps prices in force at `at`, each in the version that
    is; with `known_at` own prices are those that were recorded until then."""

    provider: str | None
    model: str | None
    at: datetime
    active_only: bool
    source: str | None
    known_at: datetime | None = None


def listing(
    session: ReadSession, book: PriceBook, organization_id: str, wanted: Wanted
) -> Iterator[dict[str, Any]]:
    """The prices that are wanted, as they are read. Raises PricingError for a bad filter."""
    if wanted.source is not None and wanted.source not in SOURCES:
        raise PricingError(f"must be one of: {', '.join(SOURCES)}", field="source")
    return _matching(session, book, organization_id, wanted)


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
    rows: list[Mapping[str, Any]] = []
    for last in store.latest_versions(session, organization_id, known_at=wanted.known_at):
        if provider and last["provider"] != provider:
            continue
        if model and last["model"].lower() != model:
            continue
        row = _in_force(session, organization_id, last, wanted) if wanted.active_only else last
        if row is not None:
            rows.append(row)
    for row in sorted(rows, key=_order):
        shown = wire(row)
        if wanted.source in (None, shown["source"]):
            yield shown


def _order(row: Mapping[str, Any]) -> tuple[object, ...]:
    """By model, and of one model first the price that rates: the latest start, then the newest."""
    return (row["provider"], row["model"], -row["valid_from"], -row["recorded_at"], row["id"])


def _in_force(
    session: ReadSession, organization_id: str, last: Mapping[str, Any], wanted: Wanted
) -> Mapping[str, Any] | None:
    """The version in force: where the last one only begins later, an earlier one until then."""
    at = wanted.at
    if is_active(last, at):
        return last
    rows = store.history(session, organization_id, last["pricing_id"], known_at=wanted.known_at)
    versions = {store.card_id(row): row for row in rows}
    for card in store.timelines(rows):
        if _covers(card, at):
            ends = None if card.valid_to is None else to_micros(card.valid_to)
            return {**versions[card.id], "valid_to": ends}
    return None


def _covers(card: RateCard, at: datetime) -> bool:
    started = card.valid_from is None or card.valid_from <= at
    return started and (card.valid_to is None or at < card.valid_to)


def _public(
    book: PriceBook, wanted: Wanted, provider: str | None, model: str | None
) -> Iterator[dict[str, Any]]:
    for entry in book.models():
        if provider and entry.provider != provider:
            continue
        if model and entry.key != model and model not in entry.aliases:
            continue
        for card in entry.cards:
            if not wanted.active_only or _covers(card, wanted.at):
                yield card_wire(card)
