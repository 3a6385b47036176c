"""Small models, cards and rows for tests of the price book's builder."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tools.prices.pricebuild.litellm import Row
from tools.prices.pricebuild.litellm_names import Place
from tools.prices.pricebuild.rows import GENAI, LITELLM, Card, Model, Price

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TODAY = NOW.date()
HEADER = {
    "version": "t", "built_at": "2026-11-20", "sources": {}, "regions": {}, "adjustments": [],
}  # fmt: skip


def amounts(**kinds: str) -> dict[str, Price]:
    return {kind: Price(Decimal(value)) for kind, value in kinds.items()}


def model(name: str, *cards: Card, provider: str = "p", aliases: tuple[str, ...] = ()) -> Model:
    return Model(provider, name, set(aliases), list(cards))


def row(name: str, *cards: Card, region: str | None = None, rank: int = 0, **entry: Any) -> Row:
    made = Row(Place(entry.pop("provider", "p"), name, region, rank), entry)
    made.cards = list(cards)
    return made


def genai(**kinds: str) -> Card:
    return Card(amounts(**kinds), GENAI)


def lite(
    tier: str = "standard", processing: str = "realtime", region: str | None = None, **k: str
) -> Card:
    return Card(amounts(**k), LITELLM, region, tier, processing)
