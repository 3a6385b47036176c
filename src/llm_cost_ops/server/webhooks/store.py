"""Endpoints and deliveries as they are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update
from sqlalchemy import exists as exists_in

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.webhooks.tables import (
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_events,
)

PENDING, DELIVERED, FAILED, SKIPPED = "pending", "delivered", "failed", "skipped"
STATUSES = (PENDING, DELIVERED, FAILED, SKIPPED)
FAILING, GONE, BY_USER = "failing", "gone", "user"
Row = dict[str, Any]
_END = webhook_endpoints.c
_EVENT = webhook_events.c
_DEL = webhook_deliveries.c
_TRY = webhook_attempts.c
_CHUNK = 500


def endpoints(session: ReadSession, organization_id: str) -> list[Row]:
    """All endpoints of an organization in the order in which they were made."""
    query = (
        select(webhook_endpoints).where(_END.organization_id == organization_id).order_by(_END.id)
    )
    return [_endpoint(row) for row in session.execute(query).mappings()]


def endpoint(session: ReadSession, organization_id: str, endpoint_id: str) -> Row | None:
    """One endpoint."""
    row = session.execute(_one(organization_id, endpoint_id)).mappings().first()
    return None if row is None else _endpoint(row)


def locked(session: WriteSession, organization_id: str, endpoint_id: str) -> Row | None:
    """One endpoint, ours until the transaction ends. Always before its deliveries."""
    row = session.execute(lock_rows(_one(organization_id, endpoint_id))).mappings().first()
    return None if row is None else _endpoint(row)


def _one(organization_id: str, endpoint_id: str) -> Any:
    return select(webhook_endpoints).where(
        _END.id == endpoint_id, _END.organization_id == organization_id
    )


def _endpoint(row: Mapping[Any, Any]) -> Row:
    found = dict(row)
    events = found["events"]
    found["events"] = loads(events) if isinstance(events, str) else events
    return found


# lint: allow tenant-scope: asked by the relay for all organizations of some events
def having_endpoints(session: ReadSession, organization_ids: Collection[str]) -> set[str]:
    """Those of the organizations that have an endpoint."""
    query = select(_END.organization_id).where(_END.organization_id.in_(organization_ids))
    return {row[0] for row in session.execute(query.distinct())}


# lint: allow tenant-scope: the sweep serves every organization
def left_behind(session: ReadSession, before_us: int) -> list[tuple[str, str]]:
    """Endpoints, each with its organization, that have deliveries which have been due for long."""
    waiting = exists_in().where(
        _DEL.endpoint_id == _END.id, _DEL.status == PENDING, _DEL.next_attempt_at <= before_us
    )
    paused = and_(_END.paused_until.is_not(None), _END.paused_until > before_us)
    query = select(_END.organization_id, _END.id).where(_END.enabled == 1, ~paused, waiting)
    return [(row.organization_id, row.id) for row in session.execute(query)]


def count_endpoints(session: ReadSession, organization_id: str) -> int:
    """How many endpoints an organization has."""
    query = select(func.count()).select_from(webhook_endpoints)
    return int(session.scalar(query.where(_END.organization_id == organization_id)) or 0)


def add_endpoint(session: WriteSession, row: Mapping[str, Any]) -> None:
    """Store a new endpoint; it names its organization."""
    values = {**row, "events": dumps(row["events"])}
    session.execute(insert(webhook_endpoints).values(**values))


def change_endpoint(
    session: WriteSession, organization_id: str, endpoint_id: str, values: Mapping[str, Any]
) -> None:
    """Replace some columns of an endpoint."""
    new = dict(values)
    if "events" in new:
        new["events"] = dumps(new["events"])
    session.execute(
        update(webhook_endpoints)
        .where(_END.id == endpoint_id, _END.organization_id == organization_id)
        .values(**new)
    )


def remove_endpoint(session: WriteSession, organization_id: str, endpoint_id: str) -> None:
    """Remove an endpoint; what was delivered to it goes with time."""
    session.execute(
        delete(webhook_endpoints).where(
            _END.id == endpoint_id, _END.organization_id == organization_id
        )
    )


# lint: allow tenant-scope: each row names its own organization
def add_events(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store events; those that are there already stay as they are."""
    if rows:
        session.execute(insert_ignore(session.kind, webhook_events, ["id"]), rows)


# lint: allow tenant-scope: each row names its own organization
def add_deliveries(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store deliveries; an event that an endpoint has a delivery of already gets no other."""
    if rows:
        statement = insert_ignore(session.kind, webhook_deliveries, ["endpoint_id", "event_id"])
        session.execute(statement, rows)


def due(
    session: ReadSession, organization_id: str, endpoint_id: str, now_us: int, limit: int
) -> list[Row]:
    """Deliveries to attempt now, in the order in which they became due, with their events. `data`
    is None when the event is not kept any more."""
    query = (
        _with_events(organization_id)
        .where(
            _DEL.organization_id == organization_id,
            _DEL.endpoint_id == endpoint_id,
            _DEL.status == PENDING,
            _DEL.next_attempt_at <= now_us,
        )
        .order_by(_DEL.next_attempt_at, _DEL.id)
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def _with_events(organization_id: str) -> Any:
    """An event is as old as it is and its delivery a little younger, so retention takes the event
    a little earlier: a delivery without one is not sent, but it is one."""
    mine = and_(_EVENT.id == _DEL.event_id, _EVENT.organization_id == organization_id)
    shown = select(webhook_deliveries, _EVENT.data, _EVENT.created_at.label("occurred_at"))
    return shown.select_from(webhook_deliveries.outerjoin(webhook_events, mine))


def standing(session: ReadSession, organization_id: str, delivery_id: str) -> Row | None:
    """A delivery as it is now, without its event."""
    query = select(webhook_deliveries).where(
        _DEL.id == delivery_id, _DEL.organization_id == organization_id
    )
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def next_due(session: ReadSession, organization_id: str, endpoint_id: str) -> int | None:
    """When the next delivery of an endpoint is due, in microseconds."""
    query = select(func.min(_DEL.next_attempt_at)).where(
        _DEL.organization_id == organization_id,
        _DEL.endpoint_id == endpoint_id,
        _DEL.status == PENDING,
    )
    found = session.scalar(query)
    return None if found is None else int(found)


def delivery(
    session: ReadSession, organization_id: str, endpoint_id: str, delivery_id: str
) -> Row | None:
    """One delivery with its event; `data` is None when that is not kept any more."""
    query = _with_events(organization_id).where(
        _DEL.id == delivery_id,
        _DEL.organization_id == organization_id,
        _DEL.endpoint_id == endpoint_id,
    )
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def deliveries(
    session: ReadSession,
    organization_id: str,
    endpoint_id: str,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
    offset: int = 0,
) -> list[Row]:
    """Deliveries of an endpoint, the newest first."""
    query = (
        select(webhook_deliveries)
        .where(
            _DEL.organization_id == organization_id,
            _DEL.endpoint_id == endpoint_id,
            *conditions,
        )
        .order_by(_DEL.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def change_delivery(
    session: WriteSession, organization_id: str, delivery_id: str, values: Mapping[str, Any]
) -> None:
    """Replace some columns of a delivery."""
    session.execute(
        update(webhook_deliveries)
        .where(_DEL.id == delivery_id, _DEL.organization_id == organization_id)
        .values(**values)
    )


def count_deliveries(
    session: ReadSession,
    organization_id: str,
    endpoint_id: str,
    conditions: Sequence[ColumnElement[bool]],
) -> int:
    """How many deliveries of an endpoint there are."""
    query = select(func.count()).where(
        _DEL.organization_id == organization_id, _DEL.endpoint_id == endpoint_id, *conditions
    )
    return int(session.scalar(query) or 0)


def begin_again(
    session: WriteSession,
    organization_id: str,
    endpoint_id: str,
    conditions: Sequence[ColumnElement[bool]],
    now_us: int,
    limit: int,
) -> Sequence[str]:
    """Let the oldest deliveries be attempted from now on as if they were new, at most `limit`;
    their ids in order. The endpoint is locked."""
    chosen = (
        select(_DEL.id)
        .where(
            _DEL.organization_id == organization_id,
            _DEL.endpoint_id == endpoint_id,
            *conditions,
        )
        .order_by(_DEL.id)
        .limit(limit)
    )
    ids = session.execute(chosen).scalars().all()
    for first in range(0, len(ids), _CHUNK):
        session.execute(
            update(webhook_deliveries)
            .where(
                _DEL.organization_id == organization_id, _DEL.id.in_(ids[first : first + _CHUNK])
            )
            .values(status=PENDING, step=0, next_attempt_at=now_us, finished_at=None)
        )
    return ids


def add_attempt(session: WriteSession, row: Mapping[str, Any]) -> None:
    """Store how an attempt went; it names its organization."""
    session.execute(insert(webhook_attempts).values(**row))


def attempts(session: ReadSession, organization_id: str, delivery_id: str) -> list[Row]:
    """The attempts of a delivery, oldest first."""
    query = (
        select(webhook_attempts)
        .where(_TRY.organization_id == organization_id, _TRY.delivery_id == delivery_id)
        .order_by(_TRY.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


# lint: allow tenant-scope: retention serves every organization
def purge(session: WriteSession, before_us: int, limit: int) -> int:
    """Remove at most `limit` attempts, deliveries and events each that are older; how many of that
    kind of which most were. A delivery that still waits is too old as well."""
    most = 0
    for table, key, at in (
        (webhook_attempts, _TRY.id, _TRY.at),
        (webhook_deliveries, _DEL.id, _DEL.created_at),
        (webhook_events, _EVENT.id, _EVENT.created_at),
    ):
        ids = session.execute(select(key).where(at < before_us).limit(limit)).scalars().all()
        if ids:
            session.execute(delete(table).where(key.in_(ids)))
        most = max(most, len(ids))
    return most
