"""A draft: one checked and priced call, ready to become a row of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.instant import FIRST_YEAR, LAST_YEAR, from_micros, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.core.usage import Quantity
from llm_cost_ops.server.ingest.context import Context
from llm_cost_ops.server.ingest.counts import (
    fill_counts,
    fill_usual,
    given_usage,
    usage_of_usual,
    usual_counts,
)
from llm_cost_ops.server.ingest.payload import check_labels, fill_payload
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord
from llm_cost_ops.server.ingest.validate import amount_of
from llm_cost_ops.server.ledger.entry import Entry, copy_of
from llm_cost_ops.server.pricing.resolve import OrganizationPrices, Quote

PENDING_VOLUME = -1
"""A price that depends on the month's volume is computed in the transaction that knows it."""

DAY_US = 24 * 3_600 * 1_000_000
_FIRST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
ContextKey = tuple[str, str | None, str | None, str | None, str | None]


class Door:
    """What the door knows about one request: whose it is, its prices, and the time."""

    __slots__ = (
        "blank",
        "contexts",
        "import_id",
        "latest",
        "now",
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
        self.recorded_by = recorded_by
        self.import_id = import_id
        self.now = from_micros(now_us)
        self.latest = from_micros(now_us + max_future_us)
        self.strict = strict
        self.contexts: dict[ContextKey, Context] = {}
        self.blank = Entry(
            organization_id=organization_id,
            timestamp=now_us,
            received_at=now_us,
            recorded_by=recorded_by,
            import_id=import_id,
        )

    def context(
        self,
        provider: str,
        model: str | None,
        service_tier: str | None,
        processing: str | None,
        region: str | None,
    ) -> Context:
        """The context of calls that say this of themselves. Raises UsageError."""
        blank = copy_of(self.blank)
        blank.provider = self.prices.provider(provider)
        if model is None:
            raise UsageError("model", "is required")
        blank.model_name = model
        if service_tier is not None and service_tier != "default":
            blank.service_tier = service_tier
        if processing is not None:
            blank.processing = processing
        blank.region = region
        made = Context(blank, self.prices)
        self.contexts[provider, model, service_tier, processing, region] = made
        return made


class ForeignOrganization(DomainError):
    """A record that names another organization than the key's."""

    code = "ORGANIZATION_MISMATCH"


def draft_usage(record: WireRecord, door: Door) -> Entry:
    """Check, extract and price one usage record. Raises DomainError with the field at fault."""
    _check_organization(record, door)
    check_labels(record)
    entry = price_usage(record, door)
    fill_payload(entry, record)
    return entry


def price_usage(record: WireRecord, door: Door) -> Entry:
    """The part of a draft that says what was used, when, and what it costs."""
    at = _instant(record, door)
    if record.response is not None:
        return _read_response(record, door, at)
    key = (
        record.provider,
        record.model,
        record.service_tier,
        record.processing,
        record.region,
    )
    context = door.contexts.get(key) or door.context(*key)
    blank, compiled = context.steady or context.start(at)
    entry = copy_of(blank)
    entry.timestamp = to_micros(at)
    if record.usage is not None:
        usage = given_usage(record)
        fill_counts(entry, usage)
    else:
        counts = usual_counts(record)
        fill_usual(entry, counts)
        if compiled is not None and compiled.is_plain and not door.strict:
            entry.cost_status, entry.cost_e10 = compiled.usual_cost(*counts)
            return entry
        usage = usage_of_usual(counts)
    if compiled is not None or door.strict:
        apply_quote(entry, _quote(entry, usage, door))
    return entry


def _read_response(record: WireRecord, door: Door, at: datetime) -> Entry:
    """What a raw response says; what the record says beside it stands first, but for the tier."""
    entry = copy_of(door.blank)
    entry.timestamp = to_micros(at)
    entry.provider = door.prices.provider(record.provider)
    if record.usage is not None or record.prompt_tokens is not None:
        raise UsageError("response", "must not be given together with counts")
    found = extract(entry.provider, record.response or {}, record.api_flavor)
    model = record.model or found.model
    if model is None:
        raise UsageError("model", "is required")
    entry.model_name = model
    tier = found.service_tier or record.service_tier or "standard"
    entry.service_tier = "standard" if tier == "default" else tier
    entry.processing = record.processing or found.processing or "realtime"
    entry.region = record.region or found.region
    entry.response_id = found.response_id
    entry.raw_usage = dumps(found.usage_block)
    if found.reported_cost is not None:
        entry.provider_cost_e10 = to_e10(found.reported_cost, "response.usage.cost")
    fill_counts(entry, found.usage)
    apply_quote(entry, _quote(entry, found.usage, door))
    return entry


def _quote(entry: Entry, usage: dict[str, Quantity], door: Door) -> Quote:
    return door.prices.quote(
        entry.provider,
        entry.model_name,
        entry.timestamp,
        usage,
        service_tier=entry.service_tier,
        processing=entry.processing,
        region=entry.region,
        strict=door.strict,
    )


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
    _check_organization(cost, door)
    check_labels(cost)
    entry = copy_of(door.blank)
    if cost.provider:
        entry.provider = door.prices.provider(cost.provider)
    else:
        entry.provider = door.prices.provider_of_model(cost.model)
    units = to_e10(amount_of(cost.cost), "cost")
    if units < 0 and door.import_id is None:  # a provider's cost report may list credits
        raise UsageError("cost", "must be greater than or equal to 0")
    entry.timestamp = to_micros(_instant(cost, door))
    entry.model_name = cost.model
    entry.total_tokens = cost.tokens_used
    entry.cost_e10 = units
    entry.currency = cost.currency
    entry.cost_status = "priced"
    entry.price_rule = "manual"
    fill_payload(entry, cost)
    return entry


def _check_organization(record: WireRecord | WireCost, door: Door) -> None:
    organization = record.organization_id
    if organization is not None and organization != door.organization_id:
        raise ForeignOrganization(
            "organization_id does not belong to this API key", field="organization_id"
        )


def _instant(record: WireRecord | WireCost, door: Door) -> datetime:
    given = record.timestamp
    if given is None:
        return door.now
    if given.tzinfo is None:
        given = record.timestamp = given.replace(tzinfo=UTC)
    if not _FIRST <= given < _END:
        raise UsageError("timestamp", f"must be between {FIRST_YEAR} and {LAST_YEAR}")
    if given > door.latest:
        hours = (door.latest - door.now) // timedelta(hours=1)
        raise UsageError("timestamp", f"must not be more than {hours} hours in the future")
    return given
