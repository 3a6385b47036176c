"""Root cause: the parts sum to the change, and each part is what its name says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.attribution import (
    DIMENSIONS,
    FACTORS,
    Attribution,
    AttributionError,
    Cell,
    attribute,
)

KINDS: tuple[str, ...] = ("input_tokens", "cache_read_tokens", "output_tokens", "web_searches")
counts = st.integers(0, 5_000_000)
amounts = st.integers(0, 10**14).map(lambda units: Decimal(units).scaleb(-10))
names = st.sampled_from(["a", "b", "c", None])


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    requests = draw(st.integers(0, 10_000))
    usage = draw(st.dictionaries(st.sampled_from(KINDS), counts))
    lines = draw(st.dictionaries(st.sampled_from(KINDS), amounts))
    cost = draw(st.sampled_from([sum(lines.values(), Decimal(0)), draw(amounts)]))
    return Cell(
        {name: draw(names) for name in DIMENSIONS},
        requests,
        cost,
        draw(st.integers(0, requests)),
        usage,
        lines,
        draw(st.sampled_from([True, True, True, False])),
    )


windows = st.lists(cells(), max_size=4)


def cell(model: str = "gpt-4o", **fields: Any) -> Cell:
    """100 calls at 2 per million input, 1 cached, 10 output, unless told otherwise."""
    dimensions = {"provider": "openai", "model": model, "project": fields.pop("project", "shop")}
    usage = fields.pop("usage", {})
    prices = fields.pop("prices", {})
    usage = {"input_tokens": 800_000, "cache_read_tokens": 200_000, "output_tokens": 50_000} | usage
    prices = {"input_tokens": "2", "cache_read_tokens": "1", "output_tokens": "10"} | prices
    lines = {kind: usage[kind] * Decimal(prices[kind]) / 1_000_000 for kind in usage}
    requests = fields.pop("requests", 100)
    cost = sum(lines.values(), Decimal(0))
    return Cell(dimensions, requests, cost, usage=usage, lines=lines, **fields)


def times(one: Cell, factor: int) -> Cell:
    return Cell(
        one.dimensions,
        one.requests * factor,
        one.cost * factor,
        one.retries * factor,
        {kind: quantity * factor for kind, quantity in one.usage.items()},
        {kind: amount * factor for kind, amount in one.lines.items()},
        one.priced,
    )


def parts(found: Attribution) -> dict[str, Decimal]:
    """The drivers that are not zero."""
    return {driver.name: driver.amount for driver in found.drivers if driver.amount}


def explained(before: Sequence[Cell], after: Sequence[Cell], **options: Any) -> Attribution:
    return attribute(before, after, **options)


class TestSums:
    @settings(max_examples=40)
    @given(windows, windows, st.fractions(Fraction(1, 50), 5))
    def test_everything_sums_to_the_change_exactly(
        self, before: list[Cell], after: list[Cell], share: Fraction
    ) -> None:
        found = attribute(before, after, baseline_share=share, top=2)
        assert found.change == found.actual - found.baseline
        assert sum(driver.amount for driver in found.drivers) == found.change
        for dimension in DIMENSIONS:
            changes = sum(member.change for member in found.members[dimension])
            assert changes + found.rest[dimension] == found.change
        assert found.actual == sum((c.cost for c in after if c.priced), Decimal(0))

    @settings(max_examples=40)
    @given(windows, windows)
    def test_swapped_windows_change_every_sign(self, before: list[Cell], after: list[Cell]) -> None:
        there, back = attribute(before, after), attribute(after, before)
        assert parts(there) == {name: -amount for name, amount in parts(back).items()}

    @settings(max_examples=40)
    @given(windows, windows, st.randoms())
    def test_the_order_of_the_cells_does_not_matter(
        self, before: list[Cell], after: list[Cell], random: Any
    ) -> None:
        shuffled = random.sample(before, len(before)), random.sample(after, len(after))
        assert attribute(*shuffled) == attribute(before, after)

    @settings(max_examples=40)
    @given(windows)
    def test_the_same_window_has_no_cause(self, window: list[Cell]) -> None:
        found = attribute(window, window)
        assert parts(found) == {}
        assert {driver.share for driver in found.drivers} == {None}

    @settings(max_examples=40)
    @given(windows, st.integers(2, 9))
    def test_more_of_the_same_is_volume(self, window: list[Cell], factor: int) -> None:
        counted = [one for one in window if one.requests > 0]
        found = attribute(counted, [times(one, factor) for one in counted])
        assert parts(found).keys() <= {"volume"}

    @settings(max_examples=40)
    @given(windows, st.integers(2, 9))
    def test_a_baseline_of_several_like_periods_is_brought_to_one(
        self, window: list[Cell], factor: int
    ) -> None:
        counted = [one for one in window if one.requests > 0]
        many = [times(one, factor) for one in counted]
        assert parts(attribute(many, counted, baseline_share=Fraction(1, factor))) == {}


class TestDrivers:
    def test_no_windows_at_all(self) -> None:
        found = explained([], [])
        assert found.change == 0
        assert {driver.name for driver in found.drivers} == set(FACTORS)

    def test_price(self) -> None:
        found = explained([cell()], [cell(prices={"input_tokens": "3"})])
        assert parts(found) == {"price": Decimal("0.8")}
        assert found.drivers[0].share == 1

    def test_tokens_per_call(self) -> None:
        doubled = {
            "input_tokens": 1_600_000,
            "cache_read_tokens": 400_000,
            "output_tokens": 100_000,
        }
        assert parts(explained([cell()], [cell(usage=doubled)])) == {
            "tokens_per_call": Decimal("2.3")
        }

    def test_cache_hits(self) -> None:
        missed = cell(usage={"input_tokens": 1_000_000, "cache_read_tokens": 0})
        assert parts(explained([cell()], [missed])) == {"cache": Decimal("0.2")}

    def test_retries(self) -> None:
        once = cell()
        often = times(once, 2)
        again = Cell(
            often.dimensions, 200, often.cost, retries=100, usage=often.usage, lines=often.lines
        )
        assert parts(explained([once], [again])) == {"retries": once.cost}

    def test_mix_between_models(self) -> None:
        cheap, dear = cell("mini"), cell("max", prices={"input_tokens": "20"})
        found = explained([times(cheap, 2)], [cheap, dear])
        assert parts(found) == {"mix": dear.cost - cheap.cost}

    def test_a_new_model_beside_the_old_is_mix_and_volume(self) -> None:
        found = parts(explained([cell()], [cell(), cell("new")]))
        assert found == {"volume": cell().cost}
        dearer = parts(explained([cell()], [cell(), cell("new", prices={"output_tokens": "20"})]))
        assert dearer.keys() == {"volume", "mix"}

    def test_all_usage_new_or_gone_is_volume(self) -> None:
        assert parts(explained([], [cell()])) == {"volume": cell().cost}
        assert parts(explained([cell()], [])) == {"volume": -cell().cost}

    def test_two_causes_share_what_they_did_together(self) -> None:
        dearer = times(cell(prices={"input_tokens": "4", "output_tokens": "20"}), 2)
        both = cell(usage={"cache_read_tokens": 0})
        twice = times(
            cell(
                usage={"cache_read_tokens": 0}, prices={"input_tokens": "4", "output_tokens": "20"}
            ),
            2,
        )
        assert dearer.cost > 0
        assert parts(explained([both], [twice])) == {
            "volume": both.cost * Decimal("1.5"),
            "price": both.cost * Decimal("1.5"),
        }

    def test_a_new_kind_of_usage_has_the_price_it_came_with(self) -> None:
        searched = cell(usage={"web_searches": 50}, prices={"web_searches": "10000"})
        assert parts(explained([cell()], [searched])) == {"tokens_per_call": Decimal("0.5")}

    def test_a_charge_without_a_quantity_goes_by_the_call(self) -> None:
        one = Cell({"model": "m"}, 10, Decimal(5), lines={"requests": Decimal(5)})
        other = Cell({"model": "m"}, 20, Decimal(20), lines={"requests": Decimal(20)})
        assert parts(explained([one], [other])) == {
            "volume": Decimal("7.5"),
            "price": Decimal("7.5"),
        }

    def test_without_lines_the_price_is_a_mean_over_tokens(self) -> None:
        one = Cell({"model": "m"}, 10, Decimal(5), usage={"input_tokens": 100})
        other = Cell({"model": "m"}, 10, Decimal(8), usage={"input_tokens": 100})
        assert parts(explained([one], [other])) == {"price": Decimal(3)}

    def test_cost_without_calls_is_other(self) -> None:
        bill = Cell({"provider": "openai"}, 0, Decimal("7.25"))
        found = explained([cell()], [cell(), bill])
        assert parts(found) == {"other": Decimal("7.25")}
        assert parts(explained([bill], [])) == {"other": Decimal("-7.25")}

    def test_only_retries_count_as_calls(self) -> None:
        one = Cell({"model": "m"}, 10, Decimal(5), retries=10)
        other = Cell({"model": "m"}, 20, Decimal(10), retries=20)
        assert parts(explained([one], [other])) == {"volume": Decimal(5)}

    def test_the_largest_comes_first(self) -> None:
        dearer = times(cell(prices={"input_tokens": "2.1"}), 3)
        names = [driver.name for driver in explained([cell()], [dearer]).drivers]
        assert names[:2] == ["volume", "price"]


class TestMembers:
    def test_most_changed_first_then_the_rest(self) -> None:
        before = [cell(project="a"), cell(project="b"), cell(project="c")]
        after = [cell(project="a"), times(cell(project="b"), 3), times(cell(project="c"), 2)]
        found = attribute(before, after, top=1)
        (first,) = found.members["project"]
        assert (first.name, first.change) == ("b", cell().cost * 2)
        assert first.share is not None
        assert first.share * 3 == pytest.approx(2)
        assert found.rest["project"] == cell().cost

    def test_usage_without_a_user_is_a_member_without_a_name(self) -> None:
        (member,) = explained([], [cell()]).members["user"]
        assert member.name is None
        assert member.share == 1

    def test_unpriced_usage_is_stated_apart(self) -> None:
        free = Cell({"model": "new"}, 30, priced=False)
        found = explained([cell(), free], [cell(), times(free, 2)])
        assert found.change == 0
        assert (found.unpriced.baseline_requests, found.unpriced.actual_requests) == (30, 60)


class TestRefusals:
    @pytest.mark.parametrize(
        "wrong",
        [
            Cell({}, 1, retries=2),
            Cell({}, 1, retries=-1),
            Cell({}, -1, retries=-1),
            Cell({}, 1, usage={"input_tokens": -1}),
        ],
    )
    def test_counts_that_cannot_be(self, wrong: Cell) -> None:
        with pytest.raises(AttributionError):
            attribute([wrong], [])
        with pytest.raises(AttributionError):
            attribute([], [wrong])

    @pytest.mark.parametrize("share", [Fraction(0), Fraction(-1, 2)])
    def test_a_baseline_share_that_is_none(self, share: Fraction) -> None:
        with pytest.raises(AttributionError):
            attribute([], [], baseline_share=share)
