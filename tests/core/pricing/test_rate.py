"""Rating: disjoint quantities, tiers, adjustments, one rounding, and kinds without a price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.money import E10, MAX_AMOUNT_E10
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard, Tier
from llm_cost_ops.core.pricing.rate import CompiledRate, rate
from llm_cost_ops.core.usage import Quantity

MILLION = 1_000_000


def card(**prices: str | KindPrice) -> RateCard:
    """A card with prices per million unless given whole."""
    kinds = {
        kind: price if isinstance(price, KindPrice) else KindPrice(Decimal(price), MILLION)
        for kind, price in prices.items()
    }
    return RateCard("test", "openai", "m", kinds)


GPT_5 = card(input_tokens="1.25", cache_read_tokens="0.125", output_tokens="10")


def cost(usage: dict[str, Quantity], the_card: RateCard) -> Decimal | None:
    return rate(usage, the_card).cost


def test_cached_tokens_are_inside_the_prompt() -> None:
    usage: dict[str, Quantity] = {
        "input_tokens": 2006,
        "cache_read_tokens": 1920,
        "output_tokens": 300,
    }
    rated = rate(usage, GPT_5)
    assert rated.cost == Decimal("0.0033475")
    assert rated.status == "priced"
    assert {line.kind: line.quantity for line in rated.lines} == {
        "input_tokens": 86,
        "cache_read_tokens": 1920,
        "output_tokens": 300,
    }


def test_without_a_card_the_call_is_unpriced_and_not_free() -> None:
    rated = rate({"input_tokens": 1}, None)
    assert (rated.status, rated.cost, rated.list_cost) == ("unpriced", None, None)


@pytest.mark.parametrize(
    ("tokens", "inclusive", "price"),
    [(200_000, False, "1"), (200_001, False, "2"), (199_999, True, "1"), (200_000, True, "2")],
)
def test_a_tier_begins_above_its_threshold_or_at_it(
    tokens: int, inclusive: bool, price: str
) -> None:
    tiered = card(input_tokens=KindPrice(Decimal(1), 1, (Tier(200_000, Decimal(2), inclusive),)))
    assert cost({"input_tokens": tokens}, tiered) == tokens * Decimal(price)


def test_each_kind_has_its_own_threshold_and_the_input_selects_it() -> None:
    tiered = card(
        input_tokens=KindPrice(Decimal(1), MILLION, (Tier(10, Decimal(2)), Tier(20, Decimal(3)))),
        output_tokens=KindPrice(Decimal(10), MILLION, (Tier(15, Decimal(100)),)),
    )
    expected = {10: (1, 10), 11: (2, 10), 15: (2, 10), 16: (2, 100), 21: (3, 100)}
    for tokens, (price_in, price_out) in expected.items():
        total = Decimal(tokens * price_in + 5 * price_out) / MILLION
        assert cost({"input_tokens": tokens, "output_tokens": 5}, tiered) == total


def test_a_kind_without_a_price_is_named_and_its_tokens_are_not_billed_as_text() -> None:
    rated = rate({"input_tokens": 1000, "input_audio_tokens": 800}, card(input_tokens="2.5"))
    assert rated.status == "partially_priced"
    assert rated.missing == ("input_audio_tokens",)
    assert rated.cost == Decimal("0.0005")


def test_only_kinds_without_a_price_make_the_call_unpriced() -> None:
    rated = rate({"input_audio_tokens": 800}, card(input_tokens="2.5"))
    assert (rated.status, rated.cost, rated.missing) == ("unpriced", None, ("input_audio_tokens",))


@pytest.mark.parametrize(
    "kind",
    ["input_text_tokens", "cache_write_5m_tokens", "input_tool_tokens", "cache_text_write_tokens"],
)
def test_kinds_that_providers_bill_as_their_parent(kind: str) -> None:
    rated = rate({"input_tokens": 10, kind: 4}, card(input_tokens="1", cache_write_tokens="1"))
    assert rated.status == "priced"
    assert rated.cost == Decimal("0.00001")


def test_reasoning_is_billed_as_output_unless_it_has_a_price() -> None:
    usage: dict[str, Quantity] = {"output_tokens": 10, "output_reasoning_tokens": 4}
    assert cost(usage, card(output_tokens="1")) == Decimal("0.00001")
    priced = card(output_tokens="1", output_reasoning_tokens="3")
    assert cost(usage, priced) == Decimal("0.000018")


def test_one_hour_cache_writes_never_get_the_five_minute_price() -> None:
    usage: dict[str, Quantity] = {
        "input_tokens": 10,
        "cache_write_tokens": 4,
        "cache_write_1h_tokens": 4,
    }
    rated = rate(usage, card(input_tokens="1", cache_write_tokens="1.25"))
    assert rated.missing == ("cache_write_1h_tokens",)


def test_a_card_declares_what_its_provider_bills_like_the_parent() -> None:
    vision = replace(
        card(input_tokens="1", cache_read_tokens="0.1"), inherits=frozenset({"input_image_tokens"})
    )
    usage: dict[str, Quantity] = {
        "input_tokens": 10,
        "input_image_tokens": 6,
        "cache_read_tokens": 5,
        "cache_image_read_tokens": 3,
    }
    rated = rate(usage, vision)
    assert rated.status == "priced"
    assert rated.cost == Decimal("0.0000055")
    assert rate({"output_tokens": 1, "output_image_tokens": 1}, vision).status == "unpriced"


def test_parts_without_a_reported_total() -> None:
    usage: dict[str, Quantity] = {"input_text_tokens": 70, "input_image_tokens": 30}
    priced = card(input_tokens="5", input_image_tokens="10")
    assert cost(usage, priced) == Decimal("0.00065")


def test_a_total_that_only_parts_have_prices_for() -> None:
    parts = card(input_text_tokens="5", input_image_tokens="10")
    usage: dict[str, Quantity] = {
        "input_tokens": 100,
        "input_text_tokens": 70,
        "input_image_tokens": 30,
    }
    assert rate(usage, parts).status == "priced"
    unknown = rate({"input_tokens": 100}, parts)
    assert (unknown.status, unknown.missing) == ("unpriced", ("input_tokens",))


def test_a_price_per_request_counts_one_call_unless_told_otherwise() -> None:
    sonar = card(input_tokens="1", output_tokens="1", requests=KindPrice(Decimal(12), 1000))
    assert cost({"input_tokens": 100, "output_tokens": 500}, sonar) == Decimal("0.0126")
    assert cost({"input_tokens": 100, "requests": 3}, sonar) == Decimal("0.0361")


def test_a_minimum_quantity_per_call() -> None:
    whisper = replace(
        card(audio_seconds=KindPrice(Decimal("0.111"), 3600)),
        minimums={"audio_seconds": Decimal(10)},
    )
    assert cost({"audio_seconds": 3}, whisper) == Decimal("0.0003083333")
    assert cost({"audio_seconds": Decimal("36.5")}, whisper) == Decimal("0.0011254167")
    assert cost({"input_audio_seconds": 3}, whisper) == Decimal("0.0003083333")


def test_lines_keep_what_rounding_would_drop() -> None:
    rated = rate({"audio_seconds": Decimal("1.5")}, card(audio_seconds=KindPrice(Decimal(1), 3600)))
    (line,) = rated.lines
    assert line.amount == Decimal("0.00041666666666666667")
    assert (line.quantity, line.price, line.per) == (Decimal("1.5"), 1, 3600)


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 10, "cache_read_tokens": 11},
        {"input_tokens": 10, "input_audio_tokens": 7, "input_image_tokens": 4},
    ],
)
def test_impossible_counts_are_refused(usage: dict[str, Quantity]) -> None:
    with pytest.raises(UsageError):
        rate(usage, card(input_tokens="1", input_audio_tokens="2", cache_read_tokens="0.1"))


def test_a_cost_beyond_one_record_is_refused() -> None:
    dear = card(input_tokens=KindPrice(Decimal(1), 1))
    assert cost({"input_tokens": 100_000_000}, dear) == Decimal(100_000_000)
    with pytest.raises(UsageError):
        rate({"input_tokens": 100_000_001}, dear)


RESIDENCY = Adjustment("us", "US residency", Decimal("1.1"), None, "list")
DISCOUNT = Adjustment("d", "negotiated", Decimal("0.88"), None, "contract")
SEARCHES = Adjustment("s", "searches", Decimal("0.5"), frozenset({"web_searches"}), "contract")


def test_residency_is_list_price_and_a_discount_is_not() -> None:
    base = card(input_tokens="3", output_tokens="15", web_searches=KindPrice(Decimal(10), 1000))
    usage: dict[str, Quantity] = {"input_tokens": 1000, "output_tokens": 500, "web_searches": 3}
    assert rate(usage, base).cost == Decimal("0.0405")
    rated = rate(usage, base, (RESIDENCY, DISCOUNT, SEARCHES))
    tokens = Decimal("0.0105") * Decimal("1.1")
    assert rated.list_cost == tokens + Decimal("0.03")
    assert rated.cost == tokens * Decimal("0.88") + Decimal("0.015")
    assert rate(usage, base, (RESIDENCY,)).list_cost == rate(usage, base, (RESIDENCY,)).cost


def test_a_discount_on_everything() -> None:
    everything = frozenset({"input_tokens", "output_tokens", "web_searches"})
    percent = Adjustment("p", "12 % off", Decimal("0.88"), everything, "contract")
    base = card(input_tokens="3", output_tokens="15", web_searches=KindPrice(Decimal(10), 1000))
    usage: dict[str, Quantity] = {"input_tokens": 1000, "output_tokens": 500, "web_searches": 3}
    assert rate(usage, base, (percent,)).cost == Decimal("0.03564")


def test_structures_are_rated_with_their_adjustments() -> None:
    fixed = RateCard(
        "s", "custom", "m", {}, structure={"type": "per_request", "price_per_request": "0.02"}
    )
    assert rate({"input_tokens": 5}, fixed).cost == Decimal("0.02")
    discounted = rate({"requests": 2}, fixed, (DISCOUNT, SEARCHES))
    assert discounted.cost == Decimal("0.0352")
    (line,) = discounted.lines
    assert (line.kind, line.amount) == ("per_request", Decimal("0.0352"))


def test_plans_are_kept_only_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_cost_ops.core.pricing.rate._MAX_PLANS", 0)
    compiled = CompiledRate(GPT_5)
    assert compiled.cost({"input_tokens": 8})[1] == compiled.cost({"input_tokens": 8})[1] == 100_000


_prices = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False)
_tokens = st.integers(0, 10**7)


@given(_prices, _prices, _prices, _tokens, _tokens, _tokens)
def test_the_cost_is_the_exact_sum_rounded_once(
    price_in: Decimal, price_cache: Decimal, price_out: Decimal, plain: int, cached: int, out: int
) -> None:
    the_card = card(
        input_tokens=str(price_in), cache_read_tokens=str(price_cache), output_tokens=str(price_out)
    )
    usage: dict[str, Quantity] = {"input_tokens": plain + cached, "output_tokens": out}
    usage["cache_read_tokens"] = cached
    rated = rate(usage, the_card)
    exact = (
        Fraction(price_in) * plain + Fraction(price_cache) * cached + Fraction(price_out) * out
    ) / MILLION
    assert rated.cost_e10 is not None
    assert abs(rated.cost_e10 - exact * E10) <= Fraction(1, 2)
    assert sum((Fraction(line.amount) for line in rated.lines), Fraction(0)) == exact


@given(_tokens, _tokens, st.integers(0, 10**6))
def test_more_tokens_never_cost_less(tokens: int, out: int, more: int) -> None:
    before = rate({"input_tokens": tokens, "output_tokens": out}, GPT_5).cost_e10
    after = rate({"input_tokens": tokens + more, "output_tokens": out}, GPT_5).cost_e10
    assert before is not None
    assert after is not None
    assert 0 <= before <= after <= MAX_AMOUNT_E10


def test_list_cost_leaves_out_what_has_no_price() -> None:
    usage: dict[str, Quantity] = {"input_tokens": 10, "input_audio_tokens": 4}
    rated = rate(usage, card(input_tokens="1"), (DISCOUNT,))
    assert (rated.list_cost, rated.cost) == (Decimal("0.000006"), Decimal("0.00000528"))


def test_a_count_of_requests_needs_no_price() -> None:
    rated = rate({"input_tokens": 1_000_000, "requests": 7}, card(input_tokens="1"))
    assert (rated.status, rated.cost) == ("priced", Decimal(1))


def test_what_no_line_counts_does_not_overlap_with_the_lines() -> None:
    """Audio without a price inside an input that has one; a structure that prices calls whole."""
    usage: dict[str, Quantity] = {
        "input_tokens": 100,
        "input_audio_tokens": 30,
        "output_tokens": 7,
        "audio_seconds": Decimal("1.50"),
    }
    rated = CompiledRate(card(input_tokens="1", output_tokens="2"), ())
    assert [(line.kind, line.quantity) for line in rated.rate(usage).lines] == [
        ("input_tokens", 70),
        ("output_tokens", 7),
    ]
    assert dict(rated.itemized(usage).uncounted) == {
        "input_audio_tokens": 30,
        "audio_seconds": Decimal("1.5"),
    }
    structure = {"type": "per_request", "price_per_request": Decimal(1)}
    whole = CompiledRate(replace(card(), structure=structure), ())
    assert dict(whole.itemized({"input_tokens": 5}).uncounted) == {"input_tokens": 5}
