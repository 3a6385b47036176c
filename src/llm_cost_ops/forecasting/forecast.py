"""A forecast of a series: by a named model, with intervals and the back-test they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean
from typing import Any

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.series import Series, SeriesError, trimmed
from llm_cost_ops.forecasting.backtest import (
    Plan,
    absolute_error,
    plan_of,
    relative_error,
    season_scale,
    symmetric_error,
)
from llm_cost_ops.forecasting.interval import half_widths
from llm_cost_ops.forecasting.seasons import MAIN, filled
from llm_cost_ops.forecasting.simple import (
    WINDOWS,
    exponential_smoothing,
    linear,
    moving_average,
    smoothing_weights,
)

MODELS = ("auto", "linear", "moving_average", "exponential_smoothing")
LEAST = {"hour": 7 * 24, "day": 7, "week": 7, "month": 7}
"""Steps that a series must span: seven days, and seven of a longer step."""
LEAST_KNOWN = 7
MAX_HORIZON = 1000
MIN_CONFIDENCE = 0.5
MAX_CONFIDENCE = 0.99
_SIMPLE_ORIGINS = 20
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Prediction:
    """One step ahead: its date as the series writes dates, and the interval around the value."""

    date: str
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the model would have done: errors over `origins` x `horizon` steps of the past.

    `mase` is the mean absolute error over that of the seasonal naive forecast within the series
    (None where the series never changes), `smape` runs from 0 to 2, `mape` is the mean of the
    errors over the values that are not zero (None where all are). `coverage` is the share of
    actual values inside the intervals, each origin's made from the errors of the others.
    """

    mase: float | None
    smape: float
    coverage: float
    origins: int
    horizon: int
    mape: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`members` are the models that `model` combines, with their weights and back-test MASE;
    `errors` the actual values less the forecast ones, a row for each origin of the back-test."""

    model: str
    frequency: str
    confidence: float
    predictions: tuple[Prediction, ...]
    backtest: Backtest
    observed: int
    missing: int
    members: Mapping[str, tuple[float, float | None]] = field(default_factory=dict[str, Any])
    errors: tuple[tuple[float, ...], ...] = ()

    def document(self) -> dict[str, Any]:
        """The answer as it is sent and printed; numbers are Decimals of ten significant digits."""
        test = self.backtest
        return {
            "model": self.model,
            "frequency": self.frequency,
            "predictions": [
                {
                    "date": each.date,
                    "value": number(each.value),
                    "lower_bound": number(each.lower),
                    "upper_bound": number(each.upper),
                }
                for each in self.predictions
            ],
            "backtest": {
                "mase": number(test.mase),
                "smape": number(test.smape),
                "coverage": number(test.coverage),
                "origins": test.origins,
                "horizon": test.horizon,
            },
            "interval": {"confidence": number(self.confidence), "method": "backtest_errors"},
            "members": [
                {"model": name, "weight": number(weight), "mase": number(mase)}
                for name, (weight, mase) in self.members.items()
            ],
            "observed": self.observed,
            "missing": self.missing,
        }


def number(value: float | None) -> Decimal | None:
    """Ten significant digits, plainly written."""
    if value is None:
        return None
    return Decimal(f"{value:.{_DIGITS}g}") + 0


@dataclass(frozen=True, slots=True)
class _Run:
    """A model's forecasts ahead and from each origin, and what it was made of."""

    name: str
    ahead: list[float]
    back: list[list[float]]
    members: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, Any])


def generate(
    series: Series,
    horizon: int,
    *,
    model: str = "auto",
    confidence: float = 0.95,
    lead: int = 0,
) -> Forecast:
    """Forecast `horizon` steps after the end of a series with an interval of this confidence, and
    the `lead` steps before them.

    The same series gives the same answer. A series without a negative value gets none.

    Raises InsufficientData (FORECAST_001) below `LEAST` steps or `LEAST_KNOWN` numbers, SeriesError
    for arguments out of range, and ModuleNotFoundError where `auto` lacks its library.
    """
    _check(horizon, model, confidence)
    horizon += lead
    series = trimmed(series)
    missing = len(series.missing())
    _check_length(series, len(series) - missing)
    known = [None if value is None else float(value) for value in series.values]
    values = filled(known, series.step)
    if model == "auto":
        values, plan, run = _auto(values, series.step, horizon)
    else:
        plan = plan_of(len(values), horizon, _SIMPLE_ORIGINS)
        run = _simple(model, values, series.step, horizon, plan)
    floor = 0.0 if min(values) >= 0 else None
    ahead = _floored(run.ahead, floor)
    back = [_floored(forecast, floor) for forecast in run.back]
    actual = [values[origin : origin + plan.horizon] for origin in plan.origins]
    errors = [
        [a - f for a, f in zip(row, forecast, strict=True)]
        for row, forecast in zip(actual, back, strict=True)
    ]
    widths = half_widths(errors, horizon, confidence)
    scale = season_scale(values, MAIN[series.step])
    return Forecast(
        run.name,
        series.step,
        confidence,
        tuple(
            Prediction(date, value, _floored([value - width], floor)[0], value + width)
            for date, value, width in zip(series.labels_after(horizon), ahead, widths, strict=True)
        ),
        Backtest(
            _over(fmean(map(absolute_error, actual, back)), scale),
            fmean(map(symmetric_error, actual, back)),
            _coverage(errors, confidence),
            len(plan.origins),
            plan.horizon,
            relative_error(actual, back),
        ),
        len(series) - missing,
        missing,
        {name: (weight, _over(error, scale)) for name, (weight, error) in run.members.items()},
        tuple(map(tuple, errors)),
    )


def _check(horizon: int, model: str, confidence: float) -> None:
    if model not in MODELS:
        raise SeriesError(f"must be one of: {', '.join(MODELS)}", field="model")
    if not 1 <= horizon <= MAX_HORIZON:
        raise SeriesError(f"must be from 1 to {MAX_HORIZON} steps", field="horizon")
    check_confidence(confidence)


def check_confidence(confidence: float) -> None:
    """Raises SeriesError for a share that no interval is made for."""
    if not MIN_CONFIDENCE <= confidence <= MAX_CONFIDENCE:
        raise SeriesError(
            f"must be a number from {MIN_CONFIDENCE} to {MAX_CONFIDENCE}", field="confidence"
        )


def _check_length(series: Series, known: int) -> None:
    least = LEAST[series.step]
    told = "7 days" if series.step == "hour" else f"{least} {series.step}s"
    if len(series) < least:
        raise InsufficientData(
            f"Insufficient historical data for forecast (minimum {told} required): the series has "
            f"{len(series)} {series.step}s"
        )
    if known < LEAST_KNOWN:
        raise InsufficientData(
            f"Insufficient historical data for forecast (minimum {LEAST_KNOWN} values required): "
            f"the series has {known}"
        )


def _auto(values: list[float], step: str, horizon: int) -> tuple[list[float], Plan, _Run]:
    from llm_cost_ops.forecasting.auto import LONGEST, ORIGINS, combine

    recent = values[-LONGEST[step] :]
    plan = plan_of(len(recent), horizon, ORIGINS[step])
    made = combine(recent, step, horizon, plan)
    members = {name: (weight, made.errors[name]) for name, weight in made.weights.items()}
    return recent, plan, _Run("+".join(members), made.ahead, made.back, members)


def _simple(model: str, values: list[float], step: str, horizon: int, plan: Plan) -> _Run:
    counts = [len(values), *plan.origins]
    weights = [0.0] * len(counts)
    if model == "exponential_smoothing":
        weights = smoothing_weights(values, counts)

    def forecast(place: int, steps: int) -> list[float]:
        past = values[: counts[place]]
        if model == "linear":
            return linear(past, steps)
        if model == "moving_average":
            return moving_average(past, steps, WINDOWS[step])
        return exponential_smoothing(past, steps, weights[place])

    back = [forecast(place, plan.horizon) for place in range(1, len(counts))]
    return _Run(model, forecast(0, horizon), back)


def _floored(forecast: Sequence[float], floor: float | None) -> list[float]:
    return list(forecast) if floor is None else [max(value, floor) for value in forecast]


def _over(error: float, scale: float) -> float | None:
    return error / scale if scale else None


def _coverage(errors: Sequence[Sequence[float]], confidence: float) -> float:
    inside = total = 0
    for left_out, row in enumerate(errors):
        others = [*errors[:left_out], *errors[left_out + 1 :]]
        widths = half_widths(others, len(row), confidence)
        inside += sum(abs(error) <= width for error, width in zip(row, widths, strict=True))
        total += len(row)
    return inside / total
