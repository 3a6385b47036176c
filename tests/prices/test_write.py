"""The text of the compiled book."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

from llm_cost_ops.core.pricing.book import PriceBook
from tests.prices.made import HEADER, NOW, amounts, genai, model
from tools.prices.pricebuild.rows import GENAI, LITELLM, Card, Model, Price, by_key
from tools.prices.pricebuild.write import book_text


def written(*models: Model, via: dict[tuple[str, str], str] | None = None) -> str:
    return book_text(by_key(models), HEADER, via or {})


def test_the_written_book_is_readable_and_sorted() -> None:
    first = model("b", genai(input_tokens="2.50"), aliases=("a", "z"))
    second = model("a", genai(input_tokens="1"))
    text = written(first, second, via={("p", "b"): "maker"})
    heads = [json.loads(line) for line in text.splitlines()[1:]]
    assert [head["model"] for head in heads] == ["a", "b"]
    assert heads[1]["aliases"] == ["z"], "another model's id is nobody's alias"
    assert heads[1]["cards"][0]["prices"] == {"input_tokens": "2.5"}
    found = PriceBook.load(text).resolve("p", "z", at=NOW)
    assert found is not None
    assert found.rule == "provider_fallback"


def test_writing_is_deterministic_and_ids_depend_on_prices_only() -> None:
    def one(value: str, source: str) -> str:
        card = Card(amounts(input_tokens=value), source)
        return json.loads(written(model("m", card)).splitlines()[1])["cards"][0]["id"]

    assert one("1", GENAI) == one("1", LITELLM) == one("1.0", GENAI)
    assert one("1", GENAI) != one("2", GENAI)


def test_models_without_a_price_are_left_out() -> None:
    assert written(model("m", Card({}, GENAI))).count("\n") == 1


def test_the_source_names_kinds_from_elsewhere() -> None:
    card = genai(input_tokens="1")
    card.note = "backdated"
    card.checked_at = date(2026, 1, 1)
    card.supplement("web_searches", Price(Decimal(1), 1000), LITELLM)
    (line,) = written(model("m", card)).splitlines()[1:]
    entry = json.loads(line)["cards"][0]
    assert entry["source"] == "genai-prices, start extended by overlay; litellm for web_searches"
    assert entry["checked"] == "2026-01-01"
