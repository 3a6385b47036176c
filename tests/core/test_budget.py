"""Budgets as values: limits to the last unit, thresholds, throttling, rollover, families."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.budget import (
    MAX_LIMIT_E10,
    NOTHING,
    WHOLE_SHARE,
    Amounts,
    Budget,
    BudgetError,
    Limits,
    Rollover,
    ancestors,
    check_children,
    crossed,
    part_of,
    resolve_shares,
)
from llm_cost_ops.core.definition import Defaults, canonical, make_budget
from llm_cost_ops.core.period import DAY_US, Window
from tests.core.test_recurrence import micros

NOW = micros("2025-06-15T12:00")


def made(budget_id: str = "b", **fields: Any) -> Budget:
    return make_budget(
        canonical({"name": budget_id, **fields}),
        budget_id=budget_id,
        organization_id="o",
        defaults=Defaults(),
        made_us=NOW,
    )


def window(start: str, end: str) -> Window:
    return Window(micros(start), micros(end))


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_a_limit_is_reached_by_its_own_amount_and_exceeded_by_one_unit(a: int, b: int) -> None:
    limits = Limits(a + b, None, None)
    assert limits.fits(Amounts(a).plus(Amounts(b)))
    assert not limits.fits(Amounts(a + b + 1))
    assert Amounts(a + b).minus(Amounts(b)) == Amounts(a)


def test_every_limit_counts() -> None:
    limits = Limits(10, 2, 100)
    assert limits.fits(Amounts(10, 2, 100))
    assert not limits.fits(Amounts(11, 0, 0))
    assert not limits.fits(Amounts(0, 3, 0))
    assert not limits.fits(Amounts(0, 0, 101))
    assert Limits().fits(Amounts(10**30, 10**30, 10**30))
    assert limits.share(Amounts(1, 1, 1)) == WHOLE_SHARE // 2
    assert Limits().share(Amounts(5)) == 0
    assert (Limits(0).share(NOTHING), Limits(0).share(Amounts(1))) == (0, 2 * WHOLE_SHARE)


def test_thresholds_are_told_once_also_when_jumped_over() -> None:
    levels = (500_000, 800_000, 1_000_000)
    assert crossed(levels, 0, 499_999) == []
    assert crossed(levels, 0, 900_000) == [500_000, 800_000]
    assert crossed(levels, 800_000, 900_000) == []
    assert crossed(levels, 800_000, 1_500_000) == [1_000_000]


def test_what_is_carried_over_is_a_share_of_the_unused_up_to_a_cap() -> None:
    assert Rollover(WHOLE_SHARE).carried(70) == 70
    assert Rollover(WHOLE_SHARE).carried(-5) == 0
    assert Rollover(WHOLE_SHARE // 2, 20).carried(70) == 20
    assert Rollover(WHOLE_SHARE // 2, 50).carried(71) == 35
    assert Rollover(WHOLE_SHARE, 250).across(10, 100, 0) == 10
    assert Rollover(WHOLE_SHARE, 250).across(10, 100, 1) == 110
    assert Rollover(WHOLE_SHARE, 250).across(10, 100, 10**9) == 250
    assert Rollover(WHOLE_SHARE // 2).across(0, 100, 3) == 87


@given(
    st.integers(0, MAX_LIMIT_E10),
    st.integers(-(10**20), 10**20),
    st.integers(1, WHOLE_SHARE),
    st.integers(0, 40),
)
def test_with_what_is_carried_over_a_period_has_at_most_the_largest_amount(
    amount: int, unused: int, share: int, periods: int
) -> None:
    rollover = Rollover(share)
    carried = rollover.carried(unused, amount)
    assert 0 <= carried <= MAX_LIMIT_E10 - amount
    assert 0 <= rollover.across(carried, amount, periods) <= MAX_LIMIT_E10 - amount


def test_idle_periods_carry_over_up_to_the_largest_amount() -> None:
    amount = MAX_LIMIT_E10 // 9
    assert Rollover(WHOLE_SHARE).across(0, amount, 8) == 8 * amount
    assert Rollover(WHOLE_SHARE).across(0, amount, 9) == 8 * amount


def test_a_budget_counts_from_the_period_in_which_it_was_made() -> None:
    found = made(amount=1)
    june = window("2025-06-01T00:00", "2025-07-01T00:00")
    assert found.counted_in(NOW) == found.in_force_at(NOW) == june
    assert found.counted_in(june.start_us) == june
    assert found.counted_in(june.start_us - 1) is None
    assert found.in_force_at(june.start_us - 1) == window("2025-05-01T00:00", "2025-06-01T00:00")
    assert found.counted_in(june.end_us) == window("2025-07-01T00:00", "2025-08-01T00:00")
    assert found.window_of(NOW) is found.window_of(NOW + 1)


def test_bounds_cut_periods() -> None:
    found = made(amount=1, start_date="2025-06-10", end_date="2025-07-09")
    assert found.counted_in(NOW) == window("2025-06-10T00:00", "2025-07-01T00:00")
    assert found.counted_in(micros("2025-07-09T23:59")) == window(
        "2025-07-01T00:00", "2025-07-10T00:00"
    )
    for outside in ("2025-06-09T23:59", "2025-07-10T00:00"):
        assert found.counted_in(micros(outside)) is None
        assert found.in_force_at(micros(outside)) is None


def test_bounds_cut_the_steps_of_a_sliding_period() -> None:
    bounds = {"start_date": "2025-06-15T10:30:00Z", "end_date": "2025-06-15T14:15:00Z"}
    found = made(amount=1, period="daily", rolling=True, **bounds)
    assert found.counted_in(micros("2025-06-15T10:30")) == window(
        "2025-06-15T10:30", "2025-06-15T11:00"
    )
    assert found.counted_in(NOW) == window("2025-06-15T12:00", "2025-06-15T13:00")
    assert found.window_of(micros("2025-06-15T14:14")) == window(
        "2025-06-15T14:00", "2025-06-15T14:15"
    )
    for outside in ("2025-06-15T10:29", "2025-06-15T14:15"):
        assert found.counted_in(micros(outside)) is None
    before = micros("2025-06-15T08:00")
    assert found.window_of(before) == window("2025-06-15T08:00", "2025-06-15T09:00")


def test_one_off_budgets_have_one_period() -> None:
    month = made(amount=1, recurring=False)
    assert month.counted_in(NOW) == window("2025-06-01T00:00", "2025-07-01T00:00")
    assert month.counted_in(micros("2025-07-01T00:00")) is None
    custom = made(amount=1, period="custom", start_date="2025-06-03", end_date="2025-08-04")
    assert custom.counted_in(NOW) == window("2025-06-03T00:00", "2025-08-05T00:00")
    assert custom.counted_in(micros("2025-08-05T00:00")) is None


def test_sliding_budgets_count_in_steps_and_are_judged_by_all_of_them() -> None:
    found = made(amount=1, period="daily", rolling=True)
    step = found.counted_in(NOW)
    assert step == Window(NOW, NOW + DAY_US // 24)
    assert found.in_force_at(NOW) == Window(NOW - DAY_US, NOW + DAY_US // 24)
    assert found.counted_in(NOW - DAY_US) is not None
    assert found.counted_in(NOW - DAY_US - 1) is None


def test_a_budget_of_the_future_or_the_past_counts_when_it_is_in_force() -> None:
    future = made(amount=1, start_date="2025-09-05")
    assert future.counted_in(NOW) is None
    assert future.counted_in(micros("2025-09-05T00:00")) is not None
    past = made(amount=1, end_date="2025-03-01")
    assert past.counted_in(NOW) is None
    assert past.counted_in(micros("2025-03-01T12:00")) is not None


def test_what_was_added_changes_the_limit_of_money_alone() -> None:
    found = made(amount="5", token_limit=7)
    assert found.limits_with(0) is found.limits
    assert found.limits_with(10) == Limits(5 * 10**10 + 10, None, 7)
    assert found.limits_with(-(10**12)) == Limits(0, None, 7)
    assert made(token_limit=7).limits_with(10) == Limits(None, None, 7)


def test_children_may_not_exceed_their_parent_unless_it_says_so() -> None:
    parent = made(amount=10)
    ten = 10 * 10**10
    check_children(parent, [ten - 1, 1])
    with pytest.raises(BudgetError, match=r"0\.0000000001"):
        check_children(parent, [ten, 1])
    check_children(made(amount=10, allow_overallocation=True), [ten, ten])
    check_children(made(token_limit=10), [ten, ten])


@given(st.integers(0, 10**18), st.lists(st.integers(1, WHOLE_SHARE), max_size=5))
def test_parts_never_exceed_the_whole(amount: int, shares: list[int]) -> None:
    if sum(shares) <= WHOLE_SHARE:
        assert sum(part_of(amount, share) for share in shares) <= amount


def test_shares_follow_the_parent() -> None:
    family = resolve_shares(
        [
            made("child", parent_id="parent", allocation_percent=25),
            made("parent", parent_id="top", allocation_percent="50"),
            made("top", amount=80),
            made("orphan", parent_id="gone", allocation_percent=10, token_limit=5),
            made("counted", parent_id="tokens", allocation_percent=10),
            made("tokens", token_limit=5),
        ]
    )
    assert family["parent"].limits.e10 == 40 * 10**10
    assert family["child"].limits.e10 == 10 * 10**10
    assert family["orphan"].limits == Limits(None, None, 5)
    assert family["counted"].limits.e10 is None


def test_a_circle_of_parents_ends() -> None:
    circle = [
        made("a", parent_id="b", allocation_percent=50),
        made("b", parent_id="a", allocation_percent=50),
    ]
    assert set(resolve_shares(circle)) == {"a", "b"}
    assert ancestors("a", {"a": "b", "b": "a"}) == ["b", "a"]
    assert ancestors("a", {"a": "b", "b": None}) == ["b"]
    assert ancestors("a", {"a": "gone"}) == []


def test_the_limits_that_would_be_exceeded_are_named() -> None:
    limits = Limits(10, 2, 100)
    assert limits.broken(Amounts(10, 2, 100)) == ()
    assert limits.broken(Amounts(11, 2, 101)) == ("amount", "token_limit")
    assert limits.broken(Amounts(10, 3, 100)) == ("request_limit",)
    assert Limits().broken(Amounts(10**30, 10**30, 10**30)) == ()
