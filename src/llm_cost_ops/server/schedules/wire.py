"""What the API answers of schedules and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.delivery.channels import MASK
from llm_cost_ops.server.delivery.sealing import SecretUnreadable
from llm_cost_ops.server.schedules.deliveries import stored_destinations
from llm_cost_ops.server.schedules.desk import ScheduleDesk
from llm_cost_ops.server.schedules.store import Row


def schedule_row(row: Row, last: Row | None, desk: ScheduleDesk) -> dict[str, Any]:
    """One schedule; `last` is its last run."""
    recurrence: dict[str, Any] = loads(row["recurrence"])
    return {
        "id": row["id"],
        "name": row["name"],
        "what": row["kind"],
        "parameters": loads(row["parameters"]),
        **recurrence,
        "catch_up": row["catch_up"],
        "destinations": _destinations(row, desk),
        "paused": bool(row["paused"]),
        "paused_reason": row["paused_reason"],
        "next_run_at": _instant(row["next_fire_at"]),
        "last_run": None if last is None else _brief(last),
        "owner": {"key_id": row["key_id"], "user_id": row["user_id"]},
        "created_at": _instant(row["created_at"]),
        "created_by": row["created_by"],
        "updated_at": _instant(row["updated_at"]),
    }


def _destinations(row: Row, desk: ScheduleDesk) -> list[dict[str, Any]]:
    try:
        return [each.shown() for each in stored_destinations(row, desk)]
    except SecretUnreadable:
        return [{**each, "secrets": MASK} for each in loads(row["destinations"])]


def _brief(run: Row) -> dict[str, Any]:
    return {
        "id": run["id"],
        "status": run["status"],
        "scheduled_for": _instant(run["fire_at"]),
        "finished_at": _instant(run["finished_at"]),
        "error": run["error"],
    }


def run_row(run: Row, parts: Sequence[Row], *, is_read: bool = True) -> dict[str, Any]:
    """One run with its deliveries; without `is_read` nothing of its file."""
    return {
        "id": run["id"],
        "schedule_id": run["schedule_id"],
        "scheduled_for": _instant(run["fire_at"]),
        "cause": run["cause"],
        "status": run["status"],
        "attempts": int(run["attempts"]),
        "period_start": _instant(run["start_at"]),
        "period_end": _instant(run["end_at"]),
        "file": _file(run) if is_read else None,
        "facts": loads(run["facts"]) if is_read and run["facts"] is not None else {},
        "deliveries": [_part(part) for part in parts if part["run_id"] == run["id"]],
        "error": run["error"],
        "created_at": _instant(run["created_at"]),
        "finished_at": _instant(run["finished_at"]),
    }


def _file(run: Row) -> dict[str, Any] | None:
    """Of a file that is kept no longer the digest stays."""
    if run["file"] is None:
        return None
    return {
        "name": run["file"],
        "media_type": run["media_type"],
        "size_bytes": int(run["size_bytes"]),
        "sha256": run["sha256"],
        "expires_at": _instant(run["expires_at"]),
        "is_kept": run["expires_at"] is not None,
    }


def _part(part: Row) -> dict[str, Any]:
    target: dict[str, Any] = loads(part["target"])
    recipients = target.get("recipients")
    return {
        "id": part["id"],
        "type": part["kind"],
        "recipient": recipients[0] if recipients else None,
        "status": part["state"],
        "attempts": int(part["attempts"]),
        "detail": part["detail"],
        "finished_at": _instant(part["finished_at"]),
    }


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(int(micros))
