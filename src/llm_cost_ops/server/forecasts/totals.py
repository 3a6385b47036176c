"""What a forecast says of single steps and of them all, as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.series import Series
from llm_cost_ops.forecasting.forecast import Forecast, number
from llm_cost_ops.forecasting.sums import sums_of

Document = dict[str, Any]


def predictions_of(document: Mapping[str, Any]) -> list[Document]:
    """The predictions with their value under both of its names."""
    return [{**row, "predicted_cost": row["value"]} for row in document["predictions"]]


def total_of(made: Forecast, past: Series, confidence: float) -> Document:
    """The sum of all steps with its bounds; what was never negative has none below zero."""
    sums = sums_of(made)
    low, high = sums.interval(confidence)
    floor = 0.0 if min(float(v) for v in past.values if v is not None) >= 0 else low
    return {
        "predicted_cost": number(sums.middle[-1]),
        "lower_bound": number(max(low, floor)),
        "upper_bound": number(high),
    }
