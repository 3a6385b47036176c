"""Upper bounds: no call of so many tokens costs more, and a call of the dearest kind costs it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.bound import TEXT, Planned, upper_bound
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard, Tier
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.pricing.structures import (
    dearest_volumes,
    parse_structure,
    structure_cost,
)

MILLION = 1_000_000
BOOK = PriceBook.packaged()
AT = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-flash")]


def card(**prices: Any) -> CompiledRate:
    kinds = {
        kind: price if isinstance(price, KindPrice) else KindPrice(Decimal(price), MILLION)
        for kind, price in prices.items()
    }
    return CompiledRate(RateCard("c", "p", "m", kinds))


def of_book(provider: str, model: str) -> CompiledRate:
    found = BOOK.resolve(provider, model, at=AT)
    assert found is not None
    return CompiledRate(found.card, found.adjustments)


def structured(**structure: Any) -> CompiledRate:
    prices, kept = parse_structure(structure)
    halved = Adjustment("half", "half", Decimal("0.5"), None, "contract")
    return CompiledRate(RateCard("c", "p", "m", prices, structure=kept), [halved])


def test_each_side_is_taken_at_its_dearest_kind() -> None:
    found = card(input_tokens=3, cache_read_tokens="0.3", cache_write_tokens="3.75",
                 cache_write_1h_tokens=6, output_tokens=15)  # fmt: skip
    bound = 1000 * 6 + 500 * 15
    assert upper_bound(found, Planned(1000, 500)) == bound * 10_000
    assert upper_bound(found, Planned(1000, 500, cache="5m")) == (3750 + 7500) * 10_000
    assert upper_bound(found, Planned(1000, 500, cache="none")) == (3000 + 7500) * 10_000


def test_modalities_that_are_ruled_out_do_not_count() -> None:
    found = card(input_tokens="0.3", input_audio_tokens=1, output_tokens="2.5")
    assert upper_bound(found, Planned(1000, 0)) == 10_000_000
    assert upper_bound(found, Planned(1000, 0, TEXT)) == 3_000_000
    assert upper_bound(found, Planned(1000, 0, frozenset({"text", "audio"}))) == 10_000_000


@pytest.mark.parametrize(("tokens", "price"), [(200, 2), (201, 5)])
def test_tiers_are_those_that_the_input_can_reach(tokens: int, price: int) -> None:
    tiered = KindPrice(Decimal(2), MILLION, (Tier(200, Decimal(5)),))
    found = card(input_tokens=tiered, output_tokens=1)
    assert upper_bound(found, Planned(tokens, 0)) == tokens * price * 10_000


def test_a_cheaper_tier_bounds_no_call_that_stays_below_it() -> None:
    cheaper = KindPrice(Decimal(5), MILLION, (Tier(200, Decimal(2)),))
    assert upper_bound(card(input_tokens=cheaper), Planned(300, 0)) == 300 * 5 * 10_000


def test_requests_cost_beside_tokens_and_units_are_rounded_up() -> None:
    found = card(input_tokens="0.00001", output_tokens=0, requests=KindPrice(Decimal("0.01"), 1))
    assert upper_bound(found, Planned(1, 1)) == 100_000_001


def test_without_a_price_for_what_is_planned_there_is_no_bound() -> None:
    only_input = card(input_tokens=1)
    assert upper_bound(only_input, Planned(10, 1)) is None
    assert upper_bound(only_input, Planned(10, 0)) == 100_000


def test_structures_are_taken_at_their_dearest_volume() -> None:
    per_request = structured(
        type="per_request", price_per_request="1", included_requests=10,
        overage_price_per_request="3",
    )  # fmt: skip
    assert upper_bound(per_request, Planned(5, 5)) == 3 * 10**10 // 2
    tiers = [{"up_to": 100, "price_per_million": 1}, {"up_to": 200, "price_per_million": 9},
             {"up_to": None, "price_per_million": 2}]  # fmt: skip
    volume = structured(type="tiered", mode="volume", tiers=tiers)
    assert upper_bound(volume, Planned(50, 50)) == 100 * 9 * 10_000 // 2
    formula = structured(type="formula", expression="input_tokens * 2 + output_tokens")
    assert upper_bound(formula, Planned(3, 4)) == 10 * 10**10 // 2


PRICES = st.integers(0, 5)


@st.composite
def volume_prices(draw: st.DrawFn) -> CompiledRate:
    bounds: list[int | None] = [*sorted(draw(st.sets(st.integers(1, 9), max_size=3))), None]
    tiers = [
        {"up_to": bound, "input_price_per_million": draw(PRICES),
         "output_price_per_million": draw(PRICES)}
        for bound in bounds
    ]  # fmt: skip
    return structured(type="tiered", mode=draw(st.sampled_from(["graduated", "volume"])),
                      tiers=tiers)  # fmt: skip


@given(volume_prices(), st.integers(0, 4), st.integers(0, 4))
def test_of_all_volumes_and_calls_the_bound_is_the_dearest(
    compiled: CompiledRate, most_in: int, most_out: int
) -> None:
    structure = compiled.card.structure or {}
    most = max(
        structure_cost(structure, {"input_tokens": used_in, "output_tokens": used_out}, volume)
        for volume in range(11)
        for used_in in range(most_in + 1)
        for used_out in range(most_out + 1)
    )
    assert upper_bound(compiled, Planned(most_in, most_out)) == most / 2 * 10**10
    known = {"input_tokens": most_in, "output_tokens": most_out}
    dearest = dearest_volumes(structure, most_in, most_out)
    assert max(structure_cost(structure, known, volume) for volume in dearest) == max(
        structure_cost(structure, known, volume) for volume in range(11)
    )


def test_a_formula_counts_each_kind_that_the_call_can_be_of() -> None:
    formula = structured(type="formula", expression="cache_write_1h_tokens + input_audio_tokens")
    assert upper_bound(formula, Planned(3, 4)) == 6 * 10**10 // 2
    assert upper_bound(formula, Planned(3, 4, TEXT)) == 3 * 10**10 // 2
    assert upper_bound(formula, Planned(3, 4, TEXT, "5m")) == 0


def test_a_formula_that_falls_again_is_bounded_and_one_that_can_divide_by_nothing_is_not() -> None:
    hill = structured(type="formula", expression="input_tokens * (1000 - input_tokens) * 0.001")
    assert upper_bound(hill, Planned(1000, 0)) == 1000 * 10**10 // 2
    falls = structured(type="formula", expression="100 / input_tokens")
    assert upper_bound(falls, Planned(1000, 1)) is None


@given(
    st.sampled_from(MODELS),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_no_call_of_the_book_costs_more(
    model: tuple[str, str], input_tokens: int, output_tokens: int, a: float, b: float, c: float
) -> None:
    compiled = of_book(*model)
    bound = upper_bound(compiled, Planned(input_tokens, output_tokens))
    used_in, used_out = int(input_tokens * a), int(output_tokens * b)
    written = int(used_in * c) if "cache_write_tokens" in compiled.card.prices else 0
    usage = {"input_tokens": used_in, "output_tokens": used_out, "cache_write_1h_tokens": written,
             "cache_write_tokens": written}  # fmt: skip
    _, cost, _ = compiled.cost({kind: count for kind, count in usage.items() if count})
    assert bound is not None
    assert (cost or 0) <= bound
