"""A call on its way into `usage_records`: one field per column, in column order."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import msgspec

from llm_cost_ops.server.ledger.tables import usage_records

copy_of: Callable[[Entry], Entry] = methodcaller("__copy__")
"""Another entry with the same values."""

COLUMNS: tuple[str, ...] = tuple(column.name for column in usage_records.columns)


class Entry(msgspec.Struct, gc=False):
    """Mutable while it is checked and priced. Times in microseconds, money in 1e-10.

    A struct, because a copy of one and its row are made by the thousand.
    """

    id: str = ""
    organization_id: str = ""
    source: str = ""
    event_id: str | None = None
    payload_digest: str = ""
    timestamp: int = 0
    received_at: int = 0
    provider: str = ""
    model_name: str = ""
    service_tier: str = "standard"
    processing: str = "realtime"
    region: str | None = None
    project_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None
    environment: str | None = None
    feature: str | None = None
    status: str | None = None
    latency_ms: int | None = None
    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    usage: str | None = None
    response_id: str | None = None
    raw_usage: str | None = None
    cost_e10: int | None = None
    list_cost_e10: int | None = None
    provider_cost_e10: int | None = None
    currency: str = "USD"
    cost_status: str = "unpriced"
    price_version: str | None = None
    price_rule: str | None = None
    volume: int | None = None
    recorded_by: str | None = None
    import_id: str | None = None
    tags: str | None = None
    metadata: str | None = None

    def row(self) -> tuple[Any, ...]:
        """Values in column order."""
        return msgspec.structs.astuple(self)

    def mapping(self) -> dict[str, Any]:
        """Values by column name, as a row read from the database would have them."""
        return msgspec.structs.asdict(self)


assert Entry.__struct_fields__ == COLUMNS  # noqa: S101 - a row is written in this order
