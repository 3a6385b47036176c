"""Records on their way out: filled in once per logical call, and cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from llm_cost_ops.client import wire
from llm_cost_ops.client.fields import UsageFields
from llm_cost_ops.client.rows import UsageRecord
from llm_cost_ops.client.settings import Settings

BATCH_RECORDS = 10_000
BATCH_BYTES = 10_000_000
"""The server's default limits of one batch; a longer one is sent in several."""

_ENVELOPE_BYTES = len(b'{"records":[]}')
_COUNTS = frozenset(
    ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
     "reasoning_tokens")
)  # fmt: skip


def usage_record(
    settings: Settings, data: object, fields: Mapping[str, Any], key: str | None = None
) -> dict[str, Any]:
    """One usage record with an `event_id`, by which the server knows a repetition."""
    return identified(_given(settings, data, fields), key)


def cost_record(
    settings: Settings, data: object, fields: Mapping[str, Any], key: str | None = None
) -> dict[str, Any]:
    """One caller-priced record, its cost rounded half-even to ten places."""
    record = _given(settings, data, fields)
    if "cost" in record:
        record["cost"] = wire.money(record["cost"])
    return identified(record, key)


def identified(record: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """The caller's idempotency key stands for one body: an id made anew would change it."""
    if record.get("event_id") is None and key is None:
        record["event_id"] = str(uuid4())
    return record


def _given(settings: Settings, data: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if isinstance(data, UsageRecord):
        record = _resubmittable(data)
    elif data is not None:
        record = wire.fields_of(data)
    record.update(fields)
    for name in ("organization_id", "environment"):
        if record.get(name) is None:
            record[name] = getattr(settings, name)
    return {name: value for name, value in record.items() if value is not None}


def _resubmittable(row: UsageRecord) -> dict[str, Any]:
    """What of a row is input: an answer's row also carries what the server computed."""
    names = set(UsageFields.__annotations__)
    if row.get("usage"):
        names -= _COUNTS
    return {name: value for name, value in row.items() if name in names}


class Batch:
    """Some records as one request body, and where they begin in the whole."""

    __slots__ = ("body", "records", "start")

    def __init__(self, start: int, records: list[dict[str, Any]], parts: list[bytes]) -> None:
        self.start = start
        self.records = records
        self.body = b'{"records":[' + b",".join(parts) + b"]}"


def batches(
    records: Iterable[dict[str, Any]],
    max_records: int = BATCH_RECORDS,
    max_bytes: int = BATCH_BYTES,
) -> Iterator[Batch]:
    """Cut records into batches within both limits, reading no further than the batch at hand."""
    start, size = 0, _ENVELOPE_BYTES
    taken: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for record in records:
        part = wire.encode(record)
        if taken and (len(taken) == max_records or size + len(part) + 1 > max_bytes):
            yield Batch(start, taken, parts)
            start, size, taken, parts = start + len(taken), _ENVELOPE_BYTES, [], []
        taken.append(record)
        parts.append(part)
        size += len(part) + 1
    if taken:
        yield Batch(start, taken, parts)
