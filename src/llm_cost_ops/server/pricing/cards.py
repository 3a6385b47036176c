"""Rate cards as stored JSON: every card that ever rated a record can be shown again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, cast

from sqlalchemy import select

from llm_cost_ops.core.instant import format_instant, parse_instant
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard, Tier
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.server.db.dialects.writing import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.pricing.tables import price_cards

MAX_VERSION = 255


def version_id(card: RateCard, adjustments: Sequence[Adjustment]) -> str:
    """The price version that a record stores: the card, and the adjustments that changed it."""
    named = "+".join((card.id, *(adjustment.id for adjustment in adjustments)))
    if len(named) <= MAX_VERSION:
        return named
    return f"{card.id}+{blake2b(named.encode(), digest_size=16).hexdigest()}"


def prices_json(prices: Mapping[str, KindPrice]) -> dict[str, Any]:
    """Kind prices in the INTERFACES shape, money as exact decimals."""
    shown: dict[str, Any] = {}
    for kind, price in prices.items():
        entry: dict[str, Any] = {"price": price.price, "per": price.per}
        if price.tiers:
            entry["tiers"] = [
                {
                    "above_input_tokens": tier.above_input_tokens,
                    "price": tier.price,
                    "inclusive": tier.inclusive,
                }
                for tier in price.tiers
            ]
        shown[kind] = entry
    return shown


def prices_from_json(stored: Mapping[str, Any]) -> dict[str, KindPrice]:
    """The reverse of `prices_json`, for text that this server wrote."""
    return {
        kind: KindPrice(
            Decimal(entry["price"]),
            int(entry["per"]),
            tuple(
                Tier(int(tier["above_input_tokens"]), Decimal(tier["price"]), tier["inclusive"])
                for tier in entry.get("tiers", ())
            ),
        )
        for kind, entry in stored.items()
    }


def card_text(card: RateCard, adjustments: Sequence[Adjustment]) -> str:
    """Everything that rating needs, as JSON text."""
    return dumps(
        {
            "id": card.id,
            "provider": card.provider,
            "model": card.model,
            "currency": card.currency,
            "region": card.region,
            "service_tier": card.service_tier,
            "processing": card.processing,
            "valid_from": format_instant(card.valid_from) if card.valid_from else None,
            "valid_to": format_instant(card.valid_to) if card.valid_to else None,
            "prices": prices_json(card.prices),
            "inherits": sorted(card.inherits),
            "minimums": dict(card.minimums),
            "structure": card.structure,
            "source": card.source,
            "source_version": card.source_version,
            "adjustments": [
                {
                    "id": a.id,
                    "label": a.label,
                    "factor": a.factor,
                    "kinds": None if a.kinds is None else sorted(a.kinds),
                    "scope": a.scope,
                }
                for a in adjustments
            ],
        }
    )


def compiled(text: str) -> CompiledRate:
    """A stored card, ready to rate with."""
    stored = cast("dict[str, Any]", loads(text))
    card = RateCard(
        stored["id"],
        stored["provider"],
        stored["model"],
        prices_from_json(stored["prices"]),
        currency=stored["currency"],
        region=stored["region"],
        service_tier=stored["service_tier"],
        processing=stored["processing"],
        valid_from=parse_instant(stored["valid_from"]) if stored["valid_from"] else None,
        valid_to=parse_instant(stored["valid_to"]) if stored["valid_to"] else None,
        inherits=frozenset(stored["inherits"]),
        minimums={kind: Decimal(value) for kind, value in stored["minimums"].items()},
        structure=stored["structure"],
        source=stored["source"],
        source_version=stored["source_version"],
    )
    adjustments = [
        Adjustment(
            a["id"],
            a["label"],
            Decimal(a["factor"]),
            None if a["kinds"] is None else frozenset(a["kinds"]),
            a["scope"],
        )
        for a in stored["adjustments"]
    ]
    return CompiledRate(card, adjustments)


def stored_card(session: ReadSession, price_version: str | None) -> CompiledRate | None:
    """The card that rated a record, or None for a record without one."""
    if price_version is None:
        return None
    query = select(price_cards.c.card).where(price_cards.c.id == price_version)
    found = session.execute(query).scalar_one_or_none()
    if found is None:
        return None
    return compiled(found)


def present(session: ReadSession, versions: Iterable[str]) -> set[str]:
    """Those of the versions whose cards are stored."""
    query = select(price_cards.c.id).where(price_cards.c.id.in_(sorted(versions)))
    return set(session.execute(query).scalars())


def keep(session: WriteSession, cards: Iterable[tuple[str, str]], now_us: int) -> None:
    """Store cards by version id; those stored before stay as they are."""
    rows = [
        {"id": version, "card": text, "first_used_at": now_us} for version, text in sorted(cards)
    ]
    if rows:
        session.connection.execute(insert_ignore(session.kind, price_cards, ["id"]), rows)
