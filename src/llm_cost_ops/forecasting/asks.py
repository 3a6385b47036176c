"""One forecast as it is asked for, so that it can be handed to another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.series import Series
from llm_cost_ops.forecasting.forecast import Forecast
from llm_cost_ops.forecasting.holidays import generate_with

NO_LIBRARY = 3
"""The exit code where `auto` lacks its library."""
NO_MEMORY = 4
"""The exit code where the process is given no more memory."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The arguments of `generate_with`."""

    series: Series
    horizon: int
    model: str
    confidence: float
    holidays: frozenset[date] = field(default=frozenset())


Outcome = Forecast | InsufficientData
"""A forecast, or why the series is too short for one."""


def made_of(ask: Ask) -> Outcome:
    """The forecast. Raises as `generate_with` does but for a series that is too short."""
    try:
        return generate_with(
            ask.series, ask.horizon, ask.holidays, model=ask.model, confidence=ask.confidence
        )
    except InsufficientData as error:
        return error
