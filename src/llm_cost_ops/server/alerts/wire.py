"""Alerts, rules and channels as the API shows them; of a channel's secrets nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.alerts.channels import channel_of
from llm_cost_ops.server.alerts.notify import moment_of
from llm_cost_ops.server.alerts.store import Row
from llm_cost_ops.server.delivery.channels import shown_fields
from llm_cost_ops.server.delivery.sealing import SecretUnreadable, Vault, is_sealed

_HIDDEN = ("period_start_us",)


def alert_row(row: Row) -> dict[str, Any]:
    """One alert without its history."""
    notice: Mapping[str, Any] = loads(row["notice"])
    details: Mapping[str, Any] = loads(row["details"])
    return {
        "id": row["id"],
        "type": row["kind"],
        "severity": row["severity"],
        "status": row["status"],
        "title": row["title"],
        "summary": row["summary"],
        "rule_id": row["rule_id"],
        "budget_id": row["budget_id"],
        "facts": [{"label": label, "value": value} for label, value in notice["facts"]],
        "drivers": [
            {"name": name, "amount": amount, "share": share}
            for name, amount, share in notice["drivers"]
        ],
        "details": {name: value for name, value in details.items() if name not in _HIDDEN},
        "dedup_key": row["dedup_key"],
        "occurrences": int(row["occurrences"]),
        "since": _instant(notice["since"]),
        "fired_at": _instant(row["fired_at"]),
        "last_seen_at": _instant(row["last_seen_at"]),
        "acknowledged_at": _instant(row["acknowledged_at"]),
        "snoozed_until": _instant(row["snoozed_until"]),
        "resolved_at": _instant(row["resolved_at"]),
    }


def with_history(
    row: Row,
    history: Sequence[Row],
    deliveries: Sequence[Row],
    names: Mapping[str, str],
) -> dict[str, Any]:
    """One alert with what happened to it and who was told; `names` of channels by id."""
    return {
        **alert_row(row),
        "history": [history_row(each) for each in history],
        "deliveries": [delivery_row(each, names) for each in deliveries],
    }


def history_row(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "type": row["kind"],
        "at": _instant(row["at"]),
        "actor_id": row["actor_id"],
        "text": row["text"],
        "details": loads(row["details"]),
    }


def delivery_row(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "channel_id": row["channel_id"],
        "channel_name": names.get(row["channel_id"]),
        "moment": moment_of(row["moment"]),
        "reason": row["moment"].partition("-")[0],
        "state": row["state"],
        "attempts": int(row["attempts"]),
        "status": row["status"],
        "detail": row["detail"],
        "due_at": _instant(row["due_at"]),
        "finished_at": _instant(row["finished_at"]),
    }


def rule_row(row: Row) -> dict[str, Any]:
    """One rule: its definition and who made it when."""
    definition: Mapping[str, Any] = loads(row["definition"])
    return {
        "id": row["id"],
        **definition,
        "scope": definition.get("scope") or {},
        "channels": definition.get("channels", []),
        "created_at": _instant(row["created_at"]),
        "updated_at": _instant(row["updated_at"]),
        "created_by": row["created_by"],
    }


def channel_row(row: Row, seal: Vault) -> dict[str, Any]:
    """One channel; `readable` is false when its secrets were sealed with another key."""
    try:
        config: Mapping[str, Any] | None = shown_fields(channel_of(row, seal))
    except SecretUnreadable:
        config = None
    return {
        "id": row["id"],
        "name": row["name"],
        "type": row["kind"],
        "config": config,
        "severities": loads(row["severities"]),
        "default": bool(row["is_default"]),
        "enabled": bool(row["enabled"]),
        "encrypted": is_sealed(row["config"]),
        "readable": config is not None,
        "created_at": _instant(row["created_at"]),
        "updated_at": _instant(row["updated_at"]),
    }


def _instant(micros: object) -> str | None:
    return None if micros is None else format_micros(int(str(micros)))
