"""Self-hosted cost accounting for LLM calls.

    from llm_cost_ops import CostOpsClient

    with CostOpsClient(api_key="sk_...", base_url="http://localhost:8080") as client:
        usage = client.usage.create(
            provider="openai", model="gpt-4o", prompt_tokens=1000, completion_tokens=500
        )
        print(usage.calculated_cost)

Names are loaded when they are first used, so importing the package is cheap and needs no extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_cost_ops.client.admin_client import AdminClient as AdminClient
    from llm_cost_ops.client.admin_client import AsyncAdminClient as AsyncAdminClient
    from llm_cost_ops.client.amount import Amount as Amount
    from llm_cost_ops.client.async_client import AsyncCostOpsClient as AsyncCostOpsClient
    from llm_cost_ops.client.pages import Page as Page
    from llm_cost_ops.client.rows import CostRecord as CostRecord
    from llm_cost_ops.client.rows import UsageRecord as UsageRecord
    from llm_cost_ops.client.sync_client import CostOpsClient as CostOpsClient
    from llm_cost_ops.client.track import track_cost as track_cost
    from llm_cost_ops.client.verifying import verify_webhook as verify_webhook
    from llm_cost_ops.exceptions import APIError as APIError
    from llm_cost_ops.exceptions import AuthenticationError as AuthenticationError
    from llm_cost_ops.exceptions import ConfigurationError as ConfigurationError
    from llm_cost_ops.exceptions import ConflictError as ConflictError
    from llm_cost_ops.exceptions import CostOpsError as CostOpsError
    from llm_cost_ops.exceptions import NetworkError as NetworkError
    from llm_cost_ops.exceptions import NotFoundError as NotFoundError
    from llm_cost_ops.exceptions import PermissionDenied as PermissionDenied
    from llm_cost_ops.exceptions import RateLimitError as RateLimitError
    from llm_cost_ops.exceptions import ServerError as ServerError
    from llm_cost_ops.exceptions import TimeoutError as TimeoutError
    from llm_cost_ops.exceptions import ValidationError as ValidationError
    from llm_cost_ops.exceptions import WebhookSignatureError as WebhookSignatureError

    __version__: str

_ERRORS = (
    "APIError", "AuthenticationError", "ConfigurationError", "ConflictError", "CostOpsError",
    "NetworkError", "NotFoundError", "PermissionDenied", "RateLimitError", "ServerError",
    "TimeoutError", "ValidationError", "WebhookSignatureError",
)  # fmt: skip
_HOMES = {
    "AdminClient": "client.admin_client",
    "Amount": "client.amount",
    "AsyncAdminClient": "client.admin_client",
    "AsyncCostOpsClient": "client.async_client",
    "CostOpsClient": "client.sync_client",
    "CostRecord": "client.rows",
    "Page": "client.pages",
    "UsageRecord": "client.rows",
    "track_cost": "client.track",
    "verify_webhook": "client.verifying",
    **dict.fromkeys(_ERRORS, "exceptions"),
}

__all__ = [
    "APIError", "AdminClient", "Amount", "AsyncAdminClient", "AsyncCostOpsClient",
    "AuthenticationError", "ConfigurationError", "ConflictError", "CostOpsClient", "CostOpsError",
    "CostRecord", "NetworkError", "NotFoundError", "Page", "PermissionDenied", "RateLimitError",
    "ServerError", "TimeoutError", "UsageRecord", "ValidationError", "WebhookSignatureError",
    "__version__", "track_cost", "verify_webhook",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        return import_module(f"{__name__}.client.version").version()
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
