"""Series that stay on one value, and series that are mostly zero."""

from __future__ import annotations

import random

import pytest

from llm_cost_ops.anomalies import SENSITIVITIES, Options, detect
from llm_cost_ops.anomalies.flat import Flat
from llm_cost_ops.anomalies.rhythm import RHYTHMS
from tests.anomalies.test_detection import of, streamed

LEARNT = {step: RHYTHMS[step].least for step in ("hour", "day")}
judged = pytest.mark.parametrize("method", ["auto", "seasonal"])
stepped = pytest.mark.parametrize("step", LEARNT)
based = pytest.mark.parametrize("base", [0.0, 20.0])


def flagged(values: list[float], step: str, method: str, sensitivity: str = "medium") -> list[int]:
    series, options = of(values, step), Options(method, sensitivity=sensitivity)
    found = [anomaly.date for anomaly in detect(series, options)]
    assert [anomaly.date for anomaly in streamed(series, options)] == found
    return [index for index in range(len(values)) if series.label(index) in found]


@judged
class TestLeavingAConstant:
    @stepped
    @based
    @pytest.mark.parametrize("lasting", [1, 2, 6, 10, 500])
    def test_the_first_value_is_flagged_and_the_way_back_is_not(
        self, method: str, step: str, base: float, lasting: int
    ) -> None:
        for first in (LEARNT[step], 45, 300):
            if first >= LEARNT[step]:
                back = [base] * (100 if lasting < 500 else 0)
                found = flagged([base] * first + [base + 50] * lasting + back, step, method)
                assert found == [first], (first, lasting)

    def test_the_flag_tells_the_constant(self, method: str) -> None:
        (found,) = detect(of([0.0] * 45 + [50.0] + [0.0] * 14, "day"), Options(method))
        assert (found.actual_cost, found.expected_cost) == (50, 0)
        assert (found.lower, found.upper, found.severity) == (0, 5, "critical")

    @pytest.mark.parametrize(("value", "expected"), [(21.9, []), (22.1, [60])])
    def test_a_step_is_beyond_a_tenth(self, method: str, value: float, expected: list[int]) -> None:
        assert flagged([20.0] * 60 + [value], "day", method) == expected

    @based
    def test_a_third_level_is_flagged_too(self, method: str, base: float) -> None:
        values = [base] * 45 + [base + 50] * 60 + [base + 80] * 50
        assert flagged(values, "day", method) == [45, 105]

    @stepped
    def test_a_noisy_level_is_flagged_at_its_beginning_alone(self, method: str, step: str) -> None:
        for seed in range(3):
            chance = random.Random(seed)
            values = [0.0] * 300 + [chance.uniform(5, 9) for _ in range(400)]
            found = flagged(values, step, method)
            assert found[0] == 300
            assert len(found) <= 2

    def test_a_value_much_further_off_is_flagged_too(self, method: str) -> None:
        values = [0.0] * 60 + [1.0, 1.9, 500.0] + [0.0] * 30
        assert flagged(values, "day", method) == [60, 62]

    def test_a_spike_on_the_learnt_level_is_flagged(self, method: str) -> None:
        chance = random.Random(4)
        values = [0.0] * 100 + [chance.uniform(5, 9) for _ in range(400)]
        values[400] = 90.0
        assert 400 in flagged(values, "hour", method)


@judged
class TestSparse:
    @stepped
    @pytest.mark.parametrize("share", [0.03, 0.05, 0.1, 0.2, 0.3])
    def test_values_at_random_are_not_flagged_each_time(
        self, method: str, step: str, share: float
    ) -> None:
        for seed in range(3):
            chance = random.Random(seed)
            values = [chance.uniform(1, 4) if chance.random() < share else 0.0 for _ in range(400)]
            found = flagged(values, step, method)
            assert len(found) <= 4 + sum(map(bool, values)) // 16, (seed, found)

    @pytest.mark.parametrize("days", [(0, 1, 2, 3, 4), (3,)])
    def test_some_days_of_the_week(self, method: str, days: tuple[int, ...]) -> None:
        values = [10.0 if index % 7 in days else 0.0 for index in range(200)]
        assert flagged(values, "day", method) == []

    def test_once_a_month_is_flagged_once(self, method: str) -> None:
        values = [10.0 if index % 30 == 29 else 0.0 for index in range(400)]
        assert flagged(values, "day", method) == [29]

    @pytest.mark.parametrize(
        ("sensitivity", "months"), list(zip(SENSITIVITIES, (12, 3, 1), strict=True))
    )
    def test_again_after_the_months_of_the_sensitivity(
        self, method: str, sensitivity: str, months: int
    ) -> None:
        gap = months * 30
        for between, expected in ((gap - 1, [45]), (gap, [45, 46 + gap])):
            values = [0.0] * 45 + [50.0] + [0.0] * between + [50.0] + [0.0] * 9
            assert flagged(values, "day", method, sensitivity) == expected

    def test_a_much_larger_one_is_flagged(self, method: str) -> None:
        values = [10.0 if index % 7 == 3 else 0.0 for index in range(200)]
        values[151] = 400.0
        assert flagged(values, "day", method) == [151]


class TestFlat:
    def test_a_constant_is_one_after_the_learning_time(self) -> None:
        flat = Flat(least=21, every=90, memory=182)
        for _ in range(20):
            flat.push(7.0)
        assert not flat.is_rare(50.0)
        flat.push(7.0)
        assert flat.is_rare(50.0)
        assert not flat.is_rare(7.0)

    def test_a_silent_weekend_is_no_constant_that_is_rarely_left(self) -> None:
        flat = Flat(least=48, every=2160, memory=672)
        for index in range(200):
            flat.push(float(index % 24 + 1))
        for _ in range(62):
            flat.push(0.0)
        assert not flat.is_rare(5.0)
        for _ in range(2160 - 62):
            assert not flat.is_rare(5.0)
            flat.push(0.0)
        assert flat.is_rare(5.0)
        assert not flat.is_rare(0.0)

    def test_two_levels_in_turn_are_usual(self) -> None:
        flat, rare = Flat(least=21, every=90, memory=182), list[int]()
        for index in range(400):
            value = 10.0 * (index // 25 % 2)
            if flat.is_rare(value):
                rare.append(index)
            flat.push(value)
        assert rare == [25]

    def test_sparse_is_almost_all_equal_but_not_all(self) -> None:
        flat = Flat(least=21, every=90, memory=100)
        for _ in range(85):
            flat.push(0.0)
        assert not flat.is_sparse()
        for index in range(15):
            flat.push(index + 1.0)
            assert flat.is_sparse()
        flat.push(20.0)
        assert not flat.is_sparse()
