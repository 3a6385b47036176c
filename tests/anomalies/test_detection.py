"""Series with and without anomalies: what each method flags, and that a stream flags the same."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.anomalies import (
    METHODS,
    SENSITIVITIES,
    Anomaly,
    AnomalyError,
    Options,
    Stream,
    detect,
)
from llm_cost_ops.anomalies.detection import severity_of
from llm_cost_ops.anomalies.rhythm import RHYTHMS
from llm_cost_ops.core.series import Series

START = datetime.fromisoformat("2026-01-01")
LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
Change = Callable[[list[float]], None]


def of(values: Sequence[float | None], step: str = "hour") -> Series:
    decimals = tuple(None if value is None else Decimal(f"{value:.6f}") for value in values)
    return Series(step, START, decimals, "naive" if step == "hour" else "date")


def usual(step: str, count: int, seed: int, change: Change | None = None) -> Series:
    """Cost with a pattern of the day and the week, and noise of a tenth."""
    chance = random.Random(seed)
    values: list[float] = []
    for index in range(count):
        moment = START + index * LENGTH[step]
        mean = 50.0 if moment.weekday() > 4 else 100.0
        if step == "hour":
            mean *= 1 + 0.6 * math.sin(math.tau * (moment.hour - 6) / 24)
        values.append(mean * math.exp(chance.gauss(0, 0.1)))
    if change:
        change(values)
    return of(values, step)


def scaled(factor: float, first: int, last: int | None = None) -> Change:
    def change(values: list[float]) -> None:
        for index in range(first, len(values) if last is None else last):
            values[index] *= factor

    return change


def dates(found: list[Anomaly]) -> list[str]:
    return [anomaly.date for anomaly in found]


def streamed(series: Series, options: Options) -> list[Anomaly]:
    stream = Stream(series.step, options)
    found = [
        stream.push(series.moment(index), series.label(index), value)
        for index, value in enumerate(series.values)
        if value is not None
    ]
    return [anomaly for anomaly in found if anomaly is not None]


class TestAuto:
    @pytest.mark.parametrize("step", ["hour", "day"])
    def test_it_is_quiet_on_sixty_usual_days(self, step: str) -> None:
        count = 60 * 24 if step == "hour" else 60
        flagged = [dates(detect(usual(step, count, seed))) for seed in range(6)]
        assert sum(map(len, flagged)) <= 1, flagged

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize(
        ("step", "at"),
        [("day", 48), ("hour", 46 * 24 + 12)],  # a Wednesday, and noon of a Monday
    )
    @pytest.mark.parametrize("factor", [4.0, 0.05])
    def test_a_spike_and_a_dip_are_flagged(
        self, step: str, at: int, factor: float, seed: int
    ) -> None:
        count = 60 * 24 if step == "hour" else 60
        series = usual(step, count, seed, scaled(factor, at, at + 1))
        found = {anomaly.date: anomaly for anomaly in detect(series)}
        anomaly = found[series.label(at)]
        assert anomaly.actual_cost == series.values[at]
        assert (anomaly.actual_cost > anomaly.upper) == (factor > 1)
        assert (anomaly.actual_cost < anomaly.lower) == (factor < 1)
        assert anomaly.lower < anomaly.expected_cost < anomaly.upper
        assert 60 < anomaly.expected_cost < 220

    @pytest.mark.parametrize("seed", range(3))
    def test_a_new_level_is_flagged_once_and_then_usual(self, seed: int) -> None:
        first = 40 * 24 + 12
        series = usual("hour", 60 * 24, seed, scaled(3.0, first))
        found = dates(detect(series))
        assert series.label(first) in found
        settled = series.label(first + 2 * 24)
        assert len([date for date in found if date >= settled]) <= 1

    def test_the_way_back_is_no_anomaly(self) -> None:
        values = [100 + random.Random(i).gauss(0, 3) for i in range(400)]
        for index in range(300, 310):
            values[index] += 100
        found = dates(detect(of(values)))
        assert of(values).label(300) in found
        assert max(found) < of(values).label(310)

    def test_a_day_on_which_every_hour_is_a_little_low_is_flagged(self) -> None:
        first = 40 * 24
        series = usual("hour", 45 * 24, 1, scaled(0.72, first, first + 24))
        found = dates(detect(series))
        assert any(series.label(first) <= date <= series.label(first + 30) for date in found)

    @pytest.mark.parametrize("step", RHYTHMS)
    def test_a_short_history_is_not_judged(self, step: str) -> None:
        least = RHYTHMS[step].least
        values = [float(index % 3) for index in range(least - 1)]
        series = Series(step, START, tuple(map(Decimal, [*values, 1e6])), "naive")
        assert detect(series) == []
        longer = Series(step, START, tuple(map(Decimal, [*values, 1, 1e6])), "naive")
        assert [anomaly.actual_cost for anomaly in detect(longer)] == [Decimal(10**6)]

    def test_new_use_after_nothing_is_not_a_storm(self) -> None:
        chance = random.Random(5)
        values = [0.0] * 200 + [chance.uniform(5, 9) for _ in range(400)]
        assert len(detect(of(values))) <= RHYTHMS["hour"].settle

    def test_rare_use_is_learnt(self) -> None:
        chance = random.Random(11)
        values = [chance.uniform(1, 4) if chance.random() < 0.05 else 0.0 for _ in range(900)]
        assert len(detect(of(values))) <= 2
        values[700] = 90.0
        assert of(values).label(700) in dates(detect(of(values)))

    def test_higher_sensitivity_never_needs_more(self) -> None:
        series = usual("hour", 900, 2, scaled(3.0, 708, 711))
        counts = [len(detect(series, Options(sensitivity=name))) for name in SENSITIVITIES]
        assert counts == sorted(counts)
        assert counts[-1] > 0

    def test_missing_hours_are_passed_over(self) -> None:
        whole = usual("hour", 900, 4, scaled(5.0, 800, 801))
        holes = [None if index % 7 == 3 else value for index, value in enumerate(whole.values)]
        series = Series("hour", START, tuple(holes), "naive")
        assert dates(detect(series)) == [whole.label(800)]


class TestEveryMethod:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("value", [0.0, 7.5, -3.0])
    def test_a_constant_has_none(self, method: str, value: float) -> None:
        assert detect(of([value] * 200), Options(method)) == []

    @pytest.mark.parametrize("method", METHODS)
    def test_a_spike_of_a_noisy_line_is_found(self, method: str) -> None:
        values = [100 + random.Random(i).gauss(0, 3) for i in range(200)]
        values[150] = 900.0
        found = {anomaly.date: anomaly for anomaly in detect(of(values), Options(method))}
        spike = found[of(values).label(150)]
        assert spike.severity == "critical"
        assert spike.actual_cost == 900
        assert spike.score > 5

    @pytest.mark.parametrize("method", METHODS)
    def test_the_least_amount(self, method: str) -> None:
        values = [100 + random.Random(i).gauss(0, 3) for i in range(200)]
        values[150] = 900.0
        (spike,) = [a for a in detect(of(values), Options(method)) if a.actual_cost == 900]
        off = spike.actual_cost - spike.expected_cost
        at, above = (
            detect(of(values), Options(method, min_amount=amount))
            for amount in (off, off + Decimal("1e-9"))
        )
        assert dates(at) == [spike.date]
        assert above == []

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.sampled_from(["auto", "seasonal"]), st.data())
    def test_a_stream_flags_what_the_range_does(
        self, seed: int, method: str, data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(60, 290))
        factor = data.draw(st.sampled_from([0.05, 3.0, 20.0]))
        until = data.draw(st.sampled_from([at + 1, min(at + 12, 300), 300]))
        series = usual("hour", 300, seed, scaled(factor, at, until))
        options = Options(method)
        whole = detect(series, options)
        assert streamed(series, options) == whole
        cut = Series("hour", START, series.values[:250], "naive")
        assert detect(cut, options) == [one for one in whole if one.date < series.label(250)]

    @pytest.mark.parametrize("method", ["zscore", "iqr", "mad"])
    def test_a_stream_of_a_plain_rule_judges_by_the_past(self, method: str) -> None:
        values = [100.0 + index % 5 for index in range(100)]
        values[10], values[80] = 500.0, 500.0
        series = of(values)
        assert dates(streamed(series, Options(method))) == [series.label(80)]
        assert dates(detect(series, Options(method))) == [series.label(10), series.label(80)]

    def test_nothing_known_is_nothing_found(self) -> None:
        for method in METHODS:
            assert detect(Series("day", START, (None, None)), Options(method)) == []

    def test_costs_have_no_negative_bound(self) -> None:
        values = [5.0, 1.0, 9.0] * 60 + [90.0]
        for method in METHODS:
            assert min(anomaly.lower for anomaly in detect(of(values), Options(method))) >= 0
        (found,) = detect(of([-1.0, *values]), Options("zscore"))
        assert found.lower < 0


class TestOptions:
    @pytest.mark.parametrize(
        ("field", "given"),
        [
            ("method", {"method": "prophet"}),
            ("sensitivity", {"sensitivity": "none"}),
            ("threshold", {"threshold": 0.0}),
            ("threshold", {"threshold": 9e-7}),
            ("threshold", {"threshold": math.inf}),
            ("threshold", {"threshold": math.nan}),
            ("min_amount", {"min_amount": Decimal(-1)}),
            ("min_amount", {"min_amount": Decimal("NaN")}),
        ],
    )
    def test_refusals_name_the_option(self, field: str, given: dict[str, Any]) -> None:
        with pytest.raises(AnomalyError) as refused:
            Options(**given)
        assert refused.value.field == field

    def test_a_given_threshold_stands(self) -> None:
        assert Options("zscore", 2.5, "low").bound == 2.5
        assert Options("zscore", sensitivity="low").bound == 4.0
        assert Options("zscore", sensitivity="high").bound == 2.5

    @pytest.mark.parametrize(
        ("excess", "severity"),
        [
            (1.0, "low"), (1.49, "low"), (1.5, "medium"), (2.49, "medium"), (2.5, "high"),
            (3.99, "high"), (4.0, "critical"), (90.0, "critical"),
        ],
    )  # fmt: skip
    def test_severity_goes_by_distances_of_the_bound(self, excess: float, severity: str) -> None:
        assert severity_of(excess) == severity
