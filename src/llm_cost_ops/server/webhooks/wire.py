"""Endpoints, deliveries, attempts and the catalogue as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_cost_ops.core import signature
from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.webhooks.catalogue import EVENTS
from llm_cost_ops.server.webhooks.define import Shown
from llm_cost_ops.server.webhooks.sign import readable

Row = Mapping[str, Any]


def endpoint_row(row: Row, now_us: int) -> dict[str, object]:
    """An endpoint without its secret."""
    overlap_us = row["previous_until"]
    overlapping = overlap_us is not None and now_us < overlap_us
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "url": row["url"],
        "events": row["events"],
        "description": row["description"],
        "enabled": bool(row["enabled"]),
        "disabled_reason": row["disabled_reason"],
        "failing_since": _instant(row["failing_since"]),
        "paused_until": _instant(row["paused_until"]),
        "last_success_at": _instant(row["last_success_at"]),
        "last_failure_at": _instant(row["last_failure_at"]),
        "previous_secret_until": _instant(overlap_us) if overlapping else None,
        "created_at": format_micros(row["created_at"]),
        "updated_at": format_micros(row["updated_at"]),
    }


def shown(made: Shown, now_us: int) -> dict[str, object]:
    """An endpoint with its secret where that is shown, also as libraries of Standard Webhooks read
    it."""
    row = endpoint_row(made.row, now_us)
    if made.secret is not None:
        row["secret"] = made.secret
        row["signing_secret"] = signature.standard_secret(made.secret)
    return row


def delivery_row(row: Row) -> dict[str, object]:
    """A delivery without its attempts."""
    return {
        "id": row["id"],
        "webhook_id": row["endpoint_id"],
        "event_id": row["event_id"],
        "event": row["topic"],
        "type": row["event_type"],
        "status": row["status"],
        "attempts": int(row["attempts"]),
        "last_status_code": row["last_status"],
        "event_at": format_micros(row["event_at"]),
        "created_at": format_micros(row["created_at"]),
        "next_attempt_at": _instant(row["next_attempt_at"]),
        "finished_at": _instant(row["finished_at"]),
    }


def delivery_shown(row: Row, attempts: Sequence[Row]) -> dict[str, object]:
    """A delivery with what was sent and how each attempt went."""
    return {
        **delivery_row(row),
        "data": None if row["data"] is None else readable(row["data"]),
        "attempt_log": [attempt_row(each) for each in attempts],
    }


def attempt_row(row: Row) -> dict[str, object]:
    """How one attempt went."""
    return {
        "id": row["id"],
        "number": int(row["number"]),
        "at": format_micros(row["at"]),
        "delivered": bool(row["delivered"]),
        "status_code": row["status_code"],
        "latency_ms": int(row["took_us"]) // 1_000,
        "detail": row["detail"],
        "response_head": row["head"],
    }


def catalogue() -> list[dict[str, object]]:
    """The events that can be wanted."""
    return [
        {
            "name": kind.name,
            "description": kind.description,
            "aliases": list(kind.aliases),
            "published": kind.published,
            "data_schema": kind.data,
        }
        for kind in EVENTS.values()
    ]


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)
