"""genai-prices models as dated cards, one set per price context."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tools.prices.pricebuild.genai import model_of
from tools.prices.pricebuild.genai_names import names_of
from tools.prices.pricebuild.rows import TIME_OF_DAY, Card, Price


def clause(kind: str, **fields: Any) -> Any:
    return type(f"Clause{kind}", (SimpleNamespace,), {})(**fields)


def prices(**given: Any) -> SimpleNamespace:
    return SimpleNamespace(**{k: Decimal(v) if isinstance(v, str) else v for k, v in given.items()})


def since(day: str) -> SimpleNamespace:
    return SimpleNamespace(start_date=date.fromisoformat(day))


def entry(found: SimpleNamespace, start: Any = None) -> SimpleNamespace:
    return SimpleNamespace(constraint=start, prices=found)


def variant(when: dict[str, str], found: SimpleNamespace, start: Any = None) -> SimpleNamespace:
    return SimpleNamespace(when=when, prices=found, constraint=start)


def cards(given: Any, *variants: Any) -> list[Card]:
    source = SimpleNamespace(
        id="m", match=clause("Equals", equals="m"), prices=given, price_variants=list(variants)
    )
    return model_of("p", source).cards


def day(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), datetime.min.time(), tzinfo=UTC)


def test_units_of_price_keys() -> None:
    (card,) = cards(
        prices(
            input_mtok="2", cache_write_1h_mtok="4", audio_hours="0.36", input_mchars="15",
            web_searches_kcount="10", input_document_kpages="4", requests_kcount=None,
        )
    )  # fmt: skip
    assert card.prices == {
        "input_tokens": Price(Decimal(2), 1_000_000),
        "cache_write_1h_tokens": Price(Decimal(4), 1_000_000),
        "audio_seconds": Price(Decimal("0.36"), 3600),
        "input_characters": Price(Decimal(15), 1_000_000),
        "web_searches": Price(Decimal(10), 1000),
        "input_document_pages": Price(Decimal(4), 1000),
    }


def test_an_unknown_price_key_is_refused() -> None:
    with pytest.raises(ValueError, match="input_smells"):
        cards(prices(input_smells="1"))


@pytest.mark.parametrize(
    ("start", "expected"), [(200_000, (200_000, False)), (199_999, (200_000, True))]
)
def test_tier_starts(start: int, expected: tuple[int, bool]) -> None:
    tiers = [SimpleNamespace(start=start, price=Decimal(2))]
    (card,) = cards(prices(input_mtok=SimpleNamespace(base=Decimal(1), tiers=tiers)))
    ((above, price, inclusive),) = card.prices["input_tokens"].tiers
    assert ((above, inclusive), price) == (expected, Decimal(2))


def test_dated_prices_become_spans() -> None:
    found = cards(
        [
            entry(prices(input_mtok="10")),
            entry(prices(input_mtok="2"), since("2025-06-10")),
            entry(prices(input_mtok="1"), since("2026-01-01")),
        ]
    )
    spans = [(c.valid_from, c.valid_to, c.prices["input_tokens"].price) for c in found]
    assert spans == [
        (None, day("2025-06-10"), 10),
        (day("2025-06-10"), day("2026-01-01"), 2),
        (day("2026-01-01"), None, 1),
    ]


def test_hours_without_dates_are_left_to_the_overlay() -> None:
    hours = SimpleNamespace(start_time="01:00", end_time="04:00")
    (card,) = cards([entry(prices(input_mtok="1")), entry(prices(input_mtok="2"), hours)])
    assert (card.prices, card.note) == ({}, TIME_OF_DAY)


BATCH = {"processing": "batch"}


def test_a_variant_is_laid_over_the_standard_price() -> None:
    found = cards(
        prices(input_mtok="2", cache_read_mtok="1"), variant(BATCH, prices(input_mtok="1"))
    )
    assert found[1].context == (None, "standard", "batch")
    assert {kind: p.price for kind, p in found[1].prices.items()} == {
        "input_tokens": 1,
        "cache_read_tokens": 1,
    }


def test_the_day_of_reading_is_not_the_start_of_a_variant() -> None:
    found = cards(
        [entry(prices(input_mtok="4")), entry(prices(input_mtok="2"), since("2026-08-21"))],
        variant(BATCH, prices(input_mtok="1"), since("2026-10-14")),
    )
    (batch,) = found[2:]
    assert (batch.valid_from, batch.valid_to) == (day("2026-08-21"), None)
    assert batch.note == "backdated"


def test_a_variant_follows_the_standard_price_into_the_future() -> None:
    found = cards(
        [entry(prices(input_mtok="2")), entry(prices(input_mtok="4"), since("2027-01-01"))],
        variant(BATCH, prices(input_mtok="2"), since("2027-01-01")),
        variant(BATCH, prices(input_mtok="1"), since("2026-10-14")),
    )
    spans = [(c.valid_from, c.valid_to, c.prices["input_tokens"].price) for c in found[2:]]
    assert spans == [(None, day("2027-01-01"), 1), (day("2027-01-01"), None, 2)]


@pytest.mark.parametrize(
    ("when", "context"),
    [
        ({"service_tier": "flex"}, (None, "flex", "realtime")),
        ({"speed": "fast"}, (None, "fast", "realtime")),
        ({"route": "mistral/eu"}, ("mistral/eu", "standard", "realtime")),
        ({"search_type": "fast"}, (None, "fast-search", "realtime")),
    ],
)
def test_contexts(when: dict[str, str], context: tuple[str | None, str, str]) -> None:
    found = cards(prices(input_mtok="2"), variant(when, prices(input_mtok="1")))
    assert found[1].context == context


@pytest.mark.parametrize("when", [{"service_tier": "default"}, {"search_type": "web"}])
def test_contexts_that_are_the_standard_one(when: dict[str, str]) -> None:
    assert len(cards(prices(input_mtok="2"), variant(when, prices()))) == 1


@pytest.mark.parametrize("when", [{"mood": "good"}, {"processing": "batch", "speed": "fast"}])
def test_unknown_contexts_are_refused(when: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="context"):
        cards(prices(input_mtok="2"), variant(when, prices(input_mtok="1")))


def names(match: Any, model: str = "m", provider: str = "p") -> set[str]:
    return names_of(provider, SimpleNamespace(id=model, match=match))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (clause("Equals", equals="GPT-X"), {"m", "gpt-x"}),
        (clause("StartsWith", starts_with="claude-sonnet-4-2025"), {"m", "claude-sonnet-4"}),
        (clause("StartsWith", starts_with="gpt-5-nano-"), {"m", "gpt-5-nano"}),
        (clause("Contains", contains="claude-opus-5@"), {"m", "claude-opus-5"}),
        (clause("EndsWith", ends_with="/us.kimi"), {"m", "us.kimi"}),
        (clause("Regex", regex="^x-\\d+$"), {"m"}),
        (
            clause(
                "And", and_=[clause("StartsWith", starts_with="g-"), clause("Regex", regex=".")]
            ),
            {"m", "g"},
        ),
        (
            clause(
                "And", and_=[clause("Contains", contains="a"), clause("Contains", contains="b")]
            ),
            {"m"},
        ),
        (
            clause("Or", or_=[clause("Equals", equals="a"), clause("Equals", equals="b")]),
            {"m", "a", "b"},
        ),
        (clause("StartsWith", starts_with="ft:gpt-4-0"), {"m"}),
    ],
)
def test_names(match: Any, expected: set[str]) -> None:
    assert names(match) == expected


def test_fine_tunes_listed_as_models_keep_their_name() -> None:
    assert names(clause("StartsWith", starts_with="ft:gpt-4o-2024-"), "ft:gpt-4o") == {"ft:gpt-4o"}


def test_an_unknown_clause_is_refused() -> None:
    with pytest.raises(ValueError, match="Feeling"):
        names(clause("Feeling"))


def test_older_claude_models_have_one_price_in_all_commercial_profiles() -> None:
    older = names(clause("Contains", contains="claude-3-haiku-20240307"), provider="aws")
    assert "eu.anthropic.claude-3-haiku-20240307" in older
    assert "us-gov.anthropic.claude-3-haiku-20240307" not in older
    newer = names(clause("Equals", equals="claude-opus-5"), provider="aws")
    assert newer == {"m", "claude-opus-5", "anthropic.claude-opus-5"}
