"""Changes to single calls: labels in place, removal by a reversing entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ledger import correct, store
from llm_cost_ops.server.ledger.closed import CLOSED_TEXT, DayClosed, is_closed
from llm_cost_ops.server.ledger.labels import checked_labels
from llm_cost_ops.server.ledger.late import refuse_relabelling
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.ledger.told import RELABELLED
from llm_cost_ops.server.ledger.wire import call_row, stored_json
from llm_cost_ops.server.pricing.lock import take_turn
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.spend.move import Moves, of_row

RELABELS = "costs.update"
"""In the audit log."""


class CallUnknown(DomainError):
    """No call of the organization has this id, or it was removed."""

    code = "NOT_FOUND"


def relabel(
    session: WriteSession,
    organization_id: str,
    record_id: str,
    body: Mapping[str, object],
    *,
    actor_id: str | None,
    request_id: str | None,
    now_us: int,
) -> dict[str, object]:
    """Replace `metadata` or `tags` of a call; nothing else of it can change.

    Raises CallUnknown, UsageError, DayClosed, MonthClosed.
    """
    for name in body:
        if name not in ("metadata", "tags"):
            raise UsageError(name, "cannot be changed; only metadata and tags can")
    values = checked_labels(body)
    take_turn(session, organization_id)
    call = _call(session, organization_id, record_id)
    if values:
        session.execute(
            update(usage_records)
            .where(
                usage_records.c.id == record_id,
                usage_records.c.organization_id == organization_id,
            )
            .values(**values)
        )
        correct.relabel(session, record_id, organization_id, values)
        _move(session, call, values, now_us)
        if is_closed(session, organization_id, int(call["timestamp"]) // DAY_US):
            raise DayClosed(f"The call {CLOSED_TEXT}.")
        refuse_relabelling(session, organization_id, record_id, int(call["timestamp"]))
        publish(session, [Event(organization_id, RELABELLED, {"id": record_id})], now_us=now_us)
        before = {name: stored_json(call[name], None) for name in values}
        audit.record(
            session,
            organization_id=organization_id,
            actor_id=actor_id,
            action=RELABELS,
            resource_type="cost",
            resource_id=record_id,
            before=before,
            after={name: body[name] for name in values},
            request_id=request_id,
            now_us=now_us,
        )
    return call_row(_call(session, organization_id, record_id))


def _move(
    session: WriteSession, call: Mapping[str, Any], values: Mapping[str, Any], now_us: int
) -> None:
    """Take the call out of the budgets of its old labels and into those of its new ones."""
    cost = call["cost_e10"]
    amounts = {"e10": cost or 0, "unpriced": call["requests"] if cost is None else 0}
    moves = Moves()  # which keeps the version of the budgets, and so the closed days, to the end
    labelled = ((-1, call), (1, {**call, **values}))
    moves.add(session, (of_row(row, **amounts, sign=sign) for sign, row in labelled), now_us)
    moves.settle(session)


def remove(
    session: WriteSession,
    organization_id: str,
    record_id: str,
    *,
    actor_id: str | None,
    request_id: str | None,
    now_us: int,
) -> None:
    """Take a call back by a reversing entry. Raises CallUnknown."""
    take_turn(session, organization_id)
    call = _call(session, organization_id, record_id)
    correct.void(session, [call], correct.Occasion("void", None, actor_id, now_us))
    shown = call_row(call)
    audit.record(
        session,
        organization_id=organization_id,
        actor_id=actor_id,
        action="costs.delete",
        resource_type="cost",
        resource_id=record_id,
        before={name: shown[name] for name in ("provider", "model", "total_cost", "timestamp")},
        after=None,
        request_id=request_id,
        now_us=now_us,
    )


def _call(session: WriteSession, organization_id: str, record_id: str) -> dict[str, Any]:
    found = store.calls(session, organization_id, [record_id]).get(record_id)
    if found is None:
        raise CallUnknown("Cost entry not found")
    return found
