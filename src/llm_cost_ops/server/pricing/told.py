"""What is told when an organization's prices change, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.queue.outbox import Event, publish

UPDATED_TOPIC = "pricing.updated"
_TOLD = (
    "version", "provider", "model", "currency", "region", "service_tier", "processing",
    "effective_date", "end_date", "label", "factor",
)  # fmt: skip


def tell(
    session: WriteSession,
    organization_id: str,
    action: str,
    changed_id: str,
    shown: Mapping[str, Any],
    *,
    now_us: int,
) -> None:
    """Publish a change. `action` is the audited one (`pricing.created`), of which the part after
    the dot is told; `shown` is what was changed, or before its removal."""
    payload: dict[str, object] = {"id": changed_id, "provider": None, "model": None}
    payload.update({name: shown[name] for name in _TOLD if name in shown})
    payload["action"] = action.partition(".")[2]
    publish(session, [Event(organization_id, UPDATED_TOPIC, payload)], now_us=now_us)
