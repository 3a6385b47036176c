"""The SDK. Names are loaded when they are first used, `requests` included: importing it costs more
than the rest of this package together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests as requests

    from llm_cost_ops.client.amount import Amount as Amount
    from llm_cost_ops.client.async_client import AsyncCostOpsClient as AsyncCostOpsClient
    from llm_cost_ops.client.pages import BatchResult as BatchResult
    from llm_cost_ops.client.pages import Page as Page
    from llm_cost_ops.client.rows import CostRecord as CostRecord
    from llm_cost_ops.client.rows import CostSummary as CostSummary
    from llm_cost_ops.client.rows import Estimate as Estimate
    from llm_cost_ops.client.rows import Price as Price
    from llm_cost_ops.client.rows import Row as Row
    from llm_cost_ops.client.rows import UsageRecord as UsageRecord
    from llm_cost_ops.client.sync_client import CostOpsClient as CostOpsClient

_HOMES = {
    "Amount": "amount",
    "AsyncCostOpsClient": "async_client",
    "BatchResult": "pages",
    "CostOpsClient": "sync_client",
    "CostRecord": "rows",
    "CostSummary": "rows",
    "Estimate": "rows",
    "Page": "pages",
    "Price": "rows",
    "Row": "rows",
    "UsageRecord": "rows",
}

__all__ = [
    "Amount", "AsyncCostOpsClient", "BatchResult", "CostOpsClient", "CostRecord", "CostSummary",
    "Estimate", "Page", "Price", "Row", "UsageRecord",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "requests":
        return import_module("requests")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
