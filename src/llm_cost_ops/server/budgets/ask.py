"""What somebody wants to spend before the call is made: read, checked and bounded from above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING
from typing import Any, cast

from llm_cost_ops.core.budget import MAX_COUNT, Amounts, BudgetError
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import EXACT, MAX_AMOUNT_E10, PLACES, check_currency, parse_decimal
from llm_cost_ops.core.pricing.bound import CACHES, Planned, upper_bound
from llm_cost_ops.core.pricing.maxima import max_output_tokens
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.pricing.structures import dearest_volumes
from llm_cost_ops.core.usage import Quantity, check_usage, total_input_tokens
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ingest.draft import check_processing
from llm_cost_ops.server.ingest.payload import check_labels, fill_payload
from llm_cost_ops.server.ingest.strict import settle_metadata
from llm_cost_ops.server.ingest.validate import Invalid, cost_from
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.pricing.resolve import OrganizationPrices
from llm_cost_ops.server.spend.index import Labels
from llm_cost_ops.server.spend.move import labels_of_entry

DEFAULT_TTL_S = 300
MAX_TTL_S = 86_400
MAX_WAIT_MS = 8_000
"""A waiting request must be answered before its time limit."""
MAX_REQUEST_TOKENS = 10**9
MAX_TOKENS = 10**12
"""Of one call, which no model comes near, and of all calls of an ask: it takes millions of those to
leave 64 bits."""
UNNAMED_MODEL = "unspecified"
CUSTOM = "custom"
GIVEN, BOUND, MAXIMUM, NO_PRICE = "given", "upper_bound", "model_maximum", "unpriced"
BASES = (GIVEN, BOUND, MAXIMUM, NO_PRICE)
LABELS = (
    "project_id", "team_id", "user_id", "api_key_id", "environment", "feature", "tags", "metadata",
)  # fmt: skip
CONTEXT = {"service_tier": 32, "processing": 16, "region": 64}
"""What else decides a price, each with its greatest length."""
FIELDS = frozenset(
    {
        "estimated_cost", "currency", "provider", "model", "input_tokens", "max_tokens", "usage",
        "requests", "modalities", "prompt_cache", "ttl_seconds", "max_wait_ms", *LABELS, *CONTEXT,
    }
)  # fmt: skip
ALIASES = {
    "prompt_tokens": "input_tokens", "max_output_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens", "estimated_amount": "estimated_cost",
    "amount": "estimated_cost",
}  # fmt: skip
_MODALITIES = frozenset({"text", "audio", "image", "video"})


@dataclass(frozen=True, slots=True)
class Ask:
    """`amounts` are the most that the call can use, by `basis`; without a price no money is known.
    `max_tokens` is the model's own limit where the caller gave none. `call` is what is known of the
    call, `labels` what scopes compare. Times in microseconds and milliseconds."""

    amounts: Amounts
    currency: str
    basis: str
    call: Mapping[str, Any]
    labels: Labels
    ttl_us: int
    max_wait_ms: int
    max_tokens: int | None = None


def parse_ask(fields: Mapping[str, object], prices: OrganizationPrices, now_us: int) -> Ask:
    """A checked ask. Raises DomainError or Problem naming the field."""
    given = _canonical(fields)
    provider, model = _name(given, "provider", 64), _name(given, "model", 255)
    if provider is not None:
        provider = prices.provider(provider)
    elif model is not None:
        provider = prices.provider_of_model(model)
    labels = labels_of_call({**given, "provider": provider, "model": model})
    for name, longest in CONTEXT.items():
        _name(given, name, longest)
    check_processing(cast("str | None", given.get("processing")))
    requests = _count(given, "requests", 1, MAX_COUNT, 1)
    call: dict[str, Any] = {name: given[name] for name in (*LABELS, *CONTEXT) if name in given}
    call |= {"provider": provider or CUSTOM, "model": model or UNNAMED_MODEL}
    assumed = None
    ttl = _count(given, "ttl_seconds", 1, MAX_TTL_S, DEFAULT_TTL_S)
    wait = _count(given, "max_wait_ms", 0, MAX_WAIT_MS, 0)
    if given.get("estimated_cost") is not None:
        currency = check_currency(given.get("currency") or "USD")
        tokens = _tokens(given)
        amounts = Amounts(_estimate(given["estimated_cost"]), requests, tokens)
        basis = GIVEN
    else:
        if given.get("max_tokens") is None and given.get("usage") is None:
            assumed = _most_output(call, prices)
            given["max_tokens"] = assumed
        amounts, currency, basis = _bounded(given, call, prices, requests, now_us)
        if assumed is not None and basis == BOUND:
            basis = MAXIMUM
        if basis == NO_PRICE:
            call[NO_PRICE] = True
    most = min(MAX_REQUEST_TOKENS * requests, MAX_TOKENS)
    if amounts.tokens > most:
        raise BudgetError(f"would be more than {most} tokens in all", field="input_tokens")
    return Ask(amounts, currency, basis, call, labels, ttl * 1_000_000, wait, assumed)


def _canonical(fields: Mapping[str, object]) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, value in fields.items():
        known = ALIASES.get(name, name)
        if known not in FIELDS:
            raise BudgetError("is not a known field", field=name[:255])
        if known in given:
            raise BudgetError("is given twice", field=known)
        if value is not None:
            given[known] = value
    return given


def labels_of_call(call: Mapping[str, object]) -> Labels:
    """The labels as a recorded call would have them, of what is known of it. Raises Problem."""
    fields: dict[str, object] = {name: call[name] for name in LABELS if name in call}
    fields |= {"cost": 0, "model": call.get("model") or UNNAMED_MODEL}
    wire = cost_from(fields)
    if isinstance(wire, Invalid):
        raise Problem(422, wire.code, wire.message, wire.field_errors)
    settle_metadata([wire])
    check_labels(wire)
    entry = Entry(provider=str(call.get("provider") or CUSTOM), model_name=wire.model)
    fill_payload(entry, wire)
    return labels_of_entry(entry)


def _estimate(value: object) -> int:
    units = parse_decimal(value, "estimated_cost").scaleb(PLACES, EXACT)
    e10 = int(units.to_integral_value(ROUND_CEILING))
    if not 0 <= e10 <= MAX_AMOUNT_E10:
        raise BudgetError("must be between 0 and 100000000", field="estimated_cost")
    return e10


def _tokens(given: Mapping[str, object]) -> int:
    used = _count(given, "input_tokens", 0, MAX_COUNT, 0)
    return used + _count(given, "max_tokens", 0, MAX_COUNT, 0)


def _bounded(
    given: Mapping[str, object],
    call: dict[str, Any],
    prices: OrganizationPrices,
    requests: int,
    now_us: int,
) -> tuple[Amounts, str, str]:
    for name in ("provider", "model"):
        if given.get(name) is None:
            raise BudgetError("is required, or estimated_cost", field=name)
    usage = given.get("usage")
    if usage is not None:
        if not isinstance(usage, Mapping):
            raise BudgetError("must be an object", field="usage")
        planned: Planned | dict[str, Quantity] = check_usage(cast("Mapping[str, object]", usage))
        tokens = total_input_tokens(planned) + int(planned.get("output_tokens", 0))
        call["usage"] = planned
    else:
        planned = _planned(given)
        tokens = (planned.input_tokens + planned.output_tokens) * requests
        call["usage"] = {
            "input_tokens": planned.input_tokens * requests,
            "output_tokens": planned.output_tokens * requests,
        }
    found = prices.find(
        call["provider"],
        call["model"],
        from_micros(now_us),
        service_tier=str(call.get("service_tier") or "standard"),
        processing=str(call.get("processing") or "realtime"),
        region=cast("str | None", call.get("region")),
    )
    e10 = None if found is None else _cost(found[0], planned)
    if found is None or e10 is None:
        return Amounts(0, requests, tokens), "USD", NO_PRICE
    if usage is None:
        e10 *= requests
    if e10 > MAX_AMOUNT_E10:
        raise BudgetError("would cost more than 100000000", field="max_tokens")
    return Amounts(e10, requests, tokens), found[0].card.currency, BOUND


def _most_output(call: Mapping[str, Any], prices: OrganizationPrices) -> int | None:
    """The model's own limit of output tokens in the context of the call, where one is stated."""
    region = cast("str | None", call.get("region"))
    tier, processing = call.get("service_tier"), call.get("processing")
    series = prices.book.resolve_series(
        call["provider"],
        call["model"],
        cast("str", tier or "standard"),
        cast("str", processing or "realtime"),
        region,
    )
    return None if series is None else max_output_tokens(series.provider, series.model)


def _cost(compiled: CompiledRate, planned: Planned | dict[str, Quantity]) -> int | None:
    if isinstance(planned, Planned):
        return upper_bound(compiled, planned)
    structure = compiled.card.structure
    used_in, used_out = (planned.get(kind, 0) for kind in ("input_tokens", "output_tokens"))
    volumes = (0,) if structure is None else dearest_volumes(structure, used_in, used_out)
    costs = [compiled.cost(planned, volume) for volume in volumes]
    found = [cost for _, cost, missing in costs if cost is not None and not missing]
    return max(found, default=None)


def _planned(given: Mapping[str, object]) -> Planned:
    if given.get("input_tokens") is None:
        raise BudgetError("is required for an upper bound, or estimated_cost", field="input_tokens")
    if given.get("max_tokens") is None:
        raise BudgetError(
            "is required, or estimated_cost: no limit of this model is known", field="max_tokens"
        )
    modalities = given.get("modalities")
    listed: list[object] = []
    if modalities is not None:
        listed = cast("list[object]", modalities) if isinstance(modalities, list) else [None]
        if not listed or not all(isinstance(m, str) and m in _MODALITIES for m in listed):
            raise BudgetError(f"must be a list of {', '.join(sorted(_MODALITIES))}",
                              field="modalities")  # fmt: skip
    cache = given.get("prompt_cache", CACHES[-1])
    if cache not in CACHES:
        raise BudgetError(f"must be one of: {', '.join(CACHES)}", field="prompt_cache")
    return Planned(
        _count(given, "input_tokens", 0, MAX_COUNT, 0),
        _count(given, "max_tokens", 0, MAX_COUNT, 0),
        frozenset(cast("list[str]", listed)) or None,
        cast("str", cache),
    )


def _name(given: Mapping[str, object], name: str, longest: int) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise BudgetError(f"must be a string of 1 to {longest} characters", field=name)
    return value


def _count(given: Mapping[str, object], name: str, low: int, high: int, default: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BudgetError(f"must be a whole number from {low} to {high}", field=name)
    return value
