"""Costs: the ledger's rows and their totals, and calls that the caller has priced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Unpack, cast

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint, listing
from llm_cost_ops.client.fields import (
    AggregateFields,
    CostFields,
    EstimateFields,
    Filters,
    ListFields,
)
from llm_cost_ops.client.pages import BatchResult, Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.bulk import send_batches
from llm_cost_ops.client.resources.estimates import ask_estimates
from llm_cost_ops.client.resources.lists import listed, scoped, streamed
from llm_cost_ops.client.resources.records import cost_record
from llm_cost_ops.client.rows import CostRecord, CostSummary, Estimate, Row
from llm_cost_ops.client.walks import PageWalk
from llm_cost_ops.client.wire import unfit
from llm_cost_ops.exceptions import NotFoundError


class CostCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        data: object = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[CostFields],
    ) -> Flow[CostRecord]:
        """Record one call with the cost you state, rounded half-even to ten places."""
        record = cost_record(self._caller.settings, data, fields)
        body = yield from self._caller.write(
            "POST", "/costs", record, idempotency_key=idempotency_key
        )
        return one(body, CostRecord)

    @endpoint
    def bulk_create(
        self, records: Iterable[object], /, *, atomic: bool = True
    ) -> Flow[BatchResult[CostRecord]]:
        """Record many calls with the costs you state: all of them, or ValidationError and none.

        With `atomic=False` a refused record does not stop the others; each result has a `status`.
        """
        settings = self._caller.settings
        prepared = (cost_record(settings, record, {}) for record in records)
        return send_batches(
            self._caller, "/costs/bulk", prepared, CostRecord, atomic=atomic, echo=True
        )

    @endpoint
    def get(
        self,
        cost_id: str | None = None,
        /,
        *,
        id: str | None = None,
        usage_id: str | None = None,
        **query: Unpack[AggregateFields],
    ) -> Flow[Row]:
        """One row by its id, or by `usage_id`; without either, the summary of the filters.

        Raises NotFoundError.
        """
        wanted = cost_id or id
        if wanted is not None:
            return one((yield from self._caller.get(f"/costs/{segment(wanted)}")), CostRecord)
        if usage_id is None:
            return one((yield from self._totals("summary", query)), CostSummary)
        params = scoped(self._caller, {"usage_ids": [usage_id], "limit": 1})
        rows = many((yield from self._caller.get("/costs", params)), CostRecord)
        if not rows:
            raise NotFoundError(f"no cost of usage {usage_id}", status_code=404)
        return rows[0]

    @endpoint
    def update(
        self,
        cost_id: str,
        /,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> Flow[CostRecord]:
        """Replace metadata or tags; everything else of a recorded call stands for ever."""
        changes = {"metadata": metadata, "tags": tags}
        body = yield from self._caller.write("PATCH", f"/costs/{segment(cost_id)}", changes)
        return one(body, CostRecord)

    @endpoint
    def delete(self, cost_id: str, /) -> Flow[None]:
        """Void a call by a reversing entry: it leaves lists and totals. Raises NotFoundError."""
        yield from self._caller.write("DELETE", f"/costs/{segment(cost_id)}")

    @endpoint
    def list(self, **query: Unpack[ListFields]) -> Flow[Page[CostRecord]]:
        """The ledger's rows: all (up to 100,000) or the part that limit, page or cursor ask for."""
        return listed(self._caller, "/costs", query, CostRecord)

    @listing
    def list_stream(self, **query: Unpack[ListFields]) -> PageWalk[CostRecord]:
        """Iterate over rows of the ledger, one page in memory at a time."""
        return streamed(self._caller, "/costs", query, CostRecord)

    @endpoint
    def aggregate(self, **query: Unpack[AggregateFields]) -> Flow[Page[Row]]:
        """Totals per group: `group_by=["provider", "model"]`, `metrics=["sum", "count", "avg"]`."""
        return many((yield from self._totals("aggregate", query)), Row)

    @endpoint
    def summary(self, **query: Unpack[Filters]) -> Flow[CostSummary]:
        """Totals of a period: total_cost, total_requests, avg_cost_per_request and counts."""
        return one((yield from self._totals("summary", query)), CostSummary)

    @endpoint
    def breakdown(self, **query: Any) -> Flow[Page[Row]]:
        """Totals by `dimensions` and `metrics`, each dimension on its own."""
        return many((yield from self._caller.ask("/costs/breakdown", query)), Row)

    @endpoint
    def query(self, query: Mapping[str, Any] | None = None, /, **fields: Any) -> Flow[Page[Row]]:
        """A query with operators: `filters={"cost": {"gte": 1}, "model": {"in": [..]}}`."""
        asked = {**(query or {}), **fields}
        return many((yield from self._caller.ask("/costs/query", asked)), Row)

    @endpoint
    def batch_query(self, filters: Iterable[Mapping[str, Any]]) -> Flow[Page[CostSummary]]:
        """The summary of each filter, in order; `days=30` in a filter is the last 30 days.

        Each row also carries the fields of its filter, so that rows can be told apart.
        """
        now = self._caller.now()
        rows: list[CostSummary] = []
        for given in filters:
            query = {name: value for name, value in given.items() if name != "days"}
            if "days" in given:
                query["start_date"] = now - timedelta(days=_days(given["days"]))
            body = yield from self._totals("summary", query)
            rows.append(CostSummary({**given, **one(body, CostSummary)}))
        return Page(rows)

    @endpoint
    def estimate(
        self,
        items: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        /,
        **item: Unpack[EstimateFields],
    ) -> Flow[Page[Estimate]]:
        """What calls would cost by the server's prices, one row per item; nothing is stored."""
        return ask_estimates(self._caller, items, item)

    @endpoint
    def get_cost_breakdown(
        self, *, granularity: str = "day", **query: Unpack[AggregateFields]
    ) -> Flow[Page[Row]]:
        """Totals per `granularity` (hour, day, week, month) and any `group_by`."""
        given = query.pop("group_by", None) or []
        groups = [given] if isinstance(given, str) else [*given]
        body = yield from self._totals("aggregate", {**query, "group_by": [*groups, granularity]})
        return many(body, Row)

    @endpoint
    def get_cost_trends(self, *, days: int = 30, **query: Unpack[Filters]) -> Flow[Page[Row]]:
        """Totals per day over the last `days` days."""
        since = self._caller.now() - timedelta(days=_days(days))
        asked = {**query, "group_by": "day", "start_date": since.date()}
        return many((yield from self._totals("aggregate", asked)), Row)

    def _totals(self, name: str, query: Mapping[str, Any]) -> Flow[Any]:
        return self._caller.get(f"/costs/{name}", scoped(self._caller, query))

    list_paginated = list_stream
    get_costs = list


class Costs(CostCalls, SyncResource):
    """`client.costs`"""


class AsyncCosts(CostCalls, AsyncResource):
    """`client.costs` of the asynchronous client"""


def _days(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise unfit("days", f"must be a number of days, not {value!r}")
    return cast("float", value)
