"""Requests of persons as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.privacy.requests import DONE, ERASE, FAILED


def request_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A request; what an erasure under way remembers of the person is not shown."""
    given: Any = row["detail"]
    detail: dict[str, Any] = loads(given) if isinstance(given, str) else given or {}
    if row["kind"] == ERASE and row["status"] != DONE:
        detail = {"reason": detail["reason"]} if row["status"] == FAILED else {}
    finished, signed = row["finished_at"], row["certificate"]
    return {
        "id": row["id"],
        "kind": row["kind"],
        "status": row["status"],
        "subject": row["subject"],
        "result": detail,
        "has_certificate": signed is not None,
        "created_by": row["created_by"],
        "created_at": from_micros(row["created_at"]).isoformat(),
        "finished_at": None if finished is None else from_micros(finished).isoformat(),
    }
