"""A draft: one checked and priced call, ready to become a row of the ledger."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from operator import attrgetter

import msgspec

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.instant import FIRST_YEAR, LAST_YEAR, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import MAX_AMOUNT_E10, to_e10
from llm_cost_ops.core.providers.extract import Extracted, extract
from llm_cost_ops.core.usage import Quantity, check_consistent, check_usage
from llm_cost_ops.core.usage import inferred_total as inferred
from llm_cost_ops.server.ingest.schema import MAX_METADATA_BYTES, WireCost, WireRecord
from llm_cost_ops.server.ingest.validate import amount_of
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.wire import COLUMN_KINDS
from llm_cost_ops.server.pricing.resolve import OrganizationPrices, Quote

PENDING_VOLUME = -1
"""A price that depends on the month's volume is computed in the transaction that knows it."""

DAY_US = 24 * 3_600 * 1_000_000
_FIRST = to_micros(datetime.fromisoformat(f"{FIRST_YEAR}-01-01T00:00:00+00:00"))
_LAST = to_micros(datetime.fromisoformat(f"{LAST_YEAR + 1}-01-01T00:00:00+00:00"))
_sorted_json = msgspec.json.Encoder(order="sorted", decimal_format="number")
_exact_json = msgspec.json.Decoder(float_hook=Decimal)
_canonical = msgspec.json.Encoder(decimal_format="number")
_SHARED = ("source", "model", "project_id", "team_id", "user_id", "api_key_id", "environment")
_COST_LABELS = attrgetter(*_SHARED, "feature", "status", "provider")
_USAGE_LABELS = attrgetter(*_SHARED, "feature", "status", "region", "service_tier", "processing")
_KNOWN_LABELS: set[str | None] = {None}
_MAX_KNOWN_LABELS = 100_000


class Door:
    """What the door knows about one request: whose it is, its prices, and the time."""

    __slots__ = (
        "import_id",
        "latest_us",
        "now_us",
        "organization_id",
        "prices",
        "recorded_by",
        "strict",
    )

    def __init__(
        self,
        organization_id: str,
        prices: OrganizationPrices,
        now_us: int,
        *,
        recorded_by: str | None = None,
        import_id: str | None = None,
        strict: bool = False,
        max_future_us: int = DAY_US,
    ) -> None:
        self.organization_id = organization_id
        self.prices = prices
        self.now_us = now_us
        self.latest_us = now_us + max_future_us
        self.recorded_by = recorded_by
        self.import_id = import_id
        self.strict = strict


class ForeignOrganization(DomainError):
    """A record that names another organization than the key's."""

    code = "ORGANIZATION_MISMATCH"


def draft_usage(record: WireRecord, door: Door) -> Entry:
    """Check, extract and price one usage record. Raises DomainError with the field at fault."""
    _check_common(record, door)
    provider = door.prices.provider(record.provider)
    found = _extracted(record, provider)
    usage = found.usage if found else _usage(record)
    model = record.model or (found.model if found else None)
    if model is None:
        raise UsageError("model", "is required")
    tier = (found.service_tier if found else None) or record.service_tier or "standard"
    processing = record.processing or (found.processing if found else None) or "realtime"
    region = record.region or (found.region if found else None)
    entry = _entry(record, door, provider, model, usage)
    entry.service_tier = "standard" if tier == "default" else tier
    entry.processing = processing
    entry.region = region
    if found:
        entry.response_id = found.response_id
        entry.raw_usage = dumps(found.usage_block)
        if found.reported_cost is not None:
            entry.provider_cost_e10 = to_e10(found.reported_cost, "response.usage.cost")
    quote = door.prices.quote(
        provider,
        model,
        entry.timestamp,
        usage,
        service_tier=entry.service_tier,
        processing=processing,
        region=region,
        strict=door.strict,
    )
    apply_quote(entry, quote)
    return entry


def apply_quote(entry: Entry, quote: Quote) -> None:
    """Write what a call costs into its entry; a volume still to be read is left to the writer."""
    entry.cost_status = quote.status
    entry.cost_e10 = quote.cost_e10
    entry.list_cost_e10 = quote.list_cost_e10
    entry.currency = quote.currency
    entry.price_version = quote.version
    entry.price_rule = quote.rule
    entry.volume = PENDING_VOLUME if quote.volume else None


def draft_cost(cost: WireCost, door: Door) -> Entry:
    """One caller-priced cost as a draft. Raises DomainError with the field at fault."""
    _check_common(cost, door)
    if cost.provider:
        provider = door.prices.provider(cost.provider)
    else:
        provider = door.prices.provider_of_model(cost.model)
    units = to_e10(amount_of(cost.cost), "cost")
    if units < 0 and door.import_id is None:  # a provider's cost report may list credits
        raise UsageError("cost", "must be greater than or equal to 0")
    entry = _entry(cost, door, provider, cost.model, {})
    entry.total_tokens = cost.tokens_used
    entry.cost_e10 = units
    entry.currency = cost.currency
    entry.cost_status = "priced"
    entry.price_rule = "manual"
    return entry


def _check_common(record: WireRecord | WireCost, door: Door) -> None:
    organization = record.organization_id
    if organization is not None and organization != door.organization_id:
        raise ForeignOrganization(
            "organization_id does not belong to this API key", field="organization_id"
        )
    labels = _USAGE_LABELS if record.__class__ is WireRecord else _COST_LABELS
    for value in labels(record):
        if value not in _KNOWN_LABELS:
            _check_label(record, value)
    event_id = record.event_id
    if event_id is not None and not _is_sane(event_id):
        raise UsageError("event_id", _INSANE)
    for tag in record.tags or ():
        if tag not in _KNOWN_LABELS:
            _check_label(record, tag)


_INSANE = "must not hold control characters or surrounding spaces"


def _is_sane(text: str) -> bool:
    """Databases disagree about trailing spaces and NUL: neither gets in."""
    return text.isprintable() and text == text.strip()


def _check_label(record: WireRecord | WireCost, value: str) -> None:
    if not _is_sane(value):
        fields = (f for f in record.__struct_fields__ if getattr(record, f) == value)
        raise UsageError(next(fields, "tags"), _INSANE)
    if len(_KNOWN_LABELS) < _MAX_KNOWN_LABELS:
        _KNOWN_LABELS.add(value)


def _timestamp(record: WireRecord | WireCost, door: Door) -> int:
    given = record.timestamp
    if given is None:
        return door.now_us
    if given.tzinfo is None:
        given = given.replace(tzinfo=_UTC)
    micros = to_micros(given)
    if not _FIRST <= micros < _LAST:
        raise UsageError("timestamp", f"must be between {FIRST_YEAR} and {LAST_YEAR}")
    if micros > door.latest_us:
        hours = (door.latest_us - door.now_us) // (DAY_US // 24)
        raise UsageError("timestamp", f"must not be more than {hours} hours in the future")
    return micros


_UTC = datetime.fromisoformat("1970-01-01T00:00:00+00:00").tzinfo


def _extracted(record: WireRecord, provider: str) -> Extracted | None:
    if record.response is None:
        return None
    if record.usage is not None or record.prompt_tokens is not None:
        raise UsageError("response", "must not be given together with counts")
    return extract(provider, record.response, record.api_flavor)


def _usage(record: WireRecord) -> dict[str, Quantity]:
    if record.usage is not None:
        if record.prompt_tokens is not None or record.completion_tokens is not None:
            raise UsageError("usage", "must not be given together with prompt_tokens")
        checked = check_usage(record.usage)
        if not checked:
            raise UsageError("usage", "must name at least one quantity greater than 0")
        check_consistent(checked)
        return checked
    prompt, completion = record.prompt_tokens, record.completion_tokens
    if prompt is None or completion is None:
        missing = "prompt_tokens" if prompt is None else "completion_tokens"
        raise UsageError(missing, "is required")
    if not prompt and not completion:
        raise UsageError("prompt_tokens", "must be greater than 0")
    if record.total_tokens is not None and record.total_tokens != prompt + completion:
        raise UsageError("total_tokens", "must be the sum of prompt_tokens and completion_tokens")
    return _plain_usage(record, prompt, completion)


def _plain_usage(record: WireRecord, prompt: int, completion: int) -> dict[str, Quantity]:
    usage: dict[str, Quantity] = {}
    if prompt:
        usage["input_tokens"] = prompt
    if completion:
        usage["output_tokens"] = completion
    cached, written = record.cached_tokens or 0, record.cache_write_tokens or 0
    if cached:
        if cached > prompt:
            raise UsageError("cached_tokens", "must not exceed prompt_tokens")
        usage["cache_read_tokens"] = cached
    if written:
        if cached + written > prompt:
            raise UsageError(
                "cache_write_tokens", "must not exceed prompt_tokens less cached_tokens"
            )
        usage["cache_write_tokens"] = written
    reasoning = record.reasoning_tokens
    if reasoning:
        if reasoning > completion:
            raise UsageError("reasoning_tokens", "must not exceed completion_tokens")
        usage["output_reasoning_tokens"] = reasoning
    return usage


def _entry(
    record: WireRecord | WireCost,
    door: Door,
    provider: str,
    model: str,
    usage: Mapping[str, Quantity],
) -> Entry:
    entry = Entry()
    entry.organization_id = door.organization_id
    entry.recorded_by = door.recorded_by
    entry.import_id = door.import_id
    entry.received_at = door.now_us
    entry.timestamp = _timestamp(record, door)
    entry.provider = provider
    entry.model_name = model
    entry.source = record.source
    entry.event_id = record.event_id
    entry.project_id = record.project_id
    entry.team_id = record.team_id
    entry.user_id = record.user_id
    entry.api_key_id = record.api_key_id
    entry.environment = record.environment
    entry.feature = record.feature
    entry.status = record.status
    entry.latency_ms = record.latency_ms
    if record.tags:
        entry.tags = _canonical.encode(record.tags).decode()
    entry.metadata = _metadata(record)
    if usage:
        _fill_counts(entry, usage)
    entry.payload_digest = _digest(record, entry.metadata)
    return entry


def _fill_counts(entry: Entry, usage: Mapping[str, Quantity]) -> None:
    has_other = False
    for kind in usage:
        if kind not in COLUMN_KINDS:
            has_other = True
            break
    get = usage.get
    if has_other:
        entry.usage = dumps(usage)
        entry.requests = int(get("requests", 1))
        entry.input_tokens = int(get("input_tokens") or inferred("input_tokens", usage))
        entry.output_tokens = int(get("output_tokens") or inferred("output_tokens", usage))
        entry.cached_tokens = int(get("cache_read_tokens") or inferred("cache_read_tokens", usage))
        entry.cache_write_tokens = int(
            get("cache_write_tokens") or inferred("cache_write_tokens", usage)
        )
    else:
        entry.input_tokens = int(get("input_tokens", 0))
        entry.output_tokens = int(get("output_tokens", 0))
        entry.cached_tokens = int(get("cache_read_tokens", 0))
        entry.cache_write_tokens = int(get("cache_write_tokens", 0))
    entry.reasoning_tokens = int(get("output_reasoning_tokens", 0))
    entry.total_tokens = entry.input_tokens + entry.output_tokens


def _metadata(record: WireRecord | WireCost) -> str | None:
    raw = bytes(record.metadata)
    if not raw or raw in (b"null", b"{}"):
        return None
    if raw[:1] != b"{":
        raise UsageError("metadata", "must be an object")
    if len(raw) > MAX_METADATA_BYTES:
        raise UsageError("metadata", f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    text = _sorted_json.encode(_exact_json.decode(raw))
    if b"\\u0000" in text:
        raise UsageError("metadata", "must not hold NUL characters")
    return text.decode()


def _digest(record: WireRecord | WireCost, metadata: str | None) -> str:
    """Identity of the payload: everything but the ids under which it was sent, metadata with
    sorted keys, so that another spelling of the same call is the same call."""
    source, event_id, raw = record.source, record.event_id, record.metadata
    record.source, record.event_id, record.metadata = "", None, _EMPTY
    try:
        body = _canonical.encode(record)
    finally:
        record.source, record.event_id, record.metadata = source, event_id, raw
    digest = blake2b(body, digest_size=16)
    if metadata:
        digest.update(metadata.encode())
    return base64.b64encode(digest.digest())[:22].decode()


_EMPTY = msgspec.Raw(b"null")
assert MAX_AMOUNT_E10 < 2**63  # noqa: S101 - the column is a signed 64-bit integer
