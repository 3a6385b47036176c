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

from llm_cost_ops.core.errors import DomainError, InsufficientData
from llm_cost_ops.forecasting.asks import NO_LIBRARY, NO_MEMORY, Ask, Outcome, made_of
from llm_cost_ops.forecasting.forecast import Forecast
from llm_cost_ops.server.http.problems import unavailable

INSTALL = "pip install 'llm-cost-ops[forecast]'"
LONGEST_S = 300.0
"""Seconds after which the process is ended."""
RETRY_S = 10


class ForecastUnavailable(DomainError):
    """The library that a model needs is not installed."""

    code = "FORECAST_002"

    def __init__(self) -> None:
        super().__init__(
            f"auto needs the extra `forecast`: {INSTALL} on the server. linear, moving_average and "
            "exponential_smoothing need nothing.",
            field="model",
        )


def forecast_of(asked: Ask) -> Forecast:
    """The forecast. Raises as `outcomes_of` does, and InsufficientData."""
    return required(outcomes_of([asked])[0])


def required(found: Outcome) -> Forecast:
    """The forecast that it is. Raises InsufficientData."""
    if isinstance(found, InsufficientData):
        raise found
    return found


def outcomes_of(asked: Sequence[Ask]) -> list[Outcome]:
    """The forecasts in order. Raises as `made_of` does, ForecastUnavailable, Problem 503 where the
    process cannot begin, is ended from outside or takes too long, and RuntimeError where it fails
    by itself."""
    if all(ask.model != "auto" for ask in asked):
        return [made_of(ask) for ask in asked]
    done = _run(pickle.dumps(list(asked)))
    if done.returncode == NO_LIBRARY:
        raise ForecastUnavailable
    if done.returncode < 0 or done.returncode == NO_MEMORY:
        raise unavailable("The process of the forecast was ended before it was made.", RETRY_S)
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise RuntimeError(f"the process of a forecast ended with {done.returncode}: {told}")
    answer = cast(
        "list[Outcome] | DomainError",
        pickle.loads(done.stdout),  # noqa: S301 - our own child wrote it  # nosec B301
    )
    if isinstance(answer, DomainError):
        raise answer
    return answer


def _run(asked: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            # -P: nothing is imported from where the server happens to stand.
            [sys.executable, "-P", "-m", "llm_cost_ops.forecasting"],
            input=asked,
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise unavailable("The forecast took too long.", RETRY_S) from None
    except OSError as error:  # no memory or process left to begin it with
        raise unavailable("The process of the forecast could not begin.", RETRY_S) from error
