"""Reads of single calls: the row as written and its state net of corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records

ADDITIVE = (
    "requests",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
LAST_CORRECTION = "last_correction"
VOLUME_VERSION = "volume_price_version"
"""In a call net of its corrections: the id of the newest of them, and the price version for which
its `volume` was counted."""
VOIDED = "voided"
"""The status under which a call that was taken back is shown to those who send it again."""
_CHUNK = 500


def calls(
    session: ReadSession, organization_id: str, ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Calls of the organization by id, net of their corrections, voided ones left out."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(usage_records).where(
            usage_records.c.id.in_(ids[start : start + _CHUNK]),
            usage_records.c.organization_id == organization_id,
        )
        rows = {row["id"]: dict(row) for row in session.execute(query).mappings()}
        found.update(net_of_corrections(session, organization_id, rows))
    return found


def known_calls(
    session: ReadSession, organization_id: str, ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Like `calls`, with those that were taken back: they cost and count nothing."""
    found = calls(session, organization_id, ids)
    gone = [record_id for record_id in ids if record_id not in found]
    for start in range(0, len(gone), _CHUNK):
        query = select(usage_records).where(
            usage_records.c.id.in_(gone[start : start + _CHUNK]),
            usage_records.c.organization_id == organization_id,
        )
        for row in session.execute(query).mappings():
            found[row["id"]] = dict(row)
    for record_id, corrections in corrections_of(session, organization_id, gone).items():
        nothing = {**dict.fromkeys(ADDITIVE, 0), "cost_e10": 0, "list_cost_e10": 0}
        found[record_id].update(nothing, usage=None, cost_status=VOIDED)
        for correction in corrections:
            if correction["payload_digest"] is not None:
                found[record_id]["payload_digest"] = correction["payload_digest"]
    return found


def corrections_of(
    session: ReadSession, organization_id: str, ids: Sequence[str]
) -> dict[str, list[Mapping[str, Any]]]:
    """Corrections by the id of their call, oldest first."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for start in range(0, len(ids), _CHUNK):
        query = (
            select(usage_corrections)
            .where(
                usage_corrections.c.record_id.in_(ids[start : start + _CHUNK]),
                usage_corrections.c.organization_id == organization_id,
            )
            .order_by(usage_corrections.c.id)
        )
        for row in session.execute(query).mappings():
            grouped.setdefault(row["record_id"], []).append(dict(row))
    return grouped


def net_of_corrections(
    session: ReadSession, organization_id: str, rows: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The given call rows with their corrections added; voided calls are left out."""
    corrections = corrections_of(session, organization_id, list(rows))
    if not corrections:
        return dict(rows)
    net = {key: apply_corrections(row, corrections.get(key, ())) for key, row in rows.items()}
    return {key: row for key, row in net.items() if row is not None}


def apply_corrections(
    row: dict[str, Any], corrections: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """One call net of its corrections, or None when it was voided."""
    if not corrections:
        return row
    net = {**row, VOLUME_VERSION: row["price_version"]}
    cost = int(row["cost_e10"] or 0)
    list_cost = int(row["cost_e10"] or 0 if row["list_cost_e10"] is None else row["list_cost_e10"])
    for correction in corrections:
        if correction["kind"] == "void":
            return None
        for name in ADDITIVE:
            net[name] += correction[name]
        cost += correction["cost_e10"]
        list_cost += correction["list_cost_e10"]
        net["cost_status"] = correction["cost_status"]
        net["price_version"] = correction["price_version"]
        net["price_rule"] = correction["price_rule"]
        net["currency"] = correction["currency"]
        if correction["volume"] is not None:
            net["volume"] = correction["volume"]
            net[VOLUME_VERSION] = correction["price_version"]
        if correction["payload_digest"] is not None:
            net["payload_digest"] = correction["payload_digest"]
            net["usage"] = correction["usage"]
    net[LAST_CORRECTION] = corrections[-1]["id"]
    net["cost_e10"] = None if net["cost_status"] == "unpriced" else cost
    net["list_cost_e10"] = None if net["cost_status"] == "unpriced" else list_cost
    return net
