"""Calls as FOCUS rows: one per billed kind of usage, each its own SKU.

A row has every column of every version, as `columns.COLUMNS` types them: texts, exact Decimals,
instants in microseconds since 1970, JSON as canonical text. A writer takes those of its version.
Where rows are many they are tuples in the order of COLUMNS (`Values`), which take a quarter of the
room and of the time of a dict: what all rows of a call share (`_common`), what is sold
(`_sold_columns`, the same for many calls) and the row's own `_MEASURES`, put in that order.

The cost of a call was rounded once; its rows' costs are rounded so that they sum to it. What the
lines do not explain becomes a row without quantity and price (`Adjustment`), because the
specification wants unit price x quantity = cost wherever there is a unit price.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, NamedTuple

from llm_cost_ops.core.focus import entities, sku
from llm_cost_ops.core.focus.calls import FocusCall
from llm_cost_ops.core.focus.columns import COLUMNS
from llm_cost_ops.core.focus.labels import key_values
from llm_cost_ops.core.focus.meters import CALL, Meter, meter_of
from llm_cost_ops.core.focus.periods import HOUR, billing_month, charge_period
from llm_cost_ops.core.focus.spread import spread
from llm_cost_ops.core.focus.values import (
    ADJUSTMENT,
    CORRECTION,
    DERIVED,
    GENERATIVE_AI,
    INCLUDED,
    PRICE_LIST,
    SERVICE_CATEGORY,
    USAGE,
)
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import E10, decimal_from_fraction, from_e10
from llm_cost_ops.core.pricing.rate import PARTIALLY_PRICED, UNPRICED
from llm_cost_ops.core.usage import KINDS, Quantity

Value = str | Decimal | int | None
Row = dict[str, Value]
Values = tuple[Value, ...]
"""The values of a row in the order of COLUMNS."""

BLANK: Row = dict.fromkeys(COLUMNS)
ZERO = Decimal(0)
_NOTHING = from_e10(0)
_REMARKS = {
    UNPRICED: ": no price is known, so the cost is not known; 0 is not its cost",
    INCLUDED: ": its cost is in the row of the whole call",
    PARTIALLY_PRICED: ": other usage of the same calls has no known price",
}
_SOLD = (
    "ChargeCategory", "ChargeDescription", "ChargeFrequency", "ConsumedUnit", "PricingCategory",
    "PricingUnit", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "x_CacheLifetime",
    "x_ContextTier", "x_CostStatus", "x_Modality", "x_ModelDeveloper", "x_ModelId", "x_Processing",
    "x_ServiceTier", "x_TokenCacheAction", "x_TokenDirection", "x_TokenKind",
)  # fmt: skip
_MEASURES = (
    "ConsumedQuantity", "PricingQuantity",
    "ContractedUnitPrice", "PricingCurrencyContractedUnitPrice",
    "ListUnitPrice", "PricingCurrencyListUnitPrice", "x_UnitPriceBasis",
    "BilledCost", "ContractedCost", "EffectiveCost", "PricingCurrencyEffectiveCost", "ListCost",
)  # fmt: skip
_COUNT = "x_RequestCount"

_found = {name: place for place, name in enumerate((*COLUMNS, *_SOLD, *_MEASURES, _COUNT))}
_in_order: Callable[[Values], Values] = itemgetter(*(_found[name] for name in COLUMNS))
"""From the values of `_common` and of the columns named after it: the last of a name counts."""

values_of: Callable[[Row], Values] = itemgetter(*COLUMNS)

_Charge = tuple[Values, Values]
"""The values of _SOLD and of _MEASURES."""


def row_of(values: Values) -> Row:
    """The row that has these values."""
    return dict(zip(COLUMNS, values, strict=True))


def rows_of(call: FocusCall, grain: str = HOUR) -> list[Row]:
    """The rows of a call, at least one. Raises FocusError for an unknown grain."""
    return list(map(row_of, values_of_call(call, grain)))


def values_of_call(call: FocusCall, grain: str = HOUR) -> list[Values]:
    """The same as values."""
    common = tuple(_common(call, grain).values())
    counted = chain((Decimal(call.requests),), repeat(ZERO))  # on the first row
    return [
        _in_order((*common, *sold, *measures, count))
        for (sold, measures), count in zip(_charges(call), counted, strict=False)
    ]


def _charges(call: FocusCall) -> list[_Charge]:
    if call.cost_e10 is None:
        counted = (*((line.kind, line.quantity) for line in call.lines), *call.usage)
        charges = [_without_cost(call, kind, quantity, UNPRICED) for kind, quantity in counted]
        return charges or [_without_cost(call, "", call.requests, UNPRICED)]
    cost = call.cost_e10
    list_cost = cost if call.list_cost_e10 is None else call.list_cost_e10
    if call.lines and all(line.kind in KINDS for line in call.lines):
        charges = _metered(call, cost, list_cost)
    else:
        charges = [_whole(call, cost, list_cost)]
    status = UNPRICED if call.cost_status == PARTIALLY_PRICED else INCLUDED
    charges.extend(_without_cost(call, kind, quantity, status) for kind, quantity in call.usage)
    return charges


def _metered(call: FocusCall, cost: int, list_cost: int) -> list[_Charge]:
    at_list = {line.kind: line for line in call.list_lines}
    lists = [at_list.get(line.kind, line) for line in call.lines]
    costs, cost_rest = spread(cost, [line.amount for line in call.lines])
    list_costs, list_rest = costs, cost_rest
    if at_list or list_cost != cost:
        list_costs, list_rest = spread(list_cost, [line.amount for line in lists])
    charges: list[_Charge] = []
    for line, listed, part, list_part in zip(call.lines, lists, costs, list_costs, strict=True):
        meter = meter_of(line.kind)
        price = meter.unit_price(line.price, line.per)
        list_price = price if listed is line else meter.unit_price(listed.price, listed.per)
        counted = meter.counted(line.quantity)
        measures = _measures(*counted, price, list_price, PRICE_LIST, part, list_part)
        charges.append((_sold(call, meter, call.cost_status), measures))
    if cost_rest or list_rest:
        charges.append(_amount(call, CALL, cost_rest, list_rest))
    return charges


def _whole(call: FocusCall, cost: int, list_cost: int) -> _Charge:
    """One row of the call's whole cost. Its unit price is that cost over the number of calls;
    where this would be negative, or there is no call to count, it is an amount alone."""
    meter = meter_of(call.lines[0].kind) if call.lines else CALL
    calls = call.requests
    if calls == 0 or cost * calls < 0 or list_cost * calls < 0:
        return _amount(call, meter, cost, list_cost)
    prices = _derived_price(cost, calls), _derived_price(list_cost, calls)
    measures = _measures(*meter.counted(calls), *prices, DERIVED, cost, list_cost)
    return _sold(call, meter, call.cost_status), measures


def _derived_price(cost_e10: int, quantity: Quantity) -> Decimal:
    """Cost over quantity, half-even at twenty places."""
    return decimal_from_fraction(Fraction(cost_e10, E10) / Fraction(quantity))


def _without_cost(call: FocusCall, kind: str, quantity: Quantity, status: str) -> _Charge:
    meter = meter_of(kind)
    measures = _measures(*meter.counted(quantity), ZERO, ZERO, None, 0, 0)
    return _sold(call, meter, status), measures


def _amount(call: FocusCall, meter: Meter, cost_e10: int, list_cost_e10: int) -> _Charge:
    """An amount without quantity: an adjustment, since usage has a quantity (PricingQuantity), as
    in the specification's own example of a correction of cost alone."""
    measures = _measures(None, None, None, None, None, cost_e10, list_cost_e10)
    return _sold(call, meter, call.cost_status, is_usage=False), measures


def _measures(
    consumed: Decimal | None,
    priced: Decimal | None,
    price: Decimal | None,
    list_price: Decimal | None,
    basis: str | None,
    cost_e10: int,
    list_cost_e10: int,
) -> Values:
    """The values of _MEASURES, where no commitment pays: costs from units of 1e-10."""
    cost = from_e10(cost_e10) if cost_e10 else _NOTHING
    list_cost = cost if list_cost_e10 == cost_e10 else from_e10(list_cost_e10)
    prices = (price, price, list_price, list_price, basis)
    return (consumed, priced, *prices, cost, cost, cost, cost, list_cost)


class _Sku(NamedTuple):
    """What a row's columns of what is sold are made from."""

    kind: str
    status: str
    provider: str
    model: str
    developer: str | None
    tier: str
    processing: str
    region: str | None
    context: str | None
    meters_cache: bool
    is_correction: bool
    is_usage: bool


def _sold(call: FocusCall, meter: Meter, status: str, *, is_usage: bool = True) -> Values:
    """The values of _SOLD."""
    return _sold_values(
        meter.kind,
        status,
        call.provider,
        call.model,
        call.model_developer,
        call.service_tier or sku.STANDARD_TIER,
        call.processing or sku.REALTIME,
        call.region,
        call.context_tier,
        call.meters_cache,
        call.is_correction,
        is_usage,
    )


@lru_cache(maxsize=8192)  # calls come in crowds of few models, and the texts are most of the work
def _sold_values(*what: Any) -> Values:
    columns = _sold_columns(_Sku(*what))
    return tuple(columns[name] for name in _SOLD)


def _sold_columns(what: _Sku) -> Row:
    """The columns that say what is sold, and what sort of charge it is."""
    meter = meter_of(what.kind)
    action = meter.cache_action
    if action is None and meter.direction == "Input" and what.meters_cache:
        action = "Uncached"
    identifier = sku.sku_id(what.provider, what.model, meter.slug)
    own: Row = {
        "x_CacheLifetime": meter.cache_lifetime,
        "x_ContextTier": what.context,
        "x_Modality": meter.modality,
        "x_ModelDeveloper": what.developer or entities.model_developer(what.model),
        "x_ModelId": what.model,
        "x_Processing": what.processing,
        "x_ServiceTier": what.tier,
        "x_TokenCacheAction": action,
        "x_TokenDirection": meter.direction,
    }
    return {
        **own,
        **(_usage_columns(what, meter) if what.is_usage else _AMOUNT),
        "SkuId": identifier,
        "SkuMeter": meter.name,
        "SkuPriceId": sku.sku_price_id(
            identifier,
            service_tier=what.tier,
            processing=what.processing,
            region=what.region,
            context=what.context,
        ),
        "SkuPriceDetails": _price_details({**own, "x_Region": what.region}),
        "ChargeDescription": _description(what, meter),
        "x_CostStatus": what.status,
        "x_TokenKind": what.kind or None,
    }


_AMOUNT: Row = {
    "ChargeCategory": ADJUSTMENT,
    "ChargeFrequency": "One-Time",
    "ConsumedUnit": None,
    "PricingCategory": None,
    "PricingUnit": None,
}


def _usage_columns(what: _Sku, meter: Meter) -> Row:
    return {
        "ChargeCategory": USAGE,
        "ChargeFrequency": "Usage-Based",
        "ConsumedUnit": meter.unit,
        "PricingCategory": "Other" if what.status == UNPRICED else "Standard",
        "PricingUnit": meter.pricing_unit,
    }


def _price_details(properties: Row) -> str:
    """What is the same for every row of a SKU price. A property that does not apply is left out."""
    applying = {name: properties[name] for name in sorted(properties)}
    return dumps({name: value for name, value in applying.items() if value is not None})


def _description(what: _Sku, meter: Meter) -> str:
    correction = "Correction of " if what.is_correction else ""
    service = entities.service_name(what.provider)
    sold = f"{correction}{meter.name}, {sku.ascii_text(what.model)}, {service}"
    return f"{sold}{_REMARKS.get(what.status, '')}"


def set_costs(row: Row, cost_e10: int, list_cost_e10: int) -> None:
    """The costs of a row that no commitment pays, from units of 1e-10."""
    cost = from_e10(cost_e10) if cost_e10 else _NOTHING
    row["BilledCost"] = row["ContractedCost"] = cost
    row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = cost
    row["ListCost"] = cost if list_cost_e10 == cost_e10 else from_e10(list_cost_e10)


def _common(call: FocusCall, grain: str) -> Row:
    """What all rows of the call share."""
    row = BLANK.copy()
    seller = entities.seller_name(call.provider)
    row["ChargePeriodStart"], row["ChargePeriodEnd"] = charge_period(call.occurred_us, grain)
    billing = call.billing_period or billing_month(call.occurred_us)
    row["BillingPeriodStart"], row["BillingPeriodEnd"] = billing
    row["ChargeClass"] = CORRECTION if call.corrects_closed else None
    set_account(row, call.organization_id, call.organization_name, call.currency)
    set_seller(row, seller, call.invoice_issuer)
    row["ServiceName"] = entities.service_name(call.provider)
    row["InvoiceId"] = call.invoice_id
    if call.project_id is not None:
        row["SubAccountId"] = call.project_id
        row["SubAccountName"] = call.project_name or call.project_id
        row["SubAccountType"] = "Project"
    if call.credential_id is not None:
        row["ResourceId"] = row["x_CredentialId"] = call.credential_id
        name = call.credential_name  # the specification refuses a name that repeats the id
        row["ResourceName"] = None if name == call.credential_id else name
        row["ResourceType"] = "API Key"
    row["RegionId"] = row["RegionName"] = call.region
    row["Tags"] = key_values(call.tags)
    _set_own(row, call)
    return row


def _set_own(row: Row, call: FocusCall) -> None:
    row["x_CallId"] = call.id
    row["x_ConsumerId"] = call.user
    row["x_CostCenter"] = call.cost_center
    row["x_Environment"] = call.environment
    row["x_Feature"] = call.feature
    row["x_Metadata"] = key_values(call.metadata)
    row["x_PriceRule"] = call.price_rule
    row["x_PriceVersion"] = call.price_version
    row["x_RequestCount"] = ZERO
    row["x_Team"] = call.team


def set_account(row: Row, identifier: str, name: str | None, currency: str) -> None:
    """The billing account, and the currency of its bill (and of its prices)."""
    row["BillingAccountId"] = identifier
    row["BillingAccountName"] = name or identifier
    row["BillingAccountType"] = "Organization"
    row["BillingCurrency"] = row["PricingCurrency"] = currency


def set_seller(row: Row, seller: str, invoice_issuer: str | None = None) -> None:
    """Who sells, hosts and bills, in the names of all versions, and the kind of service."""
    row["ProviderName"] = row["PublisherName"] = seller
    row["ServiceProviderName"] = row["HostProviderName"] = seller
    row["InvoiceIssuerName"] = invoice_issuer or seller
    row["ServiceCategory"] = SERVICE_CATEGORY
    row["ServiceSubcategory"] = GENERATIVE_AI
