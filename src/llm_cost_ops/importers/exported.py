"""Our own exports of calls (JSON, JSON lines): what another installation counted, as it counted it.

A cost stands as it was exported, whatever prices are known here. A call without one waits for a
price, as it did there; where the export leaves out what a price depends on, it is refused, because
any price would be a guess. Calls keep source and event id, so that the same export again adds
nothing; where an export has no event ids, the ids of its rows are theirs. A later export of the
same calls corrects those whose counts or costs have changed since. Rows that correct a closed month
are refused: in the books of a later one they are what the closed one lacks of a call, not the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import IO

from llm_cost_ops.importers.fields import amount_of, count_of, object_of, text_of, texts_of
from llm_cost_ops.importers.jsonvalues import rows_of
from llm_cost_ops.importers.lines import HEAD_BYTES, peek
from llm_cost_ops.importers.problem import NothingToBill, RowError
from llm_cost_ops.importers.record import (
    GROWING,
    ImportOptions,
    ItemStream,
    Record,
    Row,
    convert_rows,
)

SOURCE = "llm-cost-ops"
COSTS = frozenset({"total_cost", "cost", "amount", "calculated_cost"})
"""What an export calls the cost."""
MARKS = frozenset({"cost_status", "currency", "model"})
"""What every default export has."""
_NOT_FREE = frozenset({"reservation"})
"""Sources that no caller may name: their calls come under `SOURCE`."""
_COUNTS = {
    "input_tokens": ("prompt_tokens", "input_tokens"),
    "output_tokens": ("completion_tokens", "output_tokens"),
    "cache_read_tokens": ("cached_tokens",),
    "cache_write_tokens": ("cache_write_tokens",),
    "output_reasoning_tokens": ("reasoning_tokens",),
}
_TEXTS = (
    "project_id", "team_id", "user_id", "api_key_id", "environment", "feature", "status",
    "service_tier", "processing", "region",
)  # fmt: skip
_PARTIALLY = "partially_priced"
_DIFFERENCE = (
    "is no call: corrections of a closed month are differences, which would take the place of "
    "their calls; export dates that are not exactly one month, which have the calls as they are now"
)
_PRICED_BY = ("usage", "service_tier", "processing", "region")
"""What a price depends on: a column that is missing is not the same as an empty one."""


def is_export(keys: Iterable[str]) -> bool:
    """Whether a row with these keys is one of ours."""
    names = set(keys)
    return names >= MARKS and bool(names & COSTS) and bool(names & {"timestamp", "created_at"})


def read_export(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    rows = rows_of(stream, options.max_row_bytes, peek(stream, HEAD_BYTES))
    return convert_rows(rows, _records)


def _records(row: Row) -> Iterable[Record]:
    _refuse_difference(row)
    record = _identified(row)
    record["timestamp"] = _required(row, "timestamp", "created_at")
    record["provider"] = _required(row, "provider")
    record["model"] = _required(row, "model", "model_name")
    record |= {name: text_of(row.get(name), name) for name in _TEXTS}
    record["latency_ms"] = count_of(row.get("latency_ms"), "latency_ms")
    record["tags"] = texts_of(row.get("tags"), "tags") or None
    record["metadata"] = dict(object_of(row.get("metadata"), "metadata"))
    if "usage" in row:  # counts of the usual kinds alone would take the others from a known call
        record[GROWING] = True
    cost = next((row[name] for name in COSTS if row.get(name) is not None), None)
    yield record | (_waiting(row) if cost is None else _counted(row, cost))


def _refuse_difference(row: Row) -> None:
    if "corrects" in row:
        if row["corrects"] is not None:
            raise RowError(_DIFFERENCE, field="corrects")
        return
    if "requests" not in row:
        raise RowError("an export must have the column corrects or requests", field="corrects")
    requests = row["requests"]
    if isinstance(requests, int | Decimal) and requests <= 0:  # a call taken back, or none
        raise RowError(_DIFFERENCE, field="requests")


def _identified(row: Row) -> Record:
    source = text_of(row.get("source"), "source") or SOURCE
    event_id = text_of(row.get("event_id"), "event_id") or text_of(row.get("id"), "id")
    if event_id is None:
        raise RowError("an export must have the column event_id or id", field="event_id")
    return {"source": SOURCE if source in _NOT_FREE else source, "event_id": event_id}


def _required(row: Row, *names: str) -> str:
    for name in names:
        found = text_of(row.get(name), name)
        if found is not None:
            return found
    raise RowError("is required", field=names[0])


def _counted(row: Row, cost: object) -> Record:
    usage = _usage(row)
    requests = count_of(row.get("requests"), "requests")
    status = text_of(row.get("cost_status"), "cost_status")
    tokens = count_of(row.get("total_tokens", row.get("tokens_used")), "total_tokens")
    return {
        "cost": amount_of(cost, "total_cost"),
        "list_cost": amount_of(row.get("list_cost"), "list_cost"),
        "currency": text_of(row.get("currency"), "currency"),
        "partially_priced": True if status == _PARTIALLY else None,
        "usage": usage,
        "requests": None if requests == 1 else requests,
        "tokens_used": None if usage else tokens,
    }


def _waiting(row: Row) -> Record:
    for name in _PRICED_BY:
        if name not in row:
            raise RowError(
                "is required of a call without a cost: export again with --type calls", field=name
            )
    requests = count_of(row.get("requests"), "requests")
    usage = dict(_usage(row))
    if requests is not None and (requests > 1 or not usage):
        usage.setdefault("requests", requests)
    if not any(usage.values()):
        raise NothingToBill("has neither a cost nor quantities", field="usage")
    return {"usage": usage}


def _usage(row: Row) -> Mapping[str, object]:
    """Quantities by kind; without the column `usage`, those that have a column of their own."""
    given = object_of(row.get("usage"), "usage")
    if given:
        return {kind: _quantity(value) for kind, value in given.items()}
    counts: dict[str, object] = {}
    for kind, names in _COUNTS.items():
        found = next((row[name] for name in names if row.get(name) is not None), None)
        count = count_of(found, names[0])
        if count:
            counts[kind] = count
    return counts


def _quantity(value: object) -> object:
    """Whole numbers as such: a database may have written `12.0`."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value
