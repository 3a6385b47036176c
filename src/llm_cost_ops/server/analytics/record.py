"""One call with the lines of its cost, and the entries of the ledger that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.grants import EVERYWHERE, Reach
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.pricing.rate import RatedUsage
from llm_cost_ops.server.analytics.calls import CALL
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger import store
from llm_cost_ops.server.ledger.reached import is_reached
from llm_cost_ops.server.ledger.wire import amount_or_none, call_row, stored_json, usage_of
from llm_cost_ops.server.pricing.cards import stored_card

_COUNTS = (
    "requests",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_TOLD = ("currency", "cost_status", "price_version", "price_rule", "recorded_by")


class CallUnknown(DomainError):
    """No call of the organization has this id, or it was taken back."""

    code = "NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("Cost entry not found")


def get_call(
    session: ReadSession, organization_id: str, call_id: str, reach: Reach = EVERYWHERE
) -> dict[str, object]:
    """The row of a call, net of its corrections, with `lines`, the raw usage block and the
    provider's response id. Raises CallUnknown, also for a call outside of `reach`."""
    call = store.calls(session, organization_id, [call_id]).get(call_id)
    if call is None or not is_reached(call, reach):
        raise CallUnknown
    rated = _rated(session, call)
    return {
        **call_row(call),
        "response_id": call["response_id"],
        "raw_usage": stored_json(call["raw_usage"], None),
        "lines": [
            {
                "kind": line.kind,
                "quantity": line.quantity,
                "price": line.price,
                "per": line.per,
                "amount": line.amount,
            }
            for line in rated.lines
        ]
        if rated
        else [],
        "missing_kinds": list(rated.missing) if rated else [],
    }


def get_entries(
    session: ReadSession, organization_id: str, call_id: str, reach: Reach = EVERYWHERE
) -> list[dict[str, object]]:
    """The call as it was recorded and each correction, oldest first; the sum of their costs is
    the call's. Calls that were taken back still have theirs. Raises CallUnknown, also for a call
    outside of `reach`."""
    mine = select(CALL).where(CALL.c.id == call_id, CALL.c.organization_id == organization_id)
    call = session.execute(mine).mappings().first()
    if call is None or not is_reached(call, reach):
        raise CallUnknown
    corrections = store.corrections_of(session, organization_id, [call_id]).get(call_id, [])
    first = {str(name): value for name, value in call.items()}
    head = {**first, "record_id": call_id, "kind": "call", "recorded_at": first["received_at"]}
    head["list_cost_e10"] = (
        first["cost_e10"] if first["list_cost_e10"] is None else first["list_cost_e10"]
    )
    return [_entry(row) for row in (head, *corrections)]


def _rated(session: ReadSession, call: Mapping[str, Any]) -> RatedUsage | None:
    """The call's usage on the card that rated it; None for a cost that its caller stated."""
    card = stored_card(session, call["price_version"])
    return None if card is None else card.rate(usage_of(call), call["volume"] or 0)


def _entry(row: Mapping[str, Any]) -> dict[str, object]:
    cost = amount_or_none(row["cost_e10"])
    return {
        "id": row["id"],
        "record_id": row["record_id"],
        "kind": row["kind"],
        "operation_id": row.get("operation_id") or row.get("import_id"),
        "timestamp": format_micros(row["timestamp"]),
        "recorded_at": format_micros(row["recorded_at"]),
        "prompt_tokens": row["input_tokens"],
        "completion_tokens": row["output_tokens"],
        **{name: row[name] for name in (*_COUNTS, *_TOLD)},
        "cost": cost,
        "total_cost": cost,
        "list_cost": amount_or_none(row["list_cost_e10"]),
    }
