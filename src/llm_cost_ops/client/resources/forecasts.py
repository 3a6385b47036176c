"""Forecasts and anomalies of what is spent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Unpack

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.fields import ExaminationFields, ForecastFields, Money
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Anomaly, BudgetForecast, Forecast, Row


class AnomalyCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Anomaly]]:
        """Anomalies that the server found as they happened, the latest first; by `interval`,
        `dimension`, `value`, `severity`, `is_anomaly`, `start_date`, `end_date`."""
        asked = scoped(self._caller, query)
        return listed(self._caller, "/forecasts/anomalies/found", asked, Anomaly)

    @endpoint
    def get(self, anomaly_id: str, /) -> Flow[Anomaly]:
        """One anomaly with its causes. Raises NotFoundError."""
        path = f"/forecasts/anomalies/{segment(anomaly_id)}"
        return one((yield from self._caller.get(path)), Anomaly)

    @endpoint
    def causes(self, anomaly: str | Mapping[str, Any], /) -> Flow[Row]:
        """The parts of its jump by the ledger of now: `.drivers`, `.members`, `.jump`."""
        path = f"/forecasts/anomalies/{segment(_id(anomaly))}/causes"
        return one((yield from self._caller.get(path)), Row)

    @endpoint
    def feedback(
        self,
        anomaly: str | Mapping[str, Any],
        is_anomaly: bool | None,
        /,
        *,
        note: str | None = None,
    ) -> Flow[Anomaly]:
        """Say whether it was one. After a false alarm only what is further out is flagged there;
        None takes back what was said."""
        said = "none" if is_anomaly is None else is_anomaly  # nothing is sent of a None
        body = {"is_anomaly": said, "note": note}
        path = f"/forecasts/anomalies/{segment(_id(anomaly))}/feedback"
        return one((yield from self._caller.write("POST", path, body)), Anomaly)


class Anomalies(AnomalyCalls, SyncResource):
    """`client.forecasts.anomalies`"""


class AsyncAnomalies(AnomalyCalls, AsyncResource):
    """`client.forecasts.anomalies` of the asynchronous client"""


class ForecastCalls:
    _caller: Caller

    @endpoint
    def generate(
        self,
        *,
        model: str | None = None,
        confidence_level: Money | None = None,
        **fields: Unpack[ForecastFields],
    ) -> Flow[Forecast]:
        """Forecast what will be spent: `.predictions[-1].value`, `.lower_bound`, `.upper_bound`.

        `model` is `exponential_smoothing` (the default), `linear`, `moving_average` or `auto`.
        The forecast is kept under its `.id`. Raises APIError (`.code` FORECAST_001) below 7 days.
        """
        given = {"model": model, "confidence_level": confidence_level, **fields}
        body = scoped(self._caller, _given(given))
        return one((yield from self._caller.write("POST", "/forecasts", body)), Forecast)

    @endpoint
    def get(self, forecast_id: str, /) -> Flow[Forecast]:
        """One forecast as it was made. Raises NotFoundError."""
        return one((yield from self._caller.get(f"/forecasts/{segment(forecast_id)}")), Forecast)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Forecast]]:
        """Forecasts that were kept, the newest first."""
        return listed(self._caller, "/forecasts", scoped(self._caller, query), Forecast)

    @endpoint
    def budget(
        self,
        budget_id: str | None = None,
        *,
        model: str | None = None,
        confidence_level: Money | None = None,
        **fields: Any,
    ) -> Flow[BudgetForecast]:
        """When a budget will be exceeded (`.breach_date`), and how likely
        (`.breach_probability`). Without an id of one that is not stored: `amount`, `period`,
        `scope` ..."""
        given = {
            "budget_id": budget_id,
            "model": model,
            "confidence_level": confidence_level,
            **fields,
        }
        body = scoped(self._caller, _given(given))
        return one((yield from self._caller.ask("/forecasts/budget", body)), BudgetForecast)

    @endpoint
    def detect_anomalies(
        self,
        *,
        method: str | None = None,
        threshold: Money | None = None,
        **fields: Unpack[ExaminationFields],
    ) -> Flow[Page[Anomaly]]:
        """The days (or hours, weeks, months) of a period that are not as they should have been:
        `.date`, `.actual_cost`, `.expected_cost`. `method` is `auto`, `seasonal`, `mad`,
        `zscore` or `iqr`."""
        body = scoped(self._caller, _given({"method": method, "threshold": threshold, **fields}))
        return many((yield from self._caller.ask("/forecasts/anomalies", body)), Anomaly)


class Forecasts(ForecastCalls, SyncResource):
    """`client.forecasts`, also `client.forecast`"""

    @cached_property
    def anomalies(self) -> Anomalies:
        """Anomalies that the server found."""
        return Anomalies(self._caller, self._driver)


class AsyncForecasts(ForecastCalls, AsyncResource):
    """`client.forecasts` of the asynchronous client, also `client.forecast`"""

    @cached_property
    def anomalies(self) -> AsyncAnomalies:
        """Anomalies that the server found."""
        return AsyncAnomalies(self._caller, self._driver)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _id(anomaly: str | Mapping[str, Any]) -> str:
    return anomaly if isinstance(anomaly, str) else str(anomaly["id"])
