"""The wire shape of a usage record and of a caller-priced cost, decoded and checked in C.

A record that does not fit is looked at again in `validate.py`, which accepts the documented
aliases and says in words what is wrong.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from llm_cost_ops.core.usage import MAX_QUANTITY

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Short = Annotated[str, Meta(min_length=1, max_length=64)]
Tier = Annotated[str, Meta(min_length=1, max_length=32)]
Tokens = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
Latency = Annotated[int, Meta(ge=0, le=10**12)]
Tags = Annotated[list[Text], Meta(max_length=64)]
NO_METADATA = Raw()
"""After decoding, metadata is compact JSON with sorted keys, or this when there is none."""


class WireRecord(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, omit_defaults=True):
    """One call as INTERFACES.md fixes it, canonical names only."""

    provider: Short
    model: Text | None = None
    event_id: Text | None = None
    source: Short = "api"
    timestamp: datetime | None = None
    organization_id: Text | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    usage: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    api_flavor: Short | None = None
    service_tier: Tier | None = None
    processing: Tier | None = None
    region: Short | None = None
    project_id: Text | None = None
    team_id: Text | None = None
    user_id: Text | None = None
    api_key_id: Text | None = None
    environment: Text | None = None
    feature: Text | None = None
    latency_ms: Latency | None = None
    status: Tier | None = None
    tags: Tags | None = None
    metadata: Raw = NO_METADATA


class WireCost(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, omit_defaults=True):
    """One caller-priced cost: `POST /api/v1/costs`."""

    model: Text
    cost: Decimal
    tokens_used: Tokens = 0
    usage: dict[str, Any] | None = None
    requests: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    list_cost: Decimal | None = None
    partially_priced: bool = False
    provider: Short | None = None
    event_id: Text | None = None
    source: Short = "manual"
    timestamp: datetime | None = None
    organization_id: Text | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "USD"
    service_tier: Tier | None = None
    processing: Tier | None = None
    region: Short | None = None
    project_id: Text | None = None
    team_id: Text | None = None
    user_id: Text | None = None
    api_key_id: Text | None = None
    environment: Text | None = None
    feature: Text | None = None
    latency_ms: Latency | None = None
    status: Tier | None = None
    tags: Tags | None = None
    metadata: Raw = NO_METADATA


ALIASES = {
    "model_id": "model",
    "model_name": "model",
    "input_tokens": "prompt_tokens",
    "tokens_prompt": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "tokens_completion": "completion_tokens",
    "cache_read_tokens": "cached_tokens",
    "cached_input_tokens": "cached_tokens",
    "cache_creation_tokens": "cache_write_tokens",
    "org_id": "organization_id",
    "project": "project_id",
    "team": "team_id",
    "user": "user_id",
    "latency": "latency_ms",
    "id": "event_id",
}
COST_ALIASES = {
    "model_id": "model",
    "model_name": "model",
    "total_tokens": "tokens_used",
    "tokens": "tokens_used",
    "amount": "cost",
    "total_cost": "cost",
    "org_id": "organization_id",
    "id": "event_id",
}
"""Documented spellings beside the canonical ones; camelCase forms are accepted for every field."""
