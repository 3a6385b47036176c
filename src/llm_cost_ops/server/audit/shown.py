"""An entry as it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads

FIELDS = (
    "id", "seq", "timestamp", "actor_kind", "actor_id", "user_id", "user_email", "ip", "action",
    "resource_type", "resource_id", "outcome", "before", "after", "request_id", "previous_hash",
    "hash",
)  # fmt: skip


def shown(row: Mapping[str, Any], emails: Mapping[str, str] | None = None) -> dict[str, object]:
    """The entry, with the address of its user as it is now where it has none of its own."""
    made: dict[str, object] = {name: row[name] for name in FIELDS}
    made["timestamp"] = format_micros(int(row["timestamp"]))
    made["seq"] = int(row["seq"])
    made["user_email"] = row["user_email"] or (emails or {}).get(row["user_id"] or "")
    for name in ("before", "after"):
        made[name] = None if row[name] is None else loads(row[name])
    return made
