"""The plain rules on both sides of their bounds, the tail, and the window they read."""

from __future__ import annotations

import math
import random
from collections import deque
from statistics import fmean, median, pstdev, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.anomalies.detection import severity_of
from llm_cost_ops.anomalies.rules import RULES, Trailing, over_range, zscore
from llm_cost_ops.anomalies.tail import LEAST, tail_bound
from llm_cost_ops.anomalies.windows import SortedWindow

numbers = st.floats(-1e6, 1e6).map(lambda number: round(number, 6))
samples = st.lists(numbers, min_size=2, max_size=40)


class TestWindow:
    @given(st.lists(numbers, min_size=1, max_size=40), st.integers(1, 10))
    def test_it_holds_the_latest_in_order(self, pushed: list[float], size: int) -> None:
        window, plain = SortedWindow(size), deque[float](maxlen=size)
        for number in pushed:
            window.push(number)
            plain.append(number)
        assert window.ordered == sorted(plain)
        assert len(window) == len(plain)
        assert window.median() == pytest.approx(median(plain))

    @given(samples)
    def test_quartiles_are_those_of_the_standard_library(self, values: list[float]) -> None:
        window = SortedWindow(len(values))
        for value in values:
            window.push(value)
        low, _, high = quantiles(values, n=4, method="inclusive")
        assert window.quantile(0.25) == pytest.approx(low, abs=1e-6)
        assert window.quantile(0.75) == pytest.approx(high, abs=1e-6)

    def test_nothing_has_no_median(self) -> None:
        assert SortedWindow(3).median() == 0
        assert SortedWindow(3).quantile(0.9) == 0


class TestWhole:
    @given(samples)
    def test_zscore_is_the_populations(self, values: list[float]) -> None:
        bounds = over_range("zscore", values, 3.0)
        if len(set(values)) == 1:
            assert not bounds.is_out(values[0] + 1)
            return
        mean, spread = fmean(values), pstdev(values)
        assert bounds.expected == pytest.approx(mean, abs=1e-6)
        assert bounds.upper - bounds.lower == pytest.approx(6 * spread, rel=1e-3, abs=1e-6)

    @pytest.mark.parametrize(
        ("method", "values", "threshold", "inside", "outside"),
        [
            # Mean 10, standard deviation 2: three of them end at 16.
            ("zscore", [8.0, 12.0] * 10, 3.0, 16.0, 16.001),
            ("zscore", [8.0, 12.0] * 10, 3.0, 4.0, 3.999),
            # Quartiles 2 and 4: 1.5 of their distance beyond is 7, and -1.
            ("iqr", [1.0, 2.0, 3.0, 4.0, 5.0], 1.5, 7.0, 7.001),
            ("iqr", [1.0, 2.0, 3.0, 4.0, 5.0], 1.5, -1.0, -1.001),
            # Median 3, median absolute deviation 1: 3.5 / 0.6745 = 5.189.
            ("mad", [1.0, 2.0, 3.0, 4.0, 5.0], 3.5, 8.188, 8.190),
            ("mad", [1.0, 2.0, 3.0, 4.0, 5.0], 3.5, -2.188, -2.190),
        ],
    )
    def test_a_flag_begins_beyond_the_bound(
        self, method: str, values: list[float], threshold: float, inside: float, outside: float
    ) -> None:
        bounds = over_range(method, values, threshold)
        assert not bounds.is_out(inside)
        assert bounds.is_out(outside)
        assert bounds.score(inside) == pytest.approx(threshold, rel=1e-3)

    @pytest.mark.parametrize("unit", [1.0, 0.1, 0.7, 1.1, 1e-7, 123456.7])
    @pytest.mark.parametrize("level", [0.0, 0.3, 1000.1])
    def test_a_value_on_the_bound_is_not_beyond_it(self, unit: float, level: float) -> None:
        # One of ten is three standard deviations off, whatever its size.
        values = [level] * 9 + [level + 10 * unit]
        assert not over_range("zscore", values, 3.0).is_out(values[-1])
        more = [*values, level]
        assert over_range("zscore", more, 3.0).is_out(more[9])

    def test_equal_halves_leave_the_mean_absolute_deviation(self) -> None:
        bounds = over_range("mad", [5.0] * 9 + [15.0], 3.5)
        assert bounds.unit == pytest.approx(1.253314)

    @pytest.mark.parametrize("method", RULES)
    def test_a_constant_flags_nothing(self, method: str) -> None:
        bounds = over_range(method, [0.1] * 7, 1.0)
        assert not bounds.is_out(9.0)
        assert bounds.score(9.0) == 0


def test_a_bound_that_numbers_do_not_tell_from_the_expected_value_is_far_behind() -> None:
    bounds = zscore([1e16, 1e16, 1e16, 1e16 + 4e4], 1e-6)
    assert bounds.upper == bounds.expected
    assert bounds.excess(1e17) == math.inf
    assert severity_of(bounds.excess(1e17)) == "critical"


class TestTrailing:
    def test_a_value_is_judged_by_those_before_it(self) -> None:
        rule = Trailing("zscore", 3.0, memory=20, least=4)
        assert [rule.push(value) for value in (8.0, 12.0, 8.0, 12.0)] == [None] * 4
        bounds = rule.push(100.0)
        assert bounds is not None
        assert bounds.upper == 16.0


class TestTail:
    def test_too_few_tell_nothing(self) -> None:
        few = [float(number) for number in range(LEAST - 1)]
        assert tail_bound(few, upper=True, every=100, floor=1) == math.inf
        assert tail_bound([*few, 99.0], upper=True, every=100, floor=1) < math.inf

    def test_normal_noise_rarely_passes_it_and_heavy_tails_have_a_wider_one(self) -> None:
        chance = random.Random(7)
        normal = sorted(chance.gauss(0, 1) for _ in range(700))
        heavy = sorted(chance.paretovariate(1.2) * chance.choice([-1, 1]) for _ in range(700))
        bound = tail_bound(normal, upper=True, every=2160, floor=1)
        assert normal[-1] < bound < 8
        assert tail_bound(heavy, upper=True, every=2160, floor=1) > 3 * bound

    def test_sides_are_apart(self) -> None:
        up = sorted([-1.0, 1.0] * 50 + [40.0, 60.0, 80.0, 90.0, 95.0, 99.0, 120.0, 150.0])
        high = tail_bound(up, upper=True, every=1000, floor=1)
        assert tail_bound(up, upper=False, every=1000, floor=1) < high
        mirrored = [-number for number in reversed(up)]
        assert tail_bound(mirrored, upper=False, every=1000, floor=1) == high

    def test_rarer_is_further(self) -> None:
        noise = sorted(random.Random(3).gauss(0, 1) for _ in range(200))
        bounds = [tail_bound(noise, upper=True, every=every, floor=1) for every in (10, 100, 1000)]
        assert bounds == sorted(bounds)

    def test_of_almost_only_zeros_it_is_above_the_largest(self) -> None:
        sparse = [0.0] * 60 + [3.0, 4.0]
        assert tail_bound(sparse, upper=True, every=720, floor=0.1) >= 1.5 * 4
