"""Models by arithmetic, the plan of a back-test, seasons, and widths of intervals."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.forecasting.backtest import (
    absolute_error,
    plan_of,
    relative_error,
    season_scale,
    symmetric_error,
)
from llm_cost_ops.forecasting.interval import half_widths, inflation, quantile
from llm_cost_ops.forecasting.seasons import filled, periods_in
from llm_cost_ops.forecasting.simple import (
    exponential_smoothing,
    linear,
    moving_average,
    smoothing_weights,
)

numbers = st.floats(-1e6, 1e6)


def test_a_line_is_drawn_on() -> None:
    assert linear([3, 5, 7, 9], 3) == pytest.approx([11, 13, 15])
    assert linear([0, 1, 0, 1], 1) == pytest.approx([1.0])  # mean 0.5, slope 0.2, 2.5 steps on
    assert linear([4], 2) == [4, 4]


def test_a_moving_average_is_the_mean_of_the_last() -> None:
    assert moving_average([100, 1, 2, 3], 2, 3) == [2, 2]
    assert moving_average([1, 3], 1, 7) == [2]


def test_smoothing_follows_by_its_weight() -> None:
    assert exponential_smoothing([0, 8], 2, 0.5) == [4, 4]
    assert exponential_smoothing([0, 8], 1, 1.0) == [8]


def test_the_weight_is_high_for_a_walk_and_low_for_noise() -> None:
    assert smoothing_weights([float(i) for i in range(30)], [30]) == [1.0]
    assert smoothing_weights([5.0, 7.0] * 20, [40])[0] < 0.3


def test_a_weight_knows_nothing_of_what_comes_after() -> None:
    past = [*([5.0, 7.0] * 20), *(float(i) for i in range(40))]
    late, early, again = smoothing_weights(past, [80, 40, 40])
    assert (late, early) == (
        smoothing_weights(past, [80])[0], smoothing_weights(past[:40], [40])[0]
    )  # fmt: skip
    assert late > 0.7 > 0.3 > early == again


@given(st.lists(numbers, min_size=2, max_size=60))
def test_a_line_has_the_least_squares(past: list[float]) -> None:
    first, second = linear(past, 2)
    slope = second - first
    at_zero = first - slope * len(past)
    residuals = [value - at_zero - slope * index for index, value in enumerate(past)]
    size = max(map(abs, past)) * len(past) + 1
    assert sum(residuals) == pytest.approx(0, abs=1e-6 * size)
    assert sum(i * r for i, r in enumerate(residuals)) == pytest.approx(0, abs=1e-4 * size)


def test_relative_errors_pass_over_zeros() -> None:
    assert relative_error([[10, 0], [-4, 8]], [[5, 3], [-5, 8]]) == pytest.approx(0.25)
    assert relative_error([[0.0]], [[1.0]]) is None


def test_a_plan_of_a_long_series_overlaps_by_half() -> None:
    plan = plan_of(200, 30, 6)
    assert plan.horizon == 30
    assert plan.origins == (170, 155, 140, 125, 110, 95)
    assert plan_of(200, 30, 2).origins == (170, 155)


def test_a_plan_of_a_short_series_forecasts_a_quarter_of_it() -> None:
    assert plan_of(7, 30, 6).origins == (6, 5, 4)
    assert plan_of(7, 30, 6).horizon == 1
    assert plan_of(40, 90, 3).horizon == 10


@given(st.integers(5, 3000), st.integers(1, 1000), st.integers(1, 20))
def test_every_plan_fits_its_series(count: int, horizon: int, most: int) -> None:
    plan = plan_of(count, horizon, most)
    assert 1 <= len(plan.origins) <= most
    assert max(plan.origins) + plan.horizon == count
    assert min(plan.origins) >= 4


def test_errors_by_hand() -> None:
    assert absolute_error([1, 2], [2, 4]) == 1.5
    assert symmetric_error([1, 0], [3, 0]) == 0.5
    assert season_scale([1, 2, 4, 8], 1) == pytest.approx(7 / 3)
    assert season_scale([1, 2, 4, 8], 2) == 4.5
    assert season_scale([1, 3], 7) == 2
    assert season_scale([3], 7) == 0


def test_a_season_needs_two_of_it_and_a_little() -> None:
    assert periods_in("hour", 49) == []
    assert periods_in("hour", 50) == [24]
    assert periods_in("hour", 338) == [24, 168]
    assert periods_in("day", 732) == [7, 365]
    assert periods_in("week", 105) == []
    assert periods_in("month", 26) == [12]


def test_gaps_are_filled_by_season_or_between_neighbours() -> None:
    days: list[float | None] = [1, 2, 3, 4, 5, 6, 7, 11, None, 13, 14, 15, 16, 17, 21, 22]
    assert filled(days, "day")[8] == 12  # a week before 2, a week after 22
    days[1] = None
    assert filled(days, "day")[8] == 22
    assert filled([1, None, None, 4], "week") == [1, 2, 3, 4]
    assert filled([1.5, 2.5], "day") == [1.5, 2.5]


def test_a_quantile_counts_the_value_to_come() -> None:
    ordered = [float(value) for value in range(1, 20)]
    assert quantile(ordered, 0.5) == 10
    assert quantile(ordered, 0.95) == 19
    assert quantile(ordered, 0.99) == 19


def test_widths_grow_as_the_errors_did() -> None:
    walk = [[float(step) ** 0.5 for step in range(1, 11)] for _ in range(30)]
    widths = half_widths(walk, 40, 0.95)
    assert widths[39] / widths[9] == pytest.approx(2, rel=0.1)
    flat = half_widths([[1.0, -1.0] * 5 for _ in range(30)], 40, 0.95)
    assert flat[39] / flat[9] < 1.1


def test_few_origins_give_wider_intervals() -> None:
    assert inflation(2, 0.95) > inflation(10, 0.95) > inflation(10, 0.8) > 1
    assert inflation(10, 0.5) == 1


@given(
    st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=8),
    st.integers(1, 50),
)
def test_widths_never_fall_and_grow_with_confidence(
    errors: list[list[float]], horizon: int
) -> None:
    narrow, wide = half_widths(errors, horizon, 0.8), half_widths(errors, horizon, 0.95)
    assert len(narrow) == horizon
    assert all(0 <= first <= second for first, second in pairwise(wide))
    assert all(a <= b for a, b in zip(narrow, wide, strict=True))


def test_normal_errors_are_covered() -> None:
    import random

    draw = random.Random(5)
    errors = [[draw.gauss(0, 2) for _ in range(30)] for _ in range(20)]
    width = fmean(half_widths(errors, 30, 0.95))
    assert 1.96 * 2 * 0.95 < width < 1.96 * 2 * 1.5
