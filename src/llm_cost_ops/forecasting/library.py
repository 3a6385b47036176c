"""The models of the library (statsforecast), each as a function of past values and a horizon.

Nothing else imports it, and this module is imported only when `auto` is asked for: loading it and
what it loads takes a second or more.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import statsforecast.models  # pyright: ignore[reportMissingTypeStubs]

from llm_cost_ops.forecasting.seasons import MAIN, periods_in

Values = Any
"""A numpy array of float64: the library has no types of its own."""
Family = Callable[[Values, int], Mapping[str, Values]]
"""Forecasts of one or more models that share work, by name, from past values and a horizon."""
LONGEST_SEASON = 24
"""From it on, exponential smoothing with one state a step of the season is slow and unstable."""
_MANY_DAYS = 300
"""From it on the plain forms win nothing by days, and take a tenth of the time."""
_SEASONS_FOR_FORM = 13
_LEAST_FOR_FORM = 10
_models: Any = statsforecast.models
_AVERAGED = 3
"""Seasons that the seasonal average is the mean of, where there are as many."""


def families(past: Values, step: str, tested: int = 0) -> Iterator[Family]:
    """Everything that can be tried on a series. The forms of exponential smoothing are not chosen
    by its last `tested` values, which a back-test forecasts."""
    yield _single("naive", _models.Naive())
    season = MAIN[step]
    periods = periods_in(step, len(past))
    if season not in periods:
        season = 1
    # By days the seasonal ones test whether there is a season; a short series can mislead them.
    if season == 1 or step not in ("hour", "day") or (step == "day" and len(past) < _MANY_DAYS):
        yield _single("ets", _smoothing(past, 1, tested))
        yield _single("ces", _models.AutoCES(season_length=1, model="N"))
        if step != "day" or season == 1:  # theta_7 tests itself whether there is a season
            yield _single("theta", _models.DynamicOptimizedTheta(season_length=1))
    if season > 1:
        if season < LONGEST_SEASON:
            yield _single(f"ets_{season}", _smoothing(past, season, tested))
        yield _single(f"ces_{season}", _models.AutoCES(season_length=season))
        yield _single(f"theta_{season}", _models.DynamicOptimizedTheta(season_length=season))
    for period in periods:
        yield _single(f"seasonal_naive_{period}", _models.SeasonalNaive(season_length=period))
        yield _seasonal_average(period)
    if periods:
        # By days its parameters' search costs half the time and wins nothing.
        theta = _models.Theta if step == "day" else _models.DynamicOptimizedTheta
        yield partial(_decomposed, periods=periods, theta=theta)
        if (past > 0).all():
            yield partial(_decomposed_logarithms, periods=periods, theta=theta)


def _single(name: str, model: Any) -> Family:
    return lambda past, horizon: {name: _mean(model, past, horizon)}


def _mean(model: Any, past: Values, horizon: int) -> Values:
    return np.asarray(model.forecast(y=past, h=horizon)["mean"], dtype=float)


def _seasonal_average(period: int) -> Family:
    def forecast(past: Values, horizon: int) -> Mapping[str, Values]:
        seasons = min(_AVERAGED, len(past) // period)
        model = _models.SeasonalWindowAverage(season_length=period, window_size=seasons)
        return {f"seasonal_average_{period}": _mean(model, past, horizon)}

    return forecast


def _decomposed(
    past: Values, horizon: int, periods: Sequence[int], theta: Any
) -> Mapping[str, Values]:
    """Seasonal parts by repeated LOESS, drawn on as they last were; the rest by theta and naive."""
    # LOESS is evaluated at every few points and interpolated, as R's stl does.
    jump = max(1, round(0.15 * periods[0]))
    jumps = {"seasonal_jump": 2, "trend_jump": jump, "low_pass_jump": jump}
    # A season that the past does not hold twice cannot be split off.
    held = [period for period in periods if len(past) >= 2 * period]
    fitted = _models.MSTL(
        season_length=held, trend_forecaster=_models.Naive(), stl_kwargs=jumps
    ).fit(past)
    adjusted = fitted.model_[["trend", "remainder"]].sum(axis=1).to_numpy()
    level = fitted.predict(h=horizon)["mean"]
    drawn_on = _mean(theta(season_length=1), adjusted, horizon)
    return {"mstl_naive": level, "mstl_theta": level - adjusted[-1] + drawn_on}


def _decomposed_logarithms(
    past: Values, horizon: int, periods: Sequence[int], theta: Any
) -> Mapping[str, Values]:
    made = _decomposed(np.log(past), horizon, periods, theta)
    return {"log_mstl_theta": np.exp(made["mstl_theta"])}


def _smoothing(past: Values, season: int, tested: int) -> Any:
    """Exponential smoothing of the form that suits the series (a seasonal one: its newest part)
    best by AICc, without its last `tested` values where enough are left; the back-test fits it anew
    at each origin, but does not choose it again."""
    if len(past) - tested >= max(_LEAST_FOR_FORM, 2 * season + 2):
        past = past[: len(past) - tested]
    newest = past[-_SEASONS_FOR_FORM * season :] if season > 1 else past
    if newest.min() > 0 >= past.min():  # a multiplicative form would not fit the older values
        newest = past
    with quiet():
        form: str = _models.AutoETS(season_length=season).fit(newest).model_["components"]
    return _models.AutoETS(season_length=season, model=form[:3], damped=form[3] != "N")


def quiet() -> warnings.catch_warnings:
    """Within this, what the library says of short or constant series goes nowhere."""
    return warnings.catch_warnings(action="ignore")
