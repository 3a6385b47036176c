"""What a forecast adds up to, and holidays in it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.series import Series, SeriesError
from llm_cost_ops.forecasting.forecast import (
    MAX_HORIZON,
    Backtest,
    Forecast,
    Prediction,
    generate,
)
from llm_cost_ops.forecasting.holidays import generate_with
from llm_cost_ops.forecasting.sums import Sums, sums_of


def made(values: list[float], errors: list[list[float]]) -> Forecast:
    predictions = tuple(Prediction(str(i), v, v, v) for i, v in enumerate(values))
    rows = tuple(map(tuple, errors))
    return Forecast("x", "day", 0.9, predictions, Backtest(None, 0, 0, 1, 1), 9, 0, {}, rows)


def test_errors_that_cancel_out_leave_a_small_spread_and_constant_ones_a_large() -> None:
    noise = sums_of(made([1, 1], [[3, -3], [-3, 3]]))
    level = sums_of(made([1, 1], [[3, 3], [-3, -3]]))
    assert noise.middle == level.middle == (1, 2)
    assert noise.spread[1] == noise.spread[0]  # never less than before
    assert level.spread[1] == pytest.approx(2 * level.spread[0])


def test_beyond_what_was_tested_the_spread_grows_on() -> None:
    sums = sums_of(made([1] * 8, [[2, 2]]))
    assert list(sums.spread) == sorted(sums.spread)
    assert sums.spread[7] == pytest.approx(sums.spread[1] * 4**0.75)


def test_chances() -> None:
    sums = Sums((10.0, 20.0), (0.0, 4.0))
    assert (sums.chance_above(9.99, 0), sums.chance_above(10, 0)) == (1, 0)
    assert sums.chance_above(20, 1) == 0.5
    assert sums.chance_above(24, 1) == pytest.approx(0.1587, abs=1e-4)
    assert sums.chance_above(12, 1, 0.5) == pytest.approx(0.1587, abs=1e-4)
    low, high = sums.interval(0.95)
    assert (low, high) == (pytest.approx(12.16, abs=0.01), pytest.approx(27.84, abs=0.01))


FIRST = datetime(2026, 3, 2)  # noqa: DTZ001 - the series' own clock


def days(values: list[int | None]) -> Series:
    return Series("day", FIRST, tuple(None if v is None else Decimal(v) for v in values))


def test_a_holiday_of_the_past_is_kept_out_and_one_ahead_gets_its_factor() -> None:
    values: list[int | None] = [100] * 30
    values[10], values[20] = 20, 40
    off = {(FIRST + timedelta(days=n)).date() for n in (10, 20, 31)}
    found = generate_with(days(values), 3, off, model="linear")
    assert [each.value for each in found.predictions] == [
        pytest.approx(100), pytest.approx(30), pytest.approx(100)
    ]  # fmt: skip
    assert (found.observed, found.missing) == (30, 0)
    assert found.predictions[1].upper == pytest.approx(30)


def test_without_one_in_the_past_a_holiday_is_an_ordinary_day() -> None:
    off = {(FIRST + timedelta(days=31)).date()}
    with_it = generate_with(days([5] * 30), 3, off, model="linear")
    assert with_it == generate(days([5] * 30), 3, model="linear")
    unknown: list[int | None] = [0] * 30
    inside = {(FIRST + timedelta(days=5)).date(), (FIRST + timedelta(days=30)).date()}
    assert generate_with(days(unknown), 2, inside, model="linear").predictions[0].value == 0


def test_longer_steps_know_no_holiday_and_too_many_leave_nothing() -> None:
    weeks = Series("week", FIRST, (Decimal(1),) * 9)
    assert generate_with(weeks, 1, {date(2026, 3, 3)}, model="linear").model == "linear"
    every = {(FIRST + timedelta(days=n)).date() for n in range(40)}
    with pytest.raises(InsufficientData):
        generate_with(days([1] * 9), 1, every, model="linear")


def test_holidays_at_the_ends() -> None:
    values: list[int | None] = [50, *[100] * 28, 50, 60]
    off = {(FIRST + timedelta(days=n)).date() for n in (0, 29, 30, 31)}
    found = generate_with(days(values), 2, off, model="moving_average")
    assert [each.date for each in found.predictions] == ["2026-04-02", "2026-04-03"]
    assert [each.value for each in found.predictions] == [100, 100]  # no holiday to compare with
    most = generate_with(days(values), MAX_HORIZON, off, model="moving_average")
    assert len(most.predictions) == MAX_HORIZON
    with pytest.raises(SeriesError, match="from 1 to 1000 steps"):
        generate_with(days(values), MAX_HORIZON + 1, off, model="moving_average")
    values[10] = 30
    off.add((FIRST + timedelta(days=10)).date())
    found = generate_with(days(values), 2, off, model="moving_average")
    assert [each.value for each in found.predictions] == [pytest.approx(30), 100]
