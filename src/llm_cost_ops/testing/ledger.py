"""The fake server's ledger: rows in memory, each call once, voided rows out of sight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llm_cost_ops.testing.refusal import Refusal, not_found

Row = dict[str, Any]
FATE = ("id", "total_cost", "calculated_cost", "cost", "amount", "cost_status", "price_version")


class FakeLedger:
    """Calls in the order of their arrival, unique by source and event_id for ever."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._rows: dict[str, Row] = {}
        self._events: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        self._voided: set[str] = set()

    @property
    def rows(self) -> list[Row]:
        """All calls that count."""
        return [row for row in self._rows.values() if row["id"] not in self._voided]

    def append(self, row: Row, payload: Mapping[str, Any]) -> tuple[str, Row]:
        """("created", row), or ("duplicate", the first row). Raises Refusal for another payload."""
        row["id"] = self._new_id("usg")
        event_id = row["event_id"] = row["event_id"] or row["id"]
        known = self._events.get((row["source"], event_id))
        if known is not None:
            first, first_payload = known
            if first_payload == payload:
                return "duplicate", self._rows[first]
            text = "was already recorded with another payload"
            message = f"this event_id {text}"
            raise Refusal(409, "CONFLICT", message, {"event_id": text})
        self._events[(row["source"], event_id)] = (row["id"], payload)
        self._rows[row["id"]] = row
        return "created", row

    def get(self, row_id: str) -> Row:
        if row_id not in self._rows or row_id in self._voided:
            raise not_found("Cost entry")
        return self._rows[row_id]

    def void(self, row_id: str) -> None:
        self.get(row_id)
        self._voided.add(row_id)

    def snapshot(self) -> Any:
        return dict(self._rows), dict(self._events), set(self._voided)

    def restore(self, snapshot: Any) -> None:
        self._rows, self._events, self._voided = snapshot
