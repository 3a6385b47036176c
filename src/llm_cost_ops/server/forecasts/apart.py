"""Forecasts by `auto` in a process of their own.

The library of `auto` holds the interpreter for up to seconds at a time, and with it every request
that the process serves; a thread does not help. The simple models are made where they are asked
for.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.forecasting.asks import NO_LIBRARY, Ask, made_of
from llm_cost_ops.forecasting.forecast import Forecast

INSTALL = "pip install 'llm-cost-ops[forecast]'"
LONGEST_S = 1800.0


class ForecastUnavailable(DomainError):
    """The library that a model needs is not installed."""

    code = "FORECAST_002"

    def __init__(self) -> None:
        super().__init__(
            f"auto needs the extra `forecast`: {INSTALL} on the server. linear, moving_average and "
            "exponential_smoothing need nothing.",
            field="model",
        )


def forecasts_of(asked: Sequence[Ask]) -> list[Forecast]:
    """The forecasts in order. Raises as `generate_with` does, ForecastUnavailable, and RuntimeError
    where the process fails."""
    if all(ask.model != "auto" for ask in asked):
        return [made_of(ask) for ask in asked]
    done = subprocess.run(
        [sys.executable, "-m", "llm_cost_ops.forecasting"],
        input=pickle.dumps(list(asked)),
        capture_output=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode == NO_LIBRARY:
        raise ForecastUnavailable
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise RuntimeError(f"the process of a forecast ended with {done.returncode}: {told}")
    answer = cast(
        "list[Forecast] | DomainError",
        pickle.loads(done.stdout),  # noqa: S301 - our own child wrote it
    )
    if isinstance(answer, DomainError):
        raise answer
    return answer
