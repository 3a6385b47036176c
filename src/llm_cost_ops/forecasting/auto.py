"""`auto`: the models of the library that did best on the series' own past, combined.

Every candidate forecasts from each origin of the back-test. The best `MEMBERS` by mean absolute
error, as far as they are comparable, are averaged with weights inverse to the square of that error;
a combination of different models errs less than the single one that happened to come first.
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
ORIGINS = {"hour": 6, "day": 6, "week": 10, "month": 8}
"""Origins of the back-test, by step; more of them where the models are quick."""
LONGEST = {"hour": 8 * 168, "day": 1100, "week": 1200, "month": 600}
"""Values that are looked at, the latest; older ones cost time and say little."""
_FAR = 10.0
"""A forecast further from the series than this many of its ranges is no forecast."""


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

    made: dict[str, tuple[Values, list[Values]]] = {}
    with quiet():
        for family in families(past, step):
            ahead = tried(family, len(past), horizon)
            back = [tried(family, origin, plan.horizon) for origin in plan.origins]
            for name in ahead:
                if all(name in each for each in back):
                    made[name] = ahead[name], [each[name] for each in back]
    actual = [values[origin : origin + plan.horizon] for origin in plan.origins]
    errors = {name: fmean(map(absolute_error, actual, back)) for name, (_, back) in made.items()}
    weights = _weights(errors)
    members = [(weight, *made[name]) for name, weight in weights.items()]
    return Combination(
        _blend([(weight, ahead) for weight, ahead, _ in members]),
        [
            _blend([(weight, back[place]) for weight, _, back in members])
            for place in range(len(plan.origins))
        ],
        errors,
        weights,
    )


def _weights(errors: Mapping[str, float]) -> dict[str, float]:
    best = sorted(errors, key=lambda name: errors[name])[:MEMBERS]
    best = [name for name in best if errors[name] <= FURTHEST * errors[best[0]]]
    if not errors[best[0]]:
        return dict.fromkeys(best, 1 / len(best))
    shares = {name: errors[name] ** -2 for name in best}
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _blend(forecasts: Sequence[tuple[float, Values]]) -> list[float]:
    return np.sum([weight * forecast for weight, forecast in forecasts], axis=0).tolist()
