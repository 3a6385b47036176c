"""Changes to single calls: labels in place, removal by a reversing entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import update

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ledger import correct, store
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.ledger.wire import call_row, stored_json

MAX_METADATA_BYTES = 16_384
MAX_TAGS = 64


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

    Raises CallUnknown, UsageError.
    """
    for name in body:
        if name not in ("metadata", "tags"):
            raise UsageError(name, "cannot be changed; only metadata and tags can")
    call = _call(session, organization_id, record_id)
    values = _labels(body)
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
        before = {name: stored_json(call[name], None) for name in values}
        audit.record(
            session,
            organization_id=organization_id,
            actor_id=actor_id,
            action="costs.update",
            resource_type="cost",
            resource_id=record_id,
            before=before,
            after={name: body[name] for name in values},
            request_id=request_id,
            now_us=now_us,
        )
    return call_row(_call(session, organization_id, record_id))


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
    found = store.calls(session, organization_id, [record_id], for_update=True).get(record_id)
    if found is None:
        raise CallUnknown("Cost entry not found")
    return found


def _labels(body: Mapping[str, object]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "metadata" in body:
        metadata = body["metadata"]
        if metadata is not None and not isinstance(metadata, dict):
            raise UsageError("metadata", "must be an object")
        text = dumps(cast("dict[str, object]", metadata or {}))
        if len(text.encode()) > MAX_METADATA_BYTES:
            raise UsageError("metadata", f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
        values["metadata"] = None if not metadata else text
    if "tags" in body:
        given = body["tags"]
        if given is not None and not isinstance(given, list):
            raise UsageError("tags", f"must be a list of at most {MAX_TAGS} strings")
        tags = cast("list[object]", given or [])
        if len(tags) > MAX_TAGS:
            raise UsageError("tags", f"must be a list of at most {MAX_TAGS} strings")
        for tag in tags:
            if not isinstance(tag, str) or not 1 <= len(tag) <= 255 or not tag.isprintable():
                raise UsageError("tags", "must be strings of 1 to 255 printable characters")
        values["tags"] = dumps(tags) if tags else None
    return values
