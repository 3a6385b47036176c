"""What is told of the ledger's changes, and what those who were told find here.

An event names a range of ids, because a batch writes many rows at once and each has its place in
the range: one event tells of all of them, and who wants to know more reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger import store
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records
from llm_cost_ops.server.ledger.wire import call_row
from llm_cost_ops.server.queue.outbox import Event, publish

RECORDED = "usage.recorded"
CORRECTED = "usage.corrected"
RELABELLED = "usage.relabelled"
_CALL, _CORRECTION = usage_records.c, usage_corrections.c


class Corrected(NamedTuple):
    """What was done to a call: the id of the (last) correction, that of the call, `void` or another
    kind, whether the call had no price before and has one since, and the call with the cost of now,
    or after a void with the cost that was taken back."""

    id: str
    record_id: str
    kind: str
    first_price: bool
    call: dict[str, object]


def tell_corrections(
    session: WriteSession, rows: Sequence[Mapping[str, Any]], *, now_us: int
) -> None:
    """Publish that these corrections were made: one event per organization."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(row["organization_id"], []).append(row["id"])
    publish(
        session,
        [
            Event(
                organization_id,
                CORRECTED,
                {"first_id": min(own), "last_id": max(own), "count": len(own)},
            )
            for organization_id, own in ids.items()
        ],
        now_us=now_us,
    )


def recorded(
    session: ReadSession, organization_id: str, first_id: str, last_id: str, limit: int
) -> list[dict[str, object]]:
    """Calls as they were recorded, with the labels of now, in the order of their ids; at most
    `limit` from `first_id` on."""
    query = (
        select(usage_records)
        .where(
            _CALL.organization_id == organization_id,
            _CALL.id >= first_id,
            _CALL.id <= last_id,
        )
        .order_by(_CALL.id)
        .limit(limit)
    )
    return [call_row(dict(row)) for row in session.execute(query).mappings()]


def call_now(session: ReadSession, organization_id: str, record_id: str) -> dict[str, object]:
    """A call as it is now; one that was taken back costs and counts nothing."""
    return call_row(store.known_calls(session, organization_id, [record_id])[record_id])


def corrected(
    session: ReadSession, organization_id: str, first_id: str, last_id: str, limit: int
) -> tuple[list[Corrected], str | None]:
    """What corrections did to their calls, in the order of their ids, for at most `limit` of them
    from `first_id` on; and where to go on, None at the end. `limit` is at least 2, because two
    corrections together may have changed a call."""
    query = (
        select(usage_corrections)
        .where(
            _CORRECTION.organization_id == organization_id,
            _CORRECTION.id >= first_id,
            _CORRECTION.id <= last_id,
        )
        .order_by(_CORRECTION.id)
        .limit(limit + 1)
    )
    rows = [dict(row) for row in session.execute(query).mappings()]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["record_id"], []).append(row)
    further: str | None = None
    if len(rows) > limit:
        further = groups.pop(rows[-1]["record_id"])[0]["id"]
    calls = store.known_calls(session, organization_id, list(groups))
    return [_told(group, calls[record_id]) for record_id, group in groups.items()], further


def _told(group: Sequence[Mapping[str, Any]], call: Mapping[str, Any]) -> Corrected:
    last = group[-1]
    shown = call_row(call)
    unpriced = sum(row["unpriced"] for row in group)
    void = last["kind"] == "void"
    if void:
        taken = None if unpriced < 0 else from_e10(-last["cost_e10"])
        shown.update(dict.fromkeys(("cost", "total_cost", "amount", "calculated_cost"), taken))
    first_price = unpriced < 0 and not void and last["cost_status"] != "unpriced"
    return Corrected(last["id"], last["record_id"], last["kind"], first_price, shown)
