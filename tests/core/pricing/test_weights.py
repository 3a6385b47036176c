"""Weighted sums: whatever the card and the counts, they cost what the plan says, or they pass."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard, Tier
from llm_cost_ops.core.pricing.plan import make_plan
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.pricing.weights import (
    USUAL_KINDS,
    UsualWeights,
    Weights,
    usual_weights,
    weights_of,
)
from llm_cost_ops.core.usage import KINDS, Quantity

MILLION = 1_000_000
COMMON = (
    *USUAL_KINDS,
    "input_audio_tokens",
    "cache_audio_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_audio_tokens",
    "input_text_tokens",
    "input_tool_tokens",
    "audio_seconds",
    "input_audio_seconds",
    "web_searches",
    "requests",
)


class ByPlan(CompiledRate):
    """Rates by the plan alone."""

    def _weigh(self, kinds: tuple[str, ...]) -> tuple[Weights | None, ...]:
        return (None,) * len(self._effective)


prices = st.decimals(0, 100, places=7, allow_nan=False)
tiers = st.lists(
    st.builds(Tier, st.integers(1, 500), prices, st.booleans()),
    max_size=2,
    unique_by=lambda tier: tier.above_input_tokens,
).map(lambda found: tuple(sorted(found, key=lambda tier: tier.above_input_tokens)))
kind_prices = st.builds(KindPrice, prices, st.sampled_from((1, 1000, MILLION, 3600)), tiers)
adjustments = st.lists(
    st.builds(
        Adjustment,
        st.just("a"),
        st.just("a"),
        st.decimals("0.1", 2, places=2),
        st.none() | st.frozensets(st.sampled_from(COMMON)),
        st.sampled_from(("list", "contract")),
    ),
    max_size=2,
)
cards = st.builds(
    lambda prices, inherits, minimums: RateCard(
        "c", "p", "m", prices, inherits=inherits, minimums=minimums
    ),
    st.dictionaries(st.sampled_from(COMMON), kind_prices, max_size=6),
    st.frozensets(st.sampled_from(COMMON), max_size=2),
    st.dictionaries(st.sampled_from(COMMON), st.decimals(1, 90, places=1), max_size=1),
)
chat_cards = st.builds(
    lambda whole, parts: RateCard("c", "p", "m", {**whole, **parts}),
    st.fixed_dictionaries({"input_tokens": kind_prices, "output_tokens": kind_prices}),
    st.dictionaries(st.sampled_from(USUAL_KINDS[2:]), kind_prices),
)
"""Cards as most models have them: drawn freely, few price both the input and the output."""
usages = st.dictionaries(st.sampled_from(COMMON), st.integers(1, 1000), max_size=6)


def outcome(compiled: CompiledRate, usage: dict[str, Quantity]) -> object:
    try:
        return compiled.cost(usage)
    except UsageError as error:
        return str(error)


@settings(max_examples=500)
@given(cards | chat_cards, adjustments, usages)
def test_weights_cost_what_the_plan_costs(
    card: RateCard, adjusted: list[Adjustment], usage: dict[str, Quantity]
) -> None:
    assert outcome(CompiledRate(card, adjusted), usage) == outcome(ByPlan(card, adjusted), usage)


@settings(max_examples=500)
@given(cards | chat_cards, adjustments, st.tuples(*[st.integers(0, 400) for _ in USUAL_KINDS]))
def test_the_usual_kinds_cost_what_the_plan_costs(
    card: RateCard, adjusted: list[Adjustment], counts: tuple[int, int, int, int, int]
) -> None:
    extra, answered, read, written, reasoning = counts
    whole = (extra + read + written, answered + reasoning, read, written, reasoning)
    usage: dict[str, Quantity] = {k: n for k, n in zip(USUAL_KINDS, whole, strict=True) if n}
    assert CompiledRate(card, adjusted).usual_cost(*whole) == ByPlan(card, adjusted).cost(usage)[:2]


def weighed(card: RateCard, *kinds: str) -> Weights | None:
    units = {kind: int(price.price) for kind, price in card.prices.items()}
    return weights_of(make_plan(kinds, card), kinds, units)


def card(*inherits: str, **units: int) -> RateCard:
    found = {kind: KindPrice(Decimal(price), 1) for kind, price in units.items()}
    return RateCard("c", "p", "m", found, inherits=frozenset(inherits))


def test_a_cached_token_weighs_what_it_costs_less_than_the_input_it_is_part_of() -> None:
    found = weighed(card(input_tokens=5, cache_read_tokens=2), "input_tokens", "cache_read_tokens")
    assert found is not None
    assert found == Weights(0, (5, -3), ((1, -1),), ())
    assert (found.cost((10, 4)), found.cost((3, 4))) == (38, None)


def test_a_count_without_a_price_weighs_nothing_and_must_be_absent() -> None:
    found = weighed(card(input_tokens=5), "input_tokens", "output_tokens")
    assert found is not None
    assert found == Weights(0, (5, 0), (), ((0, 1),))
    assert (found.cost((10, 0)), found.cost((10, 1))) == (50, None)


def test_a_price_per_call_is_fixed_unless_calls_are_counted() -> None:
    priced = card(input_tokens=5, requests=7)
    assert weighed(priced, "input_tokens") == Weights(7, (5,), (), ())
    assert weighed(priced, "input_tokens", "requests") == Weights(0, (5, 7), (), ())
    assert weighed(priced) == Weights(7, (), (), ())


def test_a_whole_that_was_not_counted_is_the_sum_of_one_split_of_it() -> None:
    priced = card("input_audio_tokens", "input_image_tokens", input_tokens=5)
    split = weighed(priced, "input_audio_tokens", "input_image_tokens")
    assert split == Weights(0, (5, 5), (), ())
    assert weighed(priced, "input_audio_tokens", "cache_read_tokens") is None


@pytest.mark.parametrize("kind", sorted(k for k in KINDS if KINDS[k]["family"] == "durations"))
def test_seconds_may_be_fractions_and_are_left_to_the_plan(kind: str) -> None:
    assert weighed(card(**{kind: 1}), kind) is None


def test_a_minimum_is_left_to_the_plan() -> None:
    prices = {"web_searches": KindPrice(Decimal(1), 1)}
    groq = RateCard("c", "p", "m", prices, minimums={"web_searches": Decimal(5)})
    assert weighed(groq, "web_searches") is None
    assert weighed(groq, "input_tokens") == Weights(0, (0,), (), ((1,),))


def test_without_a_price_for_input_or_output_there_are_no_usual_weights() -> None:
    whole = card(input_tokens=5, output_tokens=9, cache_write_tokens=6)
    found = usual_weights(weighed(whole, *USUAL_KINDS))
    assert found is not None
    assert found == (0, 5, 9, None, 1, 0)
    assert usual_weights(weighed(card(input_tokens=5), *USUAL_KINDS)) is None
    assert usual_weights(weighed(card(output_tokens=5), *USUAL_KINDS)) is None
    assert usual_weights(None) is None


def test_counts_that_hold_only_for_other_reasons_than_the_usual_are_no_usual_weights() -> None:
    odd = Weights(0, (1, 1, 1, 1, 1), ((1, -1, 0, 0, 0),), ())
    assert usual_weights(odd) is None


def test_the_usual_cost_is_the_cost_whether_or_not_it_is_a_plain_sum() -> None:
    compiled = CompiledRate(card(input_tokens=5, output_tokens=9, cache_read_tokens=2))
    assert compiled.usual_cost(10, 3, 4, 0, 1) == ("priced", (6 * 5 + 4 * 2 + 3 * 9) * 10**10)
    assert compiled.usual_cost(10, 3, 0, 4, 0) == ("partially_priced", (6 * 5 + 3 * 9) * 10**10)


def test_a_structure_has_no_weights() -> None:
    flat = {"type": "per_request", "price_per_request": Decimal("0.25")}
    compiled = CompiledRate(RateCard("c", "p", "m", {}, structure=flat))
    assert compiled.usual_cost(1, 1, 0, 0, 0) == ("priced", 2_500_000_000)


PARTS = UsualWeights(7, 1, 10, 100, 1_000, 10_000)


@pytest.mark.parametrize(
    ("counts", "units"),
    [
        ((0, 0, 0, 0, 0), 7),
        ((1, 2, 0, 0, 0), 28),
        ((0, 0, 3, 0, 0), 307),
        ((0, 0, 0, 4, 0), 4_007),
        ((0, 0, 0, 0, 5), 50_007),
        ((1, 1, 1, 1, 1), 11_118),
    ],
)
def test_each_count_has_its_weight(counts: tuple[int, int, int, int, int], units: int) -> None:
    assert PARTS.cost(*counts) == units


@pytest.mark.parametrize(
    ("partial", "counts"),
    [
        (PARTS._replace(cache_read=None), (9, 9, 1, 0, 0)),
        (PARTS._replace(cache_write=None), (9, 9, 0, 1, 0)),
        (PARTS._replace(reasoning=None), (9, 9, 0, 0, 1)),
    ],
)
def test_a_count_without_a_weight_has_no_cost(
    partial: UsualWeights, counts: tuple[int, int, int, int, int]
) -> None:
    assert partial.cost(*counts) is None
    assert partial.cost(1, 0, 0, 0, 0) == 8
