"""Holidays of a daily or hourly series: kept out of the model, put back by their own factor.

On the holidays of the past the series has its values replaced by what is usual there, so that no
model takes them for noise or a new level. What they were beside that is the holiday factor: the
median of actual over usual daily sums. The forecast of a holiday is multiplied by it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date
from statistics import median

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.series import Series, trimmed
from llm_cost_ops.forecasting.forecast import Forecast, generate
from llm_cost_ops.forecasting.seasons import filled

STEPS = ("hour", "day")
MOST = 4.0
"""A factor beyond it says that a holiday is something else."""


def generate_with(
    series: Series,
    horizon: int,
    holidays: Collection[date] = (),
    *,
    model: str = "auto",
    confidence: float = 0.95,
) -> Forecast:
    """`generate` with holidays, as the series' own clock dates them; of longer steps they are part.

    Without a holiday in the past those ahead are ordinary days. Raises as `generate` does.
    """
    if not holidays or series.step not in STEPS:
        return generate(series, horizon, model=model, confidence=confidence)
    past = trimmed(series)
    ended = _trailing(past, holidays)
    known = replace(past, values=past.values[: len(past) - ended])
    inside = {
        index: None
        for index, value in enumerate(known.values)
        if value is not None and known.moment(index).date() in holidays
    }
    values = [None if index in inside else value for index, value in enumerate(known.values)]
    ordinary = replace(known, values=tuple(values))
    made = generate(ordinary, horizon, model=model, confidence=confidence, lead=ended)
    factor = _factor(known, ordinary, inside)
    dates = [past.moment(len(past) + step).date() for step in range(horizon)]
    predictions = [
        replace(each, value=each.value * factor, lower=each.lower * factor,
                upper=each.upper * factor)
        if day in holidays
        else each
        for each, day in zip(made.predictions[ended:], dates, strict=True)
    ]  # fmt: skip
    return replace(
        made,
        predictions=tuple(predictions),
        observed=made.observed + len(inside),
        missing=made.missing - len(inside),
    )


def _trailing(past: Series, holidays: Collection[date]) -> int:
    """The steps at the end that are holidays: a model must not begin at them, so they are forecast
    as well, and left out."""
    for place in range(len(past) - 1, -1, -1):
        if past.values[place] is not None and past.moment(place).date() not in holidays:
            return len(past) - 1 - place
    raise InsufficientData("Insufficient data: every day of the series is a holiday")


def _factor(past: Series, ordinary: Series, inside: Iterable[int]) -> float:
    """What a holiday is of an ordinary day; 1 where none is known."""
    first = next(index for index, value in enumerate(ordinary.values) if value is not None)
    usual = [0.0] * first
    usual += filled([None if v is None else float(v) for v in ordinary.values[first:]], past.step)
    days: dict[date, list[float]] = {}
    for index in inside:
        if index < first:
            continue
        sums = days.setdefault(past.moment(index).date(), [0.0, 0.0])
        sums[0] += float(past.values[index] or 0)
        sums[1] += usual[index]
    ratios = [actual / expected for actual, expected in days.values() if expected > 0]
    return min(max(median(ratios), 0.0), MOST) if ratios else 1.0
