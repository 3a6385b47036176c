"""Reading the compiled text: forms of prices, laziness, and refusals."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import resources
from itertools import pairwise

import pytest

from llm_cost_ops.core.errors import PricingError
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.card import KindPrice, Tier, TimeWindow
from llm_cost_ops.core.pricing.catalog import Catalog
from tests.support.price_books import book_of, packaged

HEADER = {
    "format": 1, "version": "t", "built_at": "2026-01-01", "sources": {"litellm": "9"},
    "regions": {}, "adjustments": [],
}  # fmt: skip


def catalog(*cards: dict[str, object]) -> Catalog:
    line = {"provider": "p", "model": "M", "aliases": ["n"], "cards": list(cards)}
    text = json.dumps(HEADER) + "\n" + json.dumps(line, separators=(",", ":")) + "\n"
    return Catalog(text)


def test_all_fields_of_a_card() -> None:
    found = catalog(
        {
            "id": "prc_1",
            "region": "eu",
            "tier": "flex",
            "processing": "batch",
            "from": "2026-01-02T03:04Z",
            "to": "2026-02-03T00:00Z",
            "windows": [["UTC", [0, 6], 60, 120]],
            "prices": {
                "input_tokens": "0.5",
                "web_searches": ["10", 1000],
                "output_tokens": ["1", 1000000, [[200000, "2", True]]],
            },
            "inherits": ["input_image_tokens"],
            "minimums": {"audio_seconds": "10"},
            "source": "litellm, start extended by overlay",
            "checked": "2026-01-01",
        }
    ).find("p", "m")
    assert found is not None
    (card,) = found[0].cards
    assert card.prices["input_tokens"] == KindPrice(Decimal("0.5"), 1_000_000)
    assert card.prices["web_searches"] == KindPrice(Decimal(10), 1000)
    assert card.prices["output_tokens"].tiers == (Tier(200_000, Decimal(2), True),)
    assert (card.region, card.service_tier, card.processing) == ("eu", "flex", "batch")
    assert card.valid_from == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert card.valid_to == datetime(2026, 2, 3, tzinfo=UTC)
    assert card.windows == (TimeWindow("UTC", frozenset({0, 6}), 60, 120),)
    assert card.inherits == {"input_image_tokens"}
    assert card.minimums == {"audio_seconds": Decimal(10)}
    assert (card.source_version, card.checked_at) == ("9", date(2026, 1, 1))


def test_a_card_of_ours_carries_the_version_of_the_book() -> None:
    found = catalog({"id": "x", "prices": {"input_tokens": "1"}, "source": "overlay"}).find(
        "p", "n"
    )
    assert found is not None
    assert found[1], "n is an alias"
    assert found[0].cards[0].source_version == "t"
    assert found[0].cards is found[0].cards, "parsed once"


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", '{"version":"t"}', json.dumps({**HEADER, "format": 2})],
)
def test_what_is_not_a_compiled_book_is_refused(text: str) -> None:
    with pytest.raises(PricingError):
        PriceBook.load(text)


def test_a_line_without_cards_is_refused() -> None:
    with pytest.raises(PricingError, match="no cards"):
        Catalog(json.dumps(HEADER) + '\n{"provider":"p","model":"m"}')


def test_an_unknown_usage_kind_is_refused() -> None:
    found = catalog({"id": "x", "prices": {"input_smells": "1"}, "source": "overlay"}).find(
        "p", "m"
    )
    assert found is not None
    with pytest.raises(PricingError, match="input_smells"):
        _ = found[0].cards


def test_names_of_unknown_providers() -> None:
    book = book_of([{"provider": "p", "model": "m", "cards": [{"prices": {"input_tokens": "1"}}]}])
    assert book.providers() == ("p",)
    assert book.resolve_series("q", "m") is None


def test_every_card_of_the_packaged_book_is_whole() -> None:
    ids: set[str] = set()
    for entry in packaged().models():
        assert entry.cards
        for card in entry.cards:
            assert card.prices, entry.model
            assert card.id not in ids
            ids.add(card.id)
            assert card.source
            assert all(price.price >= 0 and price.per > 0 for price in card.prices.values())
            assert (
                card.valid_from is None or card.valid_to is None or card.valid_from < card.valid_to
            )


def test_plain_cards_of_one_context_never_overlap() -> None:
    far = datetime(9999, 1, 1, tzinfo=UTC)
    first = datetime(1, 1, 1, tzinfo=UTC)
    for entry in packaged().models():
        spans: dict[tuple[object, ...], list[tuple[datetime, datetime]]] = {}
        for card in entry.cards:
            if not card.windows:
                key = (card.region, card.service_tier, card.processing)
                spans.setdefault(key, []).append((card.valid_from or first, card.valid_to or far))
        for key, found in spans.items():
            ordered = sorted(found)
            for (_, end), (start, _) in pairwise(ordered):
                assert end <= start, f"{entry.provider}/{entry.model} {key}"


def test_the_packaged_book_is_light_to_load() -> None:
    data = resources.files("llm_cost_ops.core.pricing") / "data" / "book.jsonl"
    text = data.read_text(encoding="utf-8")
    tracemalloc.start()
    book = PriceBook.load(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000
    assert book.version


def test_the_header_of_the_packaged_book() -> None:
    book = packaged()
    assert set(book.sources) == {"genai-prices", "litellm"}
    assert book.age_days(book.built_at) == 0
    assert book.version == book.built_at.strftime("%Y.%m.%d")
    assert {"openai", "anthropic", "google", "azure", "aws", "cohere", "mistral"} <= set(
        book.providers()
    )
