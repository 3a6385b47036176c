"""Analytics: measures over time and the heaviest users of money."""

from __future__ import annotations

from typing import Any, Unpack

from llm_cost_ops.client.amount import Amount
from llm_cost_ops.client.caller import Caller, is_list, many, one
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.fields import AggregateFields, Filters
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import scoped
from llm_cost_ops.client.rows import Row


class AnalyticsCalls:
    _caller: Caller

    @endpoint
    def query(self, **query: Unpack[AggregateFields]) -> Flow[Page[Row] | Row]:
        """Measures (`metrics`) per `interval` and `group_by`: rows, or one row of totals."""
        body = yield from self._caller.get("/analytics", scoped(self._caller, query))
        return many(body, Row) if is_list(body) else one(body, Row)

    @endpoint
    def get_top_consumers(
        self, dimension: str = "user_id", *, limit: int = 10, **query: Unpack[Filters]
    ) -> Flow[Page[Row]]:
        """The `limit` groups of a dimension that cost the most, dearest first."""
        asked: dict[str, Any] = {**query, "group_by": dimension}
        body = yield from self._caller.get("/costs/aggregate", scoped(self._caller, asked))
        rows = sorted(many(body, Row), key=_cost, reverse=True)
        return Page(rows[:limit], has_more=len(rows) > limit)

    get_usage_analytics = query
    get_cost_analytics = query
    get_performance_metrics = query


class Analytics(AnalyticsCalls, SyncResource):
    """`client.analytics`"""


class AsyncAnalytics(AnalyticsCalls, AsyncResource):
    """`client.analytics` of the asynchronous client"""


def _cost(row: Row) -> Amount:
    # A group of unpriced calls only has no cost; it is listed last, not counted as free.
    cost = row.get("total_cost")
    return Amount(-1) if cost is None else cost
