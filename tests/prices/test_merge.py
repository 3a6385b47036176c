"""The merge of genai-prices and LiteLLM."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.prices.made import NOW, amounts, genai, lite, model, row
from tools.prices.pricebuild.litellm import Row
from tools.prices.pricebuild.merge import Merge
from tools.prices.pricebuild.rows import GENAI, LITELLM, Card, Catalogue, Model, Price, by_key


def merged(models: list[Model], rows: list[Row], found: dict[str, str] | None = None) -> Catalogue:
    return merger(models, found).add(rows)


def merger(models: list[Model], found: dict[str, str] | None = None, flat: bool = False) -> Merge:
    return Merge(by_key(models), NOW, lambda _p, name: (found or {}).get(name), lambda _p, _m: flat)


def test_a_row_supplements_kinds_and_contexts() -> None:
    catalogue = merged(
        [model("m", genai(input_tokens="2"))],
        [row("m", lite(input_tokens="2", web_searches="1"), lite("flex", input_tokens="1"))],
    )
    standard, flex = catalogue[("p", "m")].cards
    assert (standard.source, standard.kind_sources) == (GENAI, {"web_searches": LITELLM})
    assert (flex.tier, flex.source) == ("flex", LITELLM)


def test_a_cache_price_that_repeats_the_input_price_repeats_the_kept_one() -> None:
    rounded = lite(input_tokens="0.15001", cache_read_tokens="0.15001", cache_write_tokens="0.2")
    (card,) = merged([model("m", genai(input_tokens="0.15"))], [row("m", rounded)])[
        ("p", "m")
    ].cards
    assert {kind: str(price.price) for kind, price in card.prices.items()} == {
        "input_tokens": "0.15", "cache_read_tokens": "0.15", "cache_write_tokens": "0.2",
    }  # fmt: skip
    (only,) = merged([model("m", genai(output_tokens="1"))], [row("m", rounded)])[("p", "m")].cards
    assert only.prices["cache_read_tokens"].price == Decimal("0.15001")


def test_a_new_context_begins_with_the_standard_price_it_belongs_to() -> None:
    old, new = genai(input_tokens="4"), genai(input_tokens="2")
    cut = datetime(2026, 8, 21, tzinfo=UTC)
    spans = [old.span(None, cut), new.span(cut, None)]
    catalogue = merged(
        [model("m", *spans)], [row("m", lite(input_tokens="2"), lite("flex", input_tokens="1"))]
    )
    assert catalogue[("p", "m")].cards[-1].valid_from == cut


def test_a_row_with_other_prices_loses_and_is_reported() -> None:
    merge = merger([model("m", genai(input_tokens="2"))])
    catalogue = merge.add([row("m", lite(input_tokens="3", web_searches="1"))])
    assert catalogue[("p", "m")].cards[0].prices == amounts(input_tokens="2")
    assert merge.report.conflicts == ["p/m: input_tokens 3, kept 2"]


def test_a_name_that_their_matching_knows_joins_when_the_prices_agree() -> None:
    models = [model("m", genai(input_tokens="2"))]
    same = merged(models, [row("m-x", lite(input_tokens="2"))], {"m-x": "m"})
    assert same[("p", "m")].aliases == {"m-x"}
    models = [model("m", genai(input_tokens="2"))]
    other = merged(models, [row("m-x", lite(input_tokens="3"))], {"m-x": "m"})
    assert ("p", "m-x") in other


def test_a_name_alone_that_their_matching_knows_does_not_join_without_a_common_price() -> None:
    catalogue = merged(
        [model("m", genai(input_tokens="2"))], [row("m-x", lite(output_images="1"))], {"m-x": "m"}
    )
    assert ("p", "m-x") in catalogue
    assert catalogue[("p", "m")].aliases == set()


def test_a_fine_tune_is_never_a_name_of_its_base() -> None:
    catalogue = merged(
        [model("m", genai(input_tokens="2"))], [row("ft:m", lite(input_tokens="2"))], {"ft:m": "m"}
    )
    assert ("p", "ft:m") in catalogue


def test_the_rounding_of_a_float_is_no_disagreement() -> None:
    hourly = {"audio_seconds": Price(Decimal("0.111"), 3600)}
    rounded = {"audio_seconds": Price(Decimal("0.11100000000001"), 3600)}
    merge = merger([model("m", Card(hourly, GENAI))])
    merge.add([row("m", Card(rounded, LITELLM))])
    assert merge.report.conflicts == []


@pytest.mark.parametrize(("flat", "tiers"), [(False, ((10, Decimal(9), False),)), (True, ())])
def test_tiers_are_taken_over_an_equal_base_price(flat: bool, tiers: object) -> None:
    tiered = {"input_tokens": Price(Decimal(2), 1_000_000, ((10, Decimal(9), False),))}
    merge = merger([model("m", genai(input_tokens="2"))], flat=flat)
    catalogue = merge.add([row("m", Card(tiered, LITELLM))])
    assert catalogue[("p", "m")].cards[0].prices["input_tokens"].tiers == tiers


def test_a_second_meter_and_a_repeated_reasoning_price_are_not_added() -> None:
    extra = lite(
        input_tokens="2", output_tokens="4", output_reasoning_tokens="4", audio_seconds="1"
    )
    catalogue = merged([model("m", genai(input_tokens="2", output_tokens="4"))], [row("m", extra)])
    assert catalogue[("p", "m")].cards[0].prices.keys() == {"input_tokens", "output_tokens"}


def test_a_reasoning_price_of_its_own_is_added() -> None:
    extra = lite(input_tokens="2", output_tokens="4", output_reasoning_tokens="3")
    catalogue = merged([model("m", genai(input_tokens="2", output_tokens="4"))], [row("m", extra)])
    assert "output_reasoning_tokens" in catalogue[("p", "m")].cards[0].prices


def test_regional_rows_become_cards_of_the_model() -> None:
    rows = [
        row("m", lite(region="eu", input_tokens="3"), region="eu"),
        row("only", lite(region="eu", input_tokens="3"), region="eu"),
    ]
    catalogue = merged([model("m", genai(input_tokens="2"))], rows)
    assert [card.region for card in catalogue[("p", "m")].cards] == [None, "eu"]
    assert [card.region for card in catalogue[("p", "only")].cards] == ["eu"]


def test_a_bedrock_version_does_not_make_another_model() -> None:
    merge = merger([model("a.m", genai(input_tokens="2"), provider="aws")])
    catalogue = merge.add([row("a.m-v1:0", lite(input_tokens="3"), provider="aws")])
    assert list(catalogue) == [("aws", "a.m")]


def test_a_geo_profile_with_a_row_of_its_own_is_a_model() -> None:
    merge = merger([model("a.m", genai(input_tokens="2"), provider="aws")])
    catalogue = merge.add([row("us.a.m", lite(input_tokens="3"), provider="aws")])
    assert ("aws", "us.a.m") in catalogue


def test_two_models_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        by_key([model("m"), model("M")])
