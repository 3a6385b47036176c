"""Imports: a named batch of calls from a file, that can be listed and taken back whole."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import and_, bindparam, case, insert, literal, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.audit import record as audit
from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger import correct, store
from llm_cost_ops.server.ledger.closed import CLOSED_TEXT, DayClosed
from llm_cost_ops.server.ledger.extremes import Extremes
from llm_cost_ops.server.ledger.late import keep_event_ids
from llm_cost_ops.server.ledger.tables import imports, usage_records
from llm_cost_ops.server.pricing.lock import take_turn

BATCH = 2_000
RELEASED = "undone:"
"""Begins the event ids of calls that were taken back with their import."""
UNDONE = "undone"
COUNTERS = ("records_created", "records_duplicate", "records_corrected", "records_failed")


class ImportUnknown(DomainError):
    """No import of the organization has this id."""

    code = "NOT_FOUND"


class ImportClosed(DomainError):
    """The import was undone."""

    code = "CONFLICT"


def start(
    session: WriteSession,
    organization_id: str,
    *,
    source_format: str,
    name: str | None,
    actor_id: str | None,
    now_us: int,
) -> dict[str, Any]:
    """A new, empty import; records join it by naming its id when they are sent."""
    import_id = single_id("imp", now_us // 1_000, secrets.randbits(80))
    session.execute(
        insert(imports).values(
            id=import_id,
            organization_id=organization_id,
            format=source_format,
            name=name,
            status="open",
            created_by=actor_id,
            created_at=now_us,
        )
    )
    return get(session, organization_id, import_id)


def get(session: ReadSession, organization_id: str, import_id: str) -> dict[str, Any]:
    """One import. Raises ImportUnknown."""
    query = select(imports).where(
        imports.c.id == import_id, imports.c.organization_id == organization_id
    )
    row = session.execute(query).mappings().one_or_none()
    if row is None:
        raise ImportUnknown("Import not found")
    return _wire(dict(row))


def listing(
    session: ReadSession, organization_id: str, *, limit: int, before: str | None
) -> dict[str, Any]:
    """Imports, newest first."""
    conditions = [imports.c.organization_id == organization_id]
    if before is not None:
        conditions.append(imports.c.id < before)
    query = select(imports).where(and_(*conditions)).order_by(imports.c.id.desc()).limit(limit + 1)
    rows = [_wire(dict(row)) for row in session.execute(query).mappings()]
    more = len(rows) > limit
    cursor = rows[limit - 1]["id"] if more else None
    return {
        "data": rows[:limit],
        "has_more": more,
        "next_cursor": cursor,
        "pagination": {"limit": limit, "next_cursor": cursor},
    }


def claim(session: WriteSession, organization_id: str, import_id: str) -> None:
    """Keep the import from being undone until the transaction ends, before the first of its records
    is written. Raises ImportUnknown, ImportClosed."""
    query = select(imports.c.status).where(
        imports.c.id == import_id, imports.c.organization_id == organization_id
    )
    status = session.execute(lock_rows(query)).scalar_one_or_none()
    if status is None:
        raise ImportUnknown("Import not found")
    if status == UNDONE:
        raise ImportClosed("this import was undone", field="import_id")


def count(session: WriteSession, import_id: str, counts: Mapping[str, int]) -> None:
    """Add to the counters of a claimed import, in the transaction of the records."""
    session.execute(
        update(imports)
        .where(imports.c.id == import_id)
        .values({name: imports.c[name] + counts.get(name, 0) for name in COUNTERS})
    )


def finish(session: WriteSession, organization_id: str, import_id: str) -> dict[str, Any]:
    """Mark an import complete. Raises ImportUnknown."""
    get(session, organization_id, import_id)
    session.execute(
        update(imports)
        .where(imports.c.id == import_id)
        .values(status=case((imports.c.status == "open", "complete"), else_=imports.c.status))
    )
    return get(session, organization_id, import_id)


def undo(
    session: WriteSession,
    organization_id: str,
    import_id: str,
    *,
    actor_id: str | None,
    request_id: str | None,
    now_us: int,
) -> dict[str, Any]:
    """Take back every call of an import by reversing entries, all or none.

    The calls give up their event ids, so that the same file can be imported again. Corrections
    that the import made to calls of other imports stay. Raises ImportUnknown, ImportClosed, and
    DayClosed where retention has taken some of them out of the ledger.
    """
    take_turn(session, organization_id)
    claim(session, organization_id, import_id)
    shown = get(session, organization_id, import_id)
    occasion = correct.Occasion("void", import_id, actor_id, now_us)
    extremes = Extremes()
    voided = found = 0
    for rows in _calls_of(session, organization_id, import_id):
        calls = store.net_of_corrections(session, organization_id, rows)
        correct.void(session, list(calls.values()), occasion, extremes)
        voided += len(calls)
        found += len(rows)
        keep_event_ids(session, organization_id, rows)
        _release(session, list(rows))
    if found < shown["created"]:
        raise DayClosed(f"A call of the import {CLOSED_TEXT}.")
    extremes.settle(session)
    session.execute(
        update(imports).where(imports.c.id == import_id).values(status=UNDONE, undone_at=now_us)
    )
    audit.record(
        session,
        organization_id=organization_id,
        actor_id=actor_id,
        action="imports.undo",
        resource_type="import",
        resource_id=import_id,
        before=shown,
        after={"voided": voided},
        request_id=request_id,
        now_us=now_us,
    )
    return {**get(session, organization_id, import_id), "voided": voided}


def _calls_of(
    session: WriteSession, organization_id: str, import_id: str
) -> Iterator[dict[str, dict[str, Any]]]:
    """All calls of the import, a bounded number at once."""
    last = ""
    while True:
        query = (
            select(usage_records)
            .where(
                usage_records.c.import_id == import_id,
                usage_records.c.organization_id == organization_id,
                usage_records.c.id > last,
            )
            .order_by(usage_records.c.id)
            .limit(BATCH)
        )
        rows = {row["id"]: dict(row) for row in session.execute(query).mappings()}
        if not rows:
            return
        last = next(reversed(rows))
        yield rows


def _release(session: WriteSession, ids: list[str]) -> None:
    """Give up event ids: no caller can send one that begins like these."""
    table = usage_records.c
    session.connection.execute(
        update(usage_records)
        .where(table.id == bindparam("record_id"))
        .values(event_id=literal(RELEASED) + table.id),
        [{"record_id": record_id} for record_id in ids],
    )


def _wire(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "format": row["format"],
        "name": row["name"],
        "status": row["status"],
        **{name.removeprefix("records_"): row[name] for name in COUNTERS},
        "created_by": row["created_by"],
        "created_at": format_micros(row["created_at"]),
        "undone_at": None if row["undone_at"] is None else format_micros(row["undone_at"]),
    }
