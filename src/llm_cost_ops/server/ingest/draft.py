"""A draft: one checked and priced call, ready to become a row of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.grants import EVERYWHERE, Reach
from llm_cost_ops.core.instant import FIRST_YEAR, LAST_YEAR, from_micros, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import to_e10
from llm_cost_ops.core.pricing.rate import PARTIALLY_PRICED, PRICED, UNPRICED
from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.core.usage import Quantity, check_consistent, check_usage
from llm_cost_ops.server.ingest.context import Context, Start
from llm_cost_ops.server.ingest.counts import (
    UsualCounts,
    check_total,
    fill_counts,
    fill_usual,
    given_usage,
    refuse_counts,
    usage_of_usual,
    usual_counts,
)
from llm_cost_ops.server.ingest.payload import check_labels, fill_payload
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord
from llm_cost_ops.server.ledger.entry import Entry, copy_of
from llm_cost_ops.server.ledger.labels import is_sane
from llm_cost_ops.server.pricing.resolve import OrganizationPrices, Quote

PENDING_VOLUME = -1
"""A price that depends on the month's volume is computed in the transaction that knows it."""

RESERVATION = "reservation"
"""The source of calls that settle reservations, whose event ids are the reservations' own."""
DAY_US = 24 * 3_600 * 1_000_000
PROCESSING = (None, "realtime", "batch")
MAX_ID = 255
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
        "organization_slug",
        "prices",
        "reach",
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
        organization_slug: str | None = None,
        reach: Reach = EVERYWHERE,
    ) -> None:
        self.organization_id = organization_id
        self.reach = reach
        self.organization_slug = organization_slug
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
        check_processing(processing)
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
    priced = price_usual(record, door)
    if priced is not None:
        blank, at, counts, status, cost_e10 = priced
        entry = copy_of(blank)
        entry.timestamp = to_micros(at)
        fill_usual(entry, counts)
        entry.cost_status = status
        entry.cost_e10 = cost_e10
    elif record.response is not None:
        entry = _read_response(record, door)
    else:
        entry = _price_otherwise(record, door)
    fill_payload(entry, record)
    return entry


Priced = tuple[Entry, datetime, UsualCounts, str, int | None]
"""An entry to copy, the time of the call, its counts, its cost status and cost in 1e-10."""


def price_usual(record: WireRecord, door: Door) -> Priced | None:
    """The price of most calls, whose counts are given one by one and cost a sum over them.

    None for any other. Raises DomainError with the field at fault.
    """
    if record.response is not None or record.usage is not None or door.strict:
        return None
    at = record.timestamp  # most are as they should be: that is seen without a further call
    if at is None or at.tzinfo is not UTC or not _FIRST <= at <= door.latest:
        at = _instant(record, door)
    blank, compiled = _start(record, door, at)
    counts = usual_counts(record)
    if compiled is None:
        return blank, at, counts, UNPRICED, None
    if not compiled.is_plain:
        return None
    status, cost_e10 = compiled.usual_cost(*counts)
    return blank, at, counts, status, cost_e10


def _price_otherwise(record: WireRecord, door: Door) -> Entry:
    at = _instant(record, door)
    blank, _ = _start(record, door, at)
    entry = copy_of(blank)
    entry.timestamp = to_micros(at)
    usage = (
        given_usage(record) if record.usage is not None else usage_of_usual(usual_counts(record))
    )
    fill_counts(entry, usage)
    check_total(record, entry)
    apply_quote(entry, _quote(entry, at, usage, door))
    return entry


def _start(record: WireRecord, door: Door, at: datetime) -> Start:
    key = (
        record.provider,
        record.model,
        record.service_tier,
        record.processing,
        record.region,
    )
    context = door.contexts.get(key) or door.context(*key)
    return context.steady or context.start(at)


def _read_response(record: WireRecord, door: Door) -> Entry:
    """What a raw response says; what the record says beside it stands first, but for the tier and
    the region, which the provider knows better."""
    entry = copy_of(door.blank)
    at = _instant(record, door)
    entry.timestamp = to_micros(at)
    entry.provider = door.prices.provider(record.provider)
    check_processing(record.processing)
    if record.usage is not None:
        raise UsageError("response", "must not be given together with counts")
    refuse_counts(record, "response")
    found = extract(entry.provider, record.response or {}, record.api_flavor)
    model = record.model or _reported("model", found.model, 255)
    if model is None:
        raise UsageError("model", "is required")
    entry.model_name = model
    tier = _reported("service_tier", found.service_tier, 32) or record.service_tier or "standard"
    entry.service_tier = "standard" if tier == "default" else tier
    entry.processing = record.processing or found.processing or "realtime"
    entry.region = _reported("region", found.region, 64) or record.region
    entry.response_id = _storable_id(found.response_id)
    entry.raw_usage = dumps(found.usage_block())
    if found.reported_cost is not None:
        entry.provider_cost_e10 = to_e10(found.reported_cost, "response.usage.cost")
    fill_counts(entry, found.usage)
    check_total(record, entry)
    apply_quote(entry, _quote(entry, at, found.usage, door))
    return entry


def _reported(name: str, value: str | None, longest: int) -> str | None:
    """What a response says, if it can be stored. Raises UsageError."""
    if value is not None and (len(value) > longest or not is_sane(value)):
        raise UsageError(
            f"response.{name}", f"must be at most {longest} characters, none a control character"
        )
    return value


def _storable_id(value: str | None) -> str | None:
    """An id that says nothing to us is no reason to refuse the call."""
    return value if value and len(value) <= MAX_ID and is_sane(value) else None


def check_processing(processing: str | None) -> None:
    """Raises UsageError for what no call is processed as."""
    if processing not in PROCESSING:
        raise UsageError("processing", "must be one of: realtime, batch")


def _quote(entry: Entry, at: datetime, usage: dict[str, Quantity], door: Door) -> Quote:
    return door.prices.quote(
        entry.provider,
        entry.model_name,
        at,
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
    entry.volume = PENDING_VOLUME if quote.volume else quote.at_volume


def draft_cost(cost: WireCost, door: Door) -> Entry:
    """One caller-priced cost as a draft. Raises DomainError with the field at fault."""
    _check_organization(cost, door)
    check_labels(cost)
    entry = copy_of(door.blank)
    if cost.provider:
        entry.provider = door.prices.provider(cost.provider)
    else:
        entry.provider = door.prices.provider_of_model(cost.model)
    units = to_e10(cost.cost, "cost")
    if units < 0 and door.import_id is None:  # a provider's cost report may list credits
        raise UsageError("cost", "must be greater than or equal to 0")
    entry.timestamp = to_micros(_instant(cost, door))
    entry.model_name = cost.model
    _fill_stated(entry, cost)
    entry.cost_e10 = units
    entry.currency = cost.currency
    entry.cost_status = PARTIALLY_PRICED if cost.partially_priced else PRICED
    entry.price_rule = "manual"
    fill_payload(entry, cost)
    return entry


def _fill_stated(entry: Entry, cost: WireCost) -> None:
    """Write what the caller says of the call that a cost is of. Raises DomainError."""
    usage = check_usage(cost.usage or {})
    check_consistent(usage)
    if cost.requests is not None:
        if usage.get("requests", cost.requests) != cost.requests:
            raise UsageError("requests", "must be usage.requests")
        if usage and cost.requests > 1:
            usage["requests"] = cost.requests
    fill_counts(entry, usage)
    if cost.requests is not None:
        entry.requests = cost.requests
    if cost.tokens_used and usage and cost.tokens_used != entry.total_tokens:
        raise UsageError("tokens_used", f"must be the sum of all tokens, {entry.total_tokens}")
    entry.total_tokens = entry.total_tokens or cost.tokens_used
    if cost.list_cost is not None:
        entry.list_cost_e10 = to_e10(cost.list_cost, "list_cost")
    check_processing(cost.processing)
    if cost.service_tier is not None and cost.service_tier != "default":
        entry.service_tier = cost.service_tier
    entry.processing = cost.processing or entry.processing
    entry.region = cost.region


def _check_organization(record: WireRecord | WireCost, door: Door) -> None:
    organization = record.organization_id
    if organization is None:
        return
    if organization not in (door.organization_id, door.organization_slug):
        raise ForeignOrganization(
            "organization_id does not belong to this API key", field="organization_id"
        )


def _instant(record: WireRecord | WireCost, door: Door) -> datetime:
    given = record.timestamp
    if given is None:
        return door.now
    if given.tzinfo is None:
        given = record.timestamp = given.replace(tzinfo=UTC)
    elif given.tzinfo is not UTC:
        given = record.timestamp = _utc(given)
    if not _FIRST <= given < _END:
        raise UsageError("timestamp", f"must be between {FIRST_YEAR} and {LAST_YEAR}")
    if given > door.latest:
        hours = (door.latest - door.now) // timedelta(hours=1)
        raise UsageError("timestamp", f"must not be more than {hours} hours in the future")
    return given


def _utc(given: datetime) -> datetime:
    try:
        return given.astimezone(UTC)
    except OverflowError:
        return _END
