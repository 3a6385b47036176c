"""Reservations as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, insert, select, update

from llm_cost_ops.server.db.dialects import lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.spend.holdings import OPEN
from llm_cost_ops.server.spend.tables import reservations

SETTLED, RELEASED, EXPIRED = "settled", "released", "expired"
_ROW = reservations.c
_CHUNK = 500
_RESOLVED = ("status", "resolved_at", "resolution", "cost_e10", "record_id")


_SEEN = (
    select(reservations)
    .where(
        _ROW.id.in_(bindparam("ids", expanding=True)),
        _ROW.organization_id.in_(bindparam("owners", expanding=True)),
    )
    .order_by(_ROW.id)
)
_LOCKED = lock_rows(_SEEN)
_RESOLVE = (
    update(reservations)
    .where(_ROW.id == bindparam("key"), _ROW.organization_id == bindparam("owner"))
    .values({name: bindparam(f"n_{name}") for name in _RESOLVED})
)
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def call_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a reservation knows of its call, with exact numbers."""
    return _decode(row["call"])


def call_text(call: Mapping[str, Any]) -> str:
    """The column that keeps it."""
    return _encode(call).decode()


def locked(
    session: WriteSession, organization_ids: Iterable[str], ids: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Reservations of these organizations by id, locked in the order of their ids."""
    return _by_id(session, _LOCKED, organization_ids, ids)


def seen(
    session: ReadSession, organization_ids: Iterable[str], ids: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """The same without a lock, for what of them never changes."""
    return _by_id(session, _SEEN, organization_ids, ids)


def _by_id(
    session: ReadSession,
    query: Select[Any],
    organization_ids: Iterable[str],
    ids: Iterable[str],
) -> dict[str, dict[str, Any]]:
    wanted, allowed = sorted(set(ids)), sorted(set(organization_ids))
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), _CHUNK):
        named = {"ids": wanted[start : start + _CHUNK], "owners": allowed}
        for row in session.execute(query, named).mappings():
            found[row["id"]] = dict(row)
    return found


def one(session: ReadSession, organization_id: str, reservation_id: str) -> dict[str, Any] | None:
    """One reservation."""
    query = select(reservations).where(
        _ROW.id == reservation_id, _ROW.organization_id == organization_id
    )
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def is_recorded_by_another(
    session: ReadSession, organization_id: str, reservation_id: str, record_id: str
) -> bool:
    """Whether another reservation of the organization became this call of the ledger."""
    query = (
        select(_ROW.id)
        .where(
            _ROW.organization_id == organization_id,
            _ROW.record_id == record_id,
            _ROW.id != reservation_id,
        )
        .limit(1)
    )
    return session.execute(query).first() is not None


def add(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store new reservations in one statement."""
    if rows:
        session.execute(insert(reservations), rows)


# lint: allow tenant-scope: each row names its own organization
def resolve(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store what became of locked reservations, in one statement."""
    if not rows:
        return
    session.connection.execute(
        _RESOLVE,
        [
            {
                "key": row["id"],
                "owner": row["organization_id"],
                **{f"n_{name}": row[name] for name in _RESOLVED},
            }
            for row in sorted(rows, key=_id)
        ],
    )


def _id(row: Mapping[str, Any]) -> str:
    return str(row["id"])


# lint: allow tenant-scope: the reaper serves every organization
def due(session: ReadSession, now_us: int, limit: int) -> list[tuple[str, str]]:
    """Ids of open reservations that have expired, oldest first, each with its organization; of all
    organizations, for the reaper."""
    query = (
        select(_ROW.id, _ROW.organization_id)
        .where(_ROW.status == OPEN, _ROW.expires_at <= now_us)
        .order_by(_ROW.expires_at, _ROW.id)
        .limit(limit)
    )
    return [(row.id, row.organization_id) for row in session.execute(query)]


def open_ones(session: ReadSession, organization_id: str) -> list[Mapping[str, Any]]:
    """The reservations of an organization that are neither resolved nor expired."""
    query = (
        select(reservations)
        .where(_ROW.organization_id == organization_id, _ROW.status == OPEN)
        .order_by(_ROW.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def hold_in(session: WriteSession, organization_id: str, row_id: str, held: str) -> None:
    """Store which counters hold a reservation (`holdings_text`)."""
    session.execute(
        update(reservations)
        .where(_ROW.id == row_id, _ROW.organization_id == organization_id)
        .values(held=held)
    )


def postpone(
    session: WriteSession, organization_id: str, reservation_id: str, until_us: int
) -> None:
    """Let an open reservation expire later."""
    session.execute(
        update(reservations)
        .where(
            _ROW.id == reservation_id,
            _ROW.organization_id == organization_id,
            _ROW.status == OPEN,
        )
        .values(expires_at=until_us)
    )
