"""Ordered exports as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.exports import store

PATH = "/api/v1/export"
_NEARLY = Decimal(99)


def export_row(row: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    """An export. One whose time has come is shown as expired before the sweep comes by."""
    status = str(row["status"])
    expires_at = row["expires_at"]
    if status == store.COMPLETED and expires_at is not None and expires_at <= now_us:
        status = store.EXPIRED
    asked = _read(row["asked"])
    ready = status == store.COMPLETED
    return {
        "id": row["id"],
        "status": status,
        "type": row["kind"],
        "format": row["format"],
        "query": asked["values"],
        "progress": {
            "rows": row["rows_done"],
            "rows_expected": row["rows_expected"],
            "bytes": row["size_bytes"],
            "fraction": _fraction(row, status),
        },
        "file_name": row["file_name"],
        "media_type": row["media_type"],
        "size_bytes": row["size_bytes"] if row["sha256"] is not None else None,
        "sha256": row["sha256"],
        "totals": _read(row["totals"]) or [],
        "reason": row["reason"],
        "download_url": f"{PATH}/{row['id']}/download" if ready else None,
        "created_by": row["created_by"],
        "created_at": _instant(row["created_at"]),
        "started_at": _instant(row["started_at"]),
        "finished_at": _instant(row["finished_at"]),
        "expires_at": _instant(expires_at),
    }


def event_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the events of an export say."""
    return {
        "export_id": row["id"],
        "status": row["status"],
        "type": row["kind"],
        "format": row["format"],
        "rows": row["rows_done"],
        "size_bytes": row["size_bytes"],
        "sha256": row["sha256"],
        "totals": _read(row["totals"]) or [],
        "reason": row["reason"],
        "download_url": f"{PATH}/{row['id']}/download"
        if row["status"] == store.COMPLETED
        else None,
        "expires_at": _instant(row["expires_at"]),
    }


def _fraction(row: Mapping[str, Any], status: str) -> Decimal | None:
    """How much of it is done, from 0 to 1; below 1 until it is whole, None when nobody knows."""
    if status in (store.COMPLETED, store.EXPIRED):
        return Decimal(1)
    expected = row["rows_expected"]
    if expected is None:
        return None
    return min(Decimal(row["rows_done"] * 100 // max(expected, 1)), _NEARLY).scaleb(-2)


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)


def _read(stored: object) -> Any:
    return loads(stored) if isinstance(stored, str) else stored
