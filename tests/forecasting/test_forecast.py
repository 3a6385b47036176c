"""Whole forecasts: what is promised of every answer, and the edges of the input."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.series import MONTH_END, Series, SeriesError
from llm_cost_ops.forecasting.forecast import MAX_HORIZON, MODELS, Forecast, generate, number

SIMPLE = MODELS[1:]


def series_of(
    values: Sequence[float | None], step: str = "day", start: str = "2025-01-01"
) -> Series:
    numbers = tuple(None if value is None else Decimal(repr(value)) for value in values)
    form = "naive" if step == "hour" else "date"
    return Series(step, datetime.fromisoformat(start), numbers, form)


def weekly(count: int, seed: int = 1) -> list[float]:
    """Days with a weekend, a slow trend and noise."""
    draw = random.Random(seed)
    return [
        (60.0 if day % 7 in (5, 6) else 100.0) + 0.1 * day + draw.gauss(0, 4)
        for day in range(count)
    ]


def keeps_its_promises(made: Forecast, horizon: int, floor: bool) -> None:
    assert len(made.predictions) == horizon
    before = 0.0
    for each in made.predictions:
        assert each.lower <= each.value <= each.upper
        assert math.isfinite(each.lower)
        assert math.isfinite(each.upper)
        assert each.lower >= 0 or not floor
        assert each.upper - each.value >= before - 1e-9 * abs(each.upper)
        before = each.upper - each.value


@given(
    st.lists(st.one_of(st.floats(0, 1e9), st.none()), min_size=14, max_size=80),
    st.sampled_from(SIMPLE),
    st.integers(1, 60),
    st.sampled_from([0.5, 0.8, 0.95, 0.99]),
)
def test_simple_models_keep_their_promises(
    values: list[float | None], model: str, horizon: int, confidence: float
) -> None:
    series = series_of([1.0, *[2.0] * 6, *values, 3.0])
    made = generate(series, horizon, model=model, confidence=confidence)
    keeps_its_promises(made, horizon, floor=True)
    assert made.model == model


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.one_of(st.floats(0, 1e6), st.none()), min_size=8, max_size=40),
    st.sampled_from(["day", "week", "month"]),
    st.integers(1, 20),
)
def test_auto_keeps_its_promises(values: list[float | None], step: str, horizon: int) -> None:
    made = generate(series_of([*[1.0] * 7, *values, 3.0], step), horizon)
    keeps_its_promises(made, horizon, floor=True)


@pytest.mark.parametrize("model", MODELS)
def test_the_same_series_gives_the_same_bytes(model: str) -> None:
    series = series_of(weekly(70))
    answers = {dumps(generate(series, 14, model=model).document()) for _ in range(2)}
    assert len(answers) == 1


def test_auto_finds_the_week() -> None:
    values = weekly(140)
    made = generate(series_of(values[:126]), 14)
    errors = [abs(p.value - v) for p, v in zip(made.predictions, values[126:], strict=True)]
    assert sum(errors) / 14 < 6  # the noise alone has 3.2, a flat line about 17
    assert made.backtest.mase is not None
    assert made.backtest.mase < 1
    assert made.model == "+".join(made.members)
    assert sum(weight for weight, _ in made.members.values()) == pytest.approx(1)


def test_auto_finds_the_day_in_hours() -> None:
    values = [50 + 30 * math.sin(hour / 24 * math.tau) for hour in range(24 * 16)]
    made = generate(series_of(values[: 24 * 14], "hour"), 48)
    errors = [abs(p.value - v) for p, v in zip(made.predictions, values[24 * 14 :], strict=True)]
    assert max(errors) < 1
    assert made.predictions[0].date == "2025-01-15T00:00:00"


def test_zeros_long_ago_do_not_rule_out_smoothing() -> None:
    from llm_cost_ops.forecasting.library import families, quiet

    past = np.asarray([*[0.0] * 30, *(v * 3 ** (day / 90) for day, v in enumerate(weekly(190)))])
    with quiet():
        names = [name for family in families(past, "day") for name in family(past, 7)]
    assert {"ets", "ets_7"} <= set(names)


def test_the_answer_has_the_documented_fields() -> None:
    document = generate(series_of(weekly(60)), 2, model="linear").document()
    assert list(document)[:4] == ["model", "frequency", "predictions", "backtest"]
    assert document["frequency"] == "day"
    assert list(document["predictions"][0]) == ["date", "value", "lower_bound", "upper_bound"]
    assert document["predictions"][1]["date"] == "2025-03-03"
    assert list(document["backtest"])[:3] == ["mase", "smape", "coverage"]
    assert document["interval"] == {"confidence": Decimal("0.95"), "method": "backtest_errors"}
    assert document["observed"] == 60


@pytest.mark.parametrize("model", MODELS)
def test_seven_days_suffice_and_six_do_not(model: str) -> None:
    with pytest.raises(
        InsufficientData, match=r"for forecast \(minimum 7 days required\): .* 6 days"
    ) as caught:
        generate(series_of(weekly(6)), 30, model=model)
    assert caught.value.code == "FORECAST_001"
    keeps_its_promises(generate(series_of(weekly(7)), 30, model=model), 30, floor=True)


def test_hours_need_seven_days_of_them() -> None:
    hours = [float(hour % 24) for hour in range(168)]
    assert len(generate(series_of(hours, "hour"), 1, model="linear").predictions) == 1
    with pytest.raises(
        InsufficientData, match=r"minimum 7 days required\): the series has 167 hours"
    ):
        generate(series_of(hours[1:], "hour"), 1, model="linear")


def test_weeks_and_months_need_seven() -> None:
    with pytest.raises(InsufficientData, match="7 weeks"):
        generate(series_of([1.0] * 6, "week"), 1, model="linear")
    months = replace(series_of([1.0] * 7, "month", "2025-01-31"), anchor=MONTH_END)
    made = generate(months, 2, model="linear")
    assert [each.date for each in made.predictions] == ["2025-08-31", "2025-09-30"]


def test_seven_values_must_be_known() -> None:
    gaps: list[float | None] = [1.0, None, 1.0, 1.0, 1.0, None, 1.0, 2.0]
    with pytest.raises(InsufficientData, match=r"minimum 7 values required\): the series has 6"):
        generate(series_of(gaps), 1, model="linear")
    made = generate(series_of([*gaps, 2.0]), 1, model="linear")
    assert (made.observed, made.missing) == (7, 2)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("value", "bound"), [(0.0, 0.0), (12.5, 12.5)], ids=["all zero", "constant"]
)
def test_what_never_changes_goes_on(model: str, value: float, bound: float) -> None:
    made = generate(series_of([value] * 30), 5, model=model)
    for each in made.predictions:
        assert (each.value, each.lower, each.upper) == pytest.approx((value, bound, bound))
    assert made.backtest.mase is None


@pytest.mark.parametrize("model", MODELS)
def test_one_spike_is_not_the_future(model: str) -> None:
    values = weekly(90)
    values[40] = 50_000.0
    made = generate(series_of(values), 7, model=model)
    keeps_its_promises(made, 7, floor=True)
    assert all(each.value < 3000 for each in made.predictions)


@pytest.mark.parametrize("model", MODELS)
def test_horizons_from_one_to_the_largest(model: str) -> None:
    series = series_of(weekly(40))
    keeps_its_promises(generate(series, 1, model=model), 1, floor=True)
    keeps_its_promises(generate(series, MAX_HORIZON, model=model), MAX_HORIZON, floor=True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"horizon": 0}, "horizon"),
        ({"horizon": MAX_HORIZON + 1}, "horizon"),
        ({"model": "prophet"}, "model"),
        ({"confidence": 0.49}, "confidence"),
        ({"confidence": 0.991}, "confidence"),
    ],
)
def test_arguments_out_of_range_are_named(change: dict[str, object], field: str) -> None:
    arguments: dict[str, object] = {"horizon": 3, "model": "linear", "confidence": 0.95, **change}
    horizon = arguments.pop("horizon")
    call: Callable[..., Forecast] = generate
    with pytest.raises(SeriesError) as caught:
        call(series_of(weekly(30)), horizon, **arguments)
    assert caught.value.field == field


def test_a_falling_series_stops_at_zero_and_one_with_credits_does_not() -> None:
    falling = [float(30 - day) for day in range(30)]
    assert generate(series_of(falling), 10, model="linear").predictions[-1].value == 0
    credited = [*falling[:-1], -1.0]
    assert generate(series_of(credited), 10, model="linear").predictions[-1].value < -5


def test_a_higher_confidence_is_wider() -> None:
    series = series_of(weekly(80))
    widths = [
        generate(series, 3, model="moving_average", confidence=share).predictions[2].upper
        for share in (0.8, 0.9, 0.95)
    ]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3


@pytest.mark.parametrize("count", range(7, 30))
def test_the_shortest_series_have_two_origins_for_the_coverage(count: int) -> None:
    made = generate(series_of(weekly(count)), 30, model="linear")
    assert made.backtest.origins >= 2
    assert 0 <= made.backtest.coverage <= 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1 + 0.2, "0.3"), (1e-7, "1E-7"), (123456789.987654, "123456790.0"), (-0.0, "0")],
)
def test_numbers_have_ten_digits(value: float, text: str) -> None:
    assert number(value) == Decimal(text)
    assert number(None) is None


def test_a_season_that_early_origins_do_not_hold_can_be_chosen() -> None:
    """Two years of weeks: from the earliest origins no yearly model can be tried."""
    noise = random.Random(5)
    weeks = [100 + 60 * math.sin(math.tau * week / 52) + noise.gauss(0, 4) for week in range(112)]
    made = generate(series_of(weeks, "week"), 13)
    assert any(name.startswith(("seasonal_", "mstl_", "log_mstl_")) for name in made.members)
    assert sum(weight for weight, _ in made.members.values()) == pytest.approx(1)
    ahead = [100 + 60 * math.sin(math.tau * week / 52) for week in range(112, 125)]
    off = [abs(each.value - true) for each, true in zip(made.predictions, ahead, strict=True)]
    assert fmean(off) < 0.5 * fmean(abs(weeks[-1] - true) for true in ahead)
