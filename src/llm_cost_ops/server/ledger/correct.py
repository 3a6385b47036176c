"""Corrections: facts that change what an earlier fact adds up to, without touching it.

`void` takes a call back (deletion, undone import), `rerate` prices it anew, `recount` replaces its
counts when a growing log reports the same call again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, text, update

from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.projection import PROJECTIONS, Projection, extremes_sql
from llm_cost_ops.server.ledger.rollup import DAY_US, HOUR_US, Delta, Key, apply
from llm_cost_ops.server.ledger.store import ADDITIVE
from llm_cost_ops.server.ledger.tables import usage_corrections

_COPIED = (
    "organization_id",
    "timestamp",
    "provider",
    "model_name",
    "service_tier",
    "project_id",
    "team_id",
    "user_id",
    "api_key_id",
    "environment",
    "feature",
    "currency",
    "tags",
    "metadata",
)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why, by whom and when corrections are made."""

    kind: str
    operation_id: str | None
    recorded_by: str | None
    now_us: int


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What re-rating found: cost None means that there is no price."""

    cost_e10: int | None
    list_cost_e10: int | None
    cost_status: str
    price_version: str | None
    price_rule: str | None
    currency: str


def void(session: WriteSession, calls: Sequence[Mapping[str, Any]], occasion: Occasion) -> None:
    """Take calls back. Rows are net of earlier corrections and not voided yet."""
    _write(session, [_taken_back(call) for call in calls], occasion)


def rerate(
    session: WriteSession,
    changes: Sequence[tuple[Mapping[str, Any], NewPrice]],
    occasion: Occasion,
) -> None:
    """Give calls another price. Rows are net of earlier corrections.

    An unpriced call whose price turns out to be in another currency moves there whole: one
    correction takes it out of the currency it was counted under, one puts it into the new.
    """
    rows: list[dict[str, Any]] = []
    for call, price in changes:
        requests = call["requests"]
        row = _correction(call, dict.fromkeys(ADDITIVE, 0))
        if price.cost_e10 is not None and price.currency != call["currency"]:
            rows.append(_taken_back(call))
            call = {**call, **dict.fromkeys(ADDITIVE, 0), "cost_e10": 0, "list_cost_e10": 0}
            row = _correction(call, {name: -rows[-1][name] for name in ADDITIVE})
            row["currency"] = price.currency
        _reprice(row, call, price, requests)
        rows.append(row)
    _write(session, rows, occasion)


def recount(
    session: WriteSession, changes: Sequence[tuple[Mapping[str, Any], Entry]], occasion: Occasion
) -> None:
    """Replace the counts and the cost of calls by those of newer entries."""
    rows: list[dict[str, Any]] = []
    for call, entry in changes:
        row = _correction(call, {name: getattr(entry, name) - call[name] for name in ADDITIVE})
        price = NewPrice(
            entry.cost_e10,
            entry.list_cost_e10,
            entry.cost_status,
            entry.price_version,
            entry.price_rule,
            call["currency"],
        )
        _reprice(row, call, price, entry.requests)
        row["payload_digest"] = entry.payload_digest
        row["usage"] = entry.usage
        rows.append(row)
    _write(session, rows, occasion)


def _taken_back(call: Mapping[str, Any]) -> dict[str, Any]:
    row = _correction(call, {name: -call[name] for name in ADDITIVE})
    row["unpriced"] = -call["requests"] if call["cost_e10"] is None else 0
    row["partially_priced"] = -_partial(call["cost_status"], call["requests"])
    row["cost_e10"] = -(call["cost_e10"] or 0)
    row["list_cost_e10"] = -_list_cost(call)
    return row


def _correction(call: Mapping[str, Any], additive: Mapping[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {name: call[name] for name in _COPIED}
    row.update(
        additive,
        record_id=call["id"],
        cost_status=call["cost_status"],
        price_version=call["price_version"],
        price_rule=call["price_rule"],
        payload_digest=None,
        usage=None,
    )
    return row


def _reprice(row: dict[str, Any], call: Mapping[str, Any], price: NewPrice, requests: int) -> None:
    before = call["requests"] if call["cost_e10"] is None else 0
    after = requests if price.cost_e10 is None else 0
    row["unpriced"] = after - before
    row["partially_priced"] = _partial(price.cost_status, requests) - _partial(
        call["cost_status"], call["requests"]
    )
    row["cost_e10"] = (price.cost_e10 or 0) - (call["cost_e10"] or 0)
    list_cost = price.cost_e10 if price.list_cost_e10 is None else price.list_cost_e10
    row["list_cost_e10"] = (list_cost or 0) - _list_cost(call)
    row["cost_status"] = price.cost_status
    row["price_version"] = price.price_version
    row["price_rule"] = price.price_rule


def _partial(status: str, requests: int) -> int:
    return requests if status == "partially_priced" else 0


def _list_cost(call: Mapping[str, Any]) -> int:
    listed = call["list_cost_e10"]
    return int((call["cost_e10"] or 0) if listed is None else listed)


def _write(session: WriteSession, rows: list[dict[str, Any]], occasion: Occasion) -> None:
    if not rows:
        return
    stem = batch_stem("cor", occasion.now_us // 1_000, secrets.randbits(60))
    for row, row_id in zip(rows, batch_ids(stem, len(rows)), strict=True):
        row.update(
            id=row_id,
            kind=occasion.kind,
            operation_id=occasion.operation_id,
            recorded_by=occasion.recorded_by,
            recorded_at=occasion.now_us,
        )
    session.connection.execute(insert(usage_corrections), rows)
    apply(session, _deltas(rows))
    for projection in PROJECTIONS:
        _refresh_extremes(session, projection, rows)


def _deltas(rows: Sequence[Mapping[str, Any]]) -> dict[Key, Delta]:
    groups: dict[Key, Delta] = {}
    for row in rows:
        key = (
            row["organization_id"],
            row["timestamp"] // HOUR_US,
            row["provider"],
            row["model_name"],
            row["project_id"] or "",
            row["currency"],
        )
        delta = groups.setdefault(key, Delta())
        values = (row["requests"], row["unpriced"], row["partially_priced"])
        tokens = tuple(row[name] for name in ADDITIVE[1:])
        delta.counts = [a + b for a, b in zip(delta.counts, (*values, *tokens), strict=True)]
        delta.cost += row["cost_e10"]
        delta.list_cost += row["list_cost_e10"]
    return groups


def _refresh_extremes(
    session: WriteSession, projection: Projection, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Extremes cannot be moved by a difference: read them again, day by day."""
    touched: dict[tuple[str, int], set[Key]] = {}
    for row in rows:
        day = row["timestamp"] // DAY_US
        key = tuple(
            row["timestamp"] // projection.width_us if name == "bucket" else row[name] or ""
            for name in projection.key
        )
        touched.setdefault((row["organization_id"], day), set()).add(key)
    where = "WHERE organization_id = :organization_id AND timestamp >= :low AND timestamp < :high"
    statement = text(extremes_sql(projection, session.connection.dialect.name, where))
    for (organization_id, day), keys in sorted(touched.items()):
        bounds = {"low": day * DAY_US, "high": (day + 1) * DAY_US}
        found = {
            tuple(row)[:-2]: (row.min_cost_e10, row.max_cost_e10)
            for row in session.execute(statement, {"organization_id": organization_id, **bounds})
        }
        _set_extremes(session, projection, {key: found.get(key, (None, None)) for key in keys})


def _set_extremes(
    session: WriteSession,
    projection: Projection,
    extremes: Mapping[Key, tuple[int | None, int | None]],
) -> None:
    condition = " AND ".join(f"{name} = :{name}" for name in projection.key)
    statement = text(
        f"UPDATE {projection.table} SET min_cost_e10 = :low, max_cost_e10 = :high "  # noqa: S608
        f"WHERE {condition}"
    )
    rows = [
        {**dict(zip(projection.key, key, strict=True)), "low": low, "high": high}
        for key, (low, high) in sorted(extremes.items())
    ]
    session.connection.execute(statement, rows)


def relabel(
    session: WriteSession, record_id: str, organization_id: str, values: Mapping[str, Any]
) -> None:
    """Copy changed tags or metadata of a call to its corrections, so that both group alike."""
    session.execute(
        update(usage_corrections)
        .where(
            usage_corrections.c.record_id == record_id,
            usage_corrections.c.organization_id == organization_id,
        )
        .values(**values)
    )
