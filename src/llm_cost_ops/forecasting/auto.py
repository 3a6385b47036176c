"""`auto`: the models of the library that did best on the series' own past, combined.

Every candidate forecasts from each origin of the back-test that has enough before it: a yearly
model of two and a half years cannot be tried where only one had passed, and must not be lost for
that. Its error is taken relative to what the models that were tried everywhere erred from the same
origins. The best `MEMBERS` by error, as far as they are comparable, are averaged with weights
inverse to it; a combination of different models errs less than the single one that happened to
come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from llm_cost_ops.forecasting.backtest import Plan, absolute_error
from llm_cost_ops.forecasting.library import Family, Values, families, quiet

MEMBERS = 6
FURTHEST = 2.0
"""A model with more than this many times the error of the best is no member."""
LEAST_TRIED = 2
"""Origins from which a candidate must have a forecast."""
ORIGINS = {"hour": 6, "day": 5, "week": 10, "month": 8}
"""Origins of the back-test, by step; more of them where the models are quick."""
LONGEST = {"hour": 8 * 168, "day": 1100, "week": 1200, "month": 600}
"""Values that are looked at, the latest; older ones cost time and say little."""
_FAR = 10.0
"""A forecast further from the series than this many of its ranges is no forecast."""

Tries = dict[int, Values]
"""The forecasts of a model by the place of their origin in the plan."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Forecasts after the end and, for each origin of the plan, after that."""

    ahead: list[float]
    back: list[list[float]]
    errors: Mapping[str, float]
    weights: Mapping[str, float]


def combine(values: Sequence[float], step: str, horizon: int, plan: Plan) -> Combination:
    """Forecast by the best of all candidates. `values` are at most the `LONGEST` of the step."""
    past: Values = np.asarray(values, dtype=float)
    floor = 0.0 if past.min() >= 0 else -np.inf
    ceiling = past.max() + _FAR * (np.ptp(past) or abs(past.max()) or 1.0)

    def tried(family: Family, count: int, steps: int) -> dict[str, Values]:
        try:
            made = family(past[:count], steps)
        except MemoryError:
            raise
        except Exception:  # the library raises whatever its optimizers meet; the others stay
            return {}
        kept = {name: np.maximum(forecast, floor) for name, forecast in made.items()}
        return {
            name: forecast
            for name, forecast in kept.items()
            if np.isfinite(forecast).all() and forecast.max() <= ceiling
        }

    made: dict[str, tuple[Values, Tries]] = {}
    with quiet():
        for family in families(past, step, plan.horizon):
            ahead = tried(family, len(past), horizon)
            back = [tried(family, origin, plan.horizon) for origin in plan.origins]
            for name in ahead:
                tries: Tries = {i: each[name] for i, each in enumerate(back) if name in each}
                if len(tries) >= min(LEAST_TRIED, len(back)):
                    made[name] = ahead[name], tries
    actual = [values[origin : origin + plan.horizon] for origin in plan.origins]
    errors = _errors(actual, {name: tries for name, (_, tries) in made.items()})
    weights = _weights(errors)
    members = [(weight, *made[name]) for name, weight in weights.items()]
    _, naive = made["naive"]
    return Combination(
        _blend([(weight, ahead) for weight, ahead, _ in members]),
        [
            _blend([(weight, tries[i]) for weight, _, tries in members if i in tries])
            or naive[i].tolist()
            for i in range(len(plan.origins))
        ],
        errors,
        weights,
    )


def _errors(actual: Sequence[Sequence[float]], tried: Mapping[str, Tries]) -> dict[str, float]:
    """The mean absolute error of each model; of one that was not tried from every origin, what it
    would be if it erred from the others as it did from its own, beside the models that were."""
    own = {
        name: {i: absolute_error(actual[i], forecast) for i, forecast in tries.items()}
        for name, tries in tried.items()
    }
    whole = [each for each in own.values() if len(each) == len(actual)]
    usual = [fmean(each[i] for each in whole) for i in range(len(actual))]
    found: dict[str, float] = {}
    for name, each in own.items():
        there = fmean(usual[i] for i in each)
        found[name] = fmean(each.values()) * (fmean(usual) / there if there else 1.0)
    return found


def _weights(errors: Mapping[str, float]) -> dict[str, float]:
    best = sorted(errors, key=lambda name: errors[name])[:MEMBERS]
    best = [name for name in best if errors[name] <= FURTHEST * errors[best[0]]]
    if not errors[best[0]]:
        return dict.fromkeys(best, 1 / len(best))
    shares = {name: 1 / errors[name] for name in best}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _blend(forecasts: Sequence[tuple[float, Values]]) -> list[float]:
    """Their mean by weight; nothing of none."""
    if not forecasts:
        return []
    whole = sum(weight for weight, _ in forecasts)
    return np.sum([weight / whole * forecast for weight, forecast in forecasts], axis=0).tolist()
