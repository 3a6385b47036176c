"""Plans: inclusive counts taken apart, and splits whose overlap nobody reported."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.pricing.card import Adjustment, KindPrice, RateCard
from llm_cost_ops.core.pricing.rate import RatedUsage, rate
from llm_cost_ops.core.usage import ANCESTORS, KINDS, Quantity

MILLION = 1_000_000
INPUT_KINDS = tuple(k for k in KINDS if KINDS[k].get("direction") == "input" and "tokens" in k)
CELLS = tuple(kind for kind in INPUT_KINDS if "modality" in KINDS[kind])
AUDIO = {"input_tokens": 1000, "input_audio_tokens": 500, "cache_read_tokens": 800}


def card(inherits: frozenset[str] = frozenset(), **prices: int) -> RateCard:
    kinds = {kind: KindPrice(Decimal(price), MILLION) for kind, price in prices.items()}
    return RateCard("test", "openai", "m", kinds, inherits=inherits)


REALTIME = card(input_tokens=4, input_audio_tokens=32, cache_read_tokens=1, output_tokens=16)


def lines(rated: RatedUsage) -> dict[str, Quantity]:
    return {line.kind: line.quantity for line in rated.lines}


def test_splits_that_must_overlap_by_an_unreported_count_leave_the_rest_priced() -> None:
    rated = rate({**AUDIO, "output_tokens": 100}, REALTIME)
    assert rated.status == "partially_priced"
    assert rated.cost == Decimal("0.0016")
    assert lines(rated) == {"output_tokens": 100}
    assert set(rated.missing) == set(AUDIO)
    assert set(rated.warnings) == {
        f"{kind} overlaps with other reported kinds by a count that was not reported"
        for kind in AUDIO
    }


def test_nothing_but_an_unclear_split_is_unpriced_and_not_free() -> None:
    rated = rate(AUDIO, REALTIME)
    assert (rated.status, rated.cost) == ("unpriced", None)


def test_a_kind_without_a_price_says_so_even_inside_an_unclear_split() -> None:
    rated = rate(AUDIO, card(input_tokens=4, cache_read_tokens=1))
    assert "no price for input_audio_tokens" in rated.warnings
    assert len(rated.warnings) == 3


@pytest.mark.parametrize(
    ("audio", "cached", "priced"), [(200, 800, True), (201, 800, False), (200, 801, False)]
)
def test_splits_that_can_be_apart_are_taken_as_apart(audio: int, cached: int, priced: bool) -> None:
    usage = {"input_tokens": 1000, "input_audio_tokens": audio, "cache_read_tokens": cached}
    assert (rate(usage, REALTIME).status == "priced") is priced


def test_the_reported_count_of_what_two_splits_share_settles_it() -> None:
    meet = card(
        input_tokens=4, input_audio_tokens=32, cache_read_tokens=1, cache_audio_read_tokens=2
    )
    rated = rate({**AUDIO, "cache_audio_read_tokens": 400}, meet)
    assert lines(rated) == {
        "input_tokens": 100,
        "input_audio_tokens": 100,
        "cache_read_tokens": 400,
        "cache_audio_read_tokens": 400,
    }
    assert rated.status == "priced"


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 10, "cache_read_tokens": 11},
        {"input_tokens": 10, "input_audio_tokens": 6, "input_image_tokens": 5},
        {"input_tokens": 10, "cache_read_tokens": 6, "cache_write_tokens": 5},
        # They overlap, and by less than they must.
        {**AUDIO, "cache_audio_read_tokens": 299},
        {**AUDIO, "cache_audio_read_tokens": 501},
        {
            **AUDIO,
            "input_image_tokens": 400,
            "cache_audio_read_tokens": 350,
            "cache_image_read_tokens": 300,
        },
    ],
)
def test_parts_above_their_whole_are_refused(usage: dict[str, Quantity]) -> None:
    with pytest.raises(UsageError):
        rate(usage, card(frozenset(), **dict.fromkeys(INPUT_KINDS, 1)))


def test_splits_above_a_reported_part_are_unclear_as_well() -> None:
    usage: dict[str, Quantity] = {
        "input_tokens": 1000,
        "cache_write_tokens": 100,
        "cache_write_1h_tokens": 80,
        "cache_audio_write_tokens": 50,
    }
    prices = card(
        input_tokens=1, cache_write_tokens=2, cache_write_1h_tokens=3, cache_audio_write_tokens=4
    )
    rated = rate(usage, prices)
    assert lines(rated) == {"input_tokens": 900}
    assert set(rated.missing) == usage.keys() - {"input_tokens"}


def test_a_whole_that_was_not_counted_is_at_least_its_parts_together() -> None:
    usage: dict[str, Quantity] = {"input_audio_tokens": 500, "cache_read_tokens": 800}
    rated = rate(usage, REALTIME)
    assert rated.status == "priced"
    assert lines(rated) == usage
    shared: dict[str, Quantity] = {**usage, "cache_audio_read_tokens": 300}
    prices = card(
        input_tokens=4, input_audio_tokens=32, cache_read_tokens=1, cache_audio_read_tokens=2
    )
    assert lines(rate(shared, prices)) == {
        "input_audio_tokens": 200,
        "cache_read_tokens": 500,
        "cache_audio_read_tokens": 300,
    }


def test_what_two_priced_kinds_share_is_billed_once() -> None:
    usage: dict[str, Quantity] = {
        "output_tokens": 100,
        "output_video_tokens": 60,
        "output_reasoning_tokens": 50,
        "output_video_reasoning_tokens": 30,
    }
    rated = rate(usage, card(output_tokens=1, output_video_tokens=10, output_reasoning_tokens=5))
    assert rated.status == "priced"
    assert lines(rated) == {
        "output_tokens": 20,
        "output_video_tokens": 60,
        "output_reasoning_tokens": 20,
    }


def test_contract_discounts_of_a_structure_leave_its_list_cost() -> None:
    discount = Adjustment("d", "negotiated", Decimal("0.5"), None, "contract")
    residency = Adjustment("r", "residency", Decimal("1.1"), None, "list")
    formula = {"type": "formula", "expression": "input_tokens * 0.001"}
    whole = RateCard("f", "custom", "m", {}, structure=formula)
    rated = rate({"input_tokens": 1000}, whole, (residency, discount))
    assert (rated.list_cost, rated.cost) == (Decimal("1.1"), Decimal("0.55"))
    listed = rate({"input_tokens": 1000}, whole, (residency,))
    assert (listed.list_cost, listed.cost) == (Decimal("1.1"), Decimal("1.1"))


def inclusive(truth: dict[str, int]) -> dict[str, int]:
    """Every kind's count from disjoint tokens per cell."""
    return {
        kind: sum(n for cell, n in truth.items() if cell == kind or kind in ANCESTORS[cell])
        for kind in INPUT_KINDS
    }


truths = st.dictionaries(st.sampled_from(CELLS), st.integers(1, 1000), max_size=8)


@given(
    truths, st.sets(st.sampled_from(INPUT_KINDS), min_size=1), st.sets(st.sampled_from(INPUT_KINDS))
)
def test_no_report_of_a_possible_call_is_refused(
    truth: dict[str, int], reported: set[str], priced: set[str]
) -> None:
    counts = inclusive(truth)
    usage: dict[str, Quantity] = {kind: counts[kind] for kind in sorted(reported) if counts[kind]}
    rated = rate(usage, card(frozenset(), **dict.fromkeys(sorted(priced), 1)))
    billed = sum(line.quantity for line in rated.lines)
    if rated.cost is not None:
        assert rated.cost * MILLION == billed
    if "input_tokens" in usage:
        assert billed <= usage["input_tokens"]


@given(truths)
def test_a_whole_report_is_billed_cell_by_cell(truth: dict[str, int]) -> None:
    prices = {kind: place + 1 for place, kind in enumerate(INPUT_KINDS)}
    usage: dict[str, Quantity] = {kind: n for kind, n in inclusive(truth).items() if n}
    rated = rate(usage, card(frozenset(), **prices))
    due = sum(n * prices[cell] for cell, n in truth.items())
    assert rated.status == "priced"
    assert rated.cost is not None
    assert rated.cost * MILLION == due
