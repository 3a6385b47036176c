"""A call on its way into `usage_records`: one attribute per column, in column order."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from llm_cost_ops.server.ledger.tables import usage_records

COLUMNS: tuple[str, ...] = tuple(column.name for column in usage_records.columns)
_values = attrgetter(*COLUMNS)


class Entry:
    """Mutable while it is checked and priced. Times in microseconds, money in 1e-10."""

    __slots__ = COLUMNS

    id: str
    organization_id: str
    source: str
    event_id: str | None
    payload_digest: str
    timestamp: int
    received_at: int
    provider: str
    model_name: str
    service_tier: str
    processing: str
    region: str | None
    project_id: str | None
    team_id: str | None
    user_id: str | None
    api_key_id: str | None
    environment: str | None
    feature: str | None
    status: str | None
    latency_ms: int | None
    requests: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    usage: str | None
    response_id: str | None
    raw_usage: str | None
    cost_e10: int | None
    list_cost_e10: int | None
    provider_cost_e10: int | None
    currency: str
    cost_status: str
    price_version: str | None
    price_rule: str | None
    volume: int | None
    recorded_by: str | None
    import_id: str | None
    tags: str | None
    metadata: str | None

    def __init__(self) -> None:
        self.id = ""
        self.service_tier = "standard"
        self.processing = "realtime"
        self.currency = "USD"
        self.cost_status = "unpriced"
        self.requests = 1
        self.input_tokens = self.output_tokens = self.total_tokens = 0
        self.cached_tokens = self.cache_write_tokens = self.reasoning_tokens = 0
        self.region = self.usage = self.response_id = self.raw_usage = None
        self.cost_e10 = self.list_cost_e10 = self.provider_cost_e10 = self.volume = None
        self.price_version = self.price_rule = self.tags = None

    def row(self) -> tuple[Any, ...]:
        """Values in column order."""
        return _values(self)

    def mapping(self) -> dict[str, Any]:
        """Values by column name, as a row read from the database would have them."""
        return dict(zip(COLUMNS, _values(self), strict=True))
