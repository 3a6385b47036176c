"""Costs: the ledger's rows and their totals, and calls that the caller has priced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

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
from llm_cost_ops.exceptions import NotFoundError

MAX_QUERIES = 100
"""The most queries that the server answers at once."""


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
        record = cost_record(self._caller.settings, data, fields, idempotency_key)
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
            return (yield from self._summary(query))
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
        return listed(self._caller, "/costs", scoped(self._caller, query), CostRecord)

    @listing
    def list_stream(self, **query: Unpack[ListFields]) -> PageWalk[CostRecord]:
        """Iterate over rows of the ledger, one page in memory at a time."""
        return streamed(self._caller, "/costs", scoped(self._caller, query), CostRecord)

    @endpoint
    def aggregate(self, **query: Unpack[AggregateFields]) -> Flow[Page[Row]]:
        """Totals per group: `group_by=["provider", "model"]`, `metrics=["sum", "count", "avg"]`."""
        return self._groups(query)

    @endpoint
    def summary(self, **query: Unpack[Filters]) -> Flow[CostSummary]:
        """Totals of a period: total_cost, total_requests, avg_cost_per_request and counts."""
        return self._summary(query)

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
        """The totals of each filter, in order; `days=30` in a filter is the last 30 days.

        Each row also carries the fields of its filter, so that rows can be told apart.
        """
        given = [dict(query) for query in filters]
        rows: list[CostSummary] = []
        for start in range(0, len(given), MAX_QUERIES):
            part = given[start : start + MAX_QUERIES]
            queries = [scoped(self._caller, query) for query in part]
            body = yield from self._caller.ask("/costs/query", {"queries": queries})
            answers = many(body, CostSummary)
            rows += [
                CostSummary({**query, **answer})
                for query, answer in zip(part, answers, strict=True)
            ]
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
        return self._groups({**query, "group_by": [*groups, granularity]})

    @endpoint
    def get_cost_trends(self, **query: Unpack[Filters]) -> Flow[Page[Row]]:
        """Totals per day, of the last 30 days unless a period is given."""
        dated = query.keys() & {"days", "period", "start_date", "end_date"}
        last = {} if dated else {"days": 30}
        return self._groups({**last, **query, "group_by": "day"})

    def _summary(self, query: Mapping[str, Any]) -> Flow[CostSummary]:
        body = yield from self._caller.get("/costs/summary", scoped(self._caller, query))
        return one(body, CostSummary)

    def _groups(self, query: Mapping[str, Any]) -> Flow[Page[Row]]:
        asked = scoped(self._caller, query)
        limit = asked.pop("limit", None)
        walk = PageWalk(self._caller, "/costs/aggregate", asked, Row, limit=limit, page_size=None)
        return walk.collect()

    list_paginated = list_stream
    get_costs = list


class Costs(CostCalls, SyncResource):
    """`client.costs`"""


class AsyncCosts(CostCalls, AsyncResource):
    """`client.costs` of the asynchronous client"""
