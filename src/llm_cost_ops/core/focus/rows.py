"""Calls as FOCUS rows: one per billed kind of usage, each its own SKU.

A row has every column of every version, as `columns.COLUMNS` types them: texts, exact Decimals,
instants in microseconds since 1970, JSON as canonical text. A writer takes those of its version.

The cost of a call was rounded once; its rows' costs are rounded so that they sum to it. What the
lines do not explain becomes a row without quantity and price (`Adjustment`), because the
specification wants unit price x quantity = cost wherever there is a unit price.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

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

BLANK: Row = dict.fromkeys(COLUMNS)
ZERO = Decimal(0)
_NOTHING = from_e10(0)
_REMARKS = {
    UNPRICED: ": no price is known, so the cost is not known; 0 is not its cost",
    INCLUDED: ": its cost is in the row of the whole call",
    PARTIALLY_PRICED: ": other usage of the same calls has no known price",
}


def rows_of(call: FocusCall, grain: str = HOUR) -> list[Row]:
    """The rows of a call, at least one. Raises FocusError for an unknown grain."""
    common = _common(call, grain)
    if call.cost_e10 is None:
        counted = (*((line.kind, line.quantity) for line in call.lines), *call.usage)
        rows = [_without_cost(call, common, k, q, UNPRICED) for k, q in counted]
        rows = rows or [_without_cost(call, common, "", call.requests, UNPRICED)]
    else:
        cost = call.cost_e10
        list_cost = cost if call.list_cost_e10 is None else call.list_cost_e10
        if call.lines and all(line.kind in KINDS for line in call.lines):
            rows = _metered(call, common, cost, list_cost)
        else:
            rows = [_whole(call, common, cost, list_cost)]
        status = UNPRICED if call.cost_status == PARTIALLY_PRICED else INCLUDED
        rows.extend(_without_cost(call, common, k, q, status) for k, q in call.usage)
    rows[0]["x_RequestCount"] = Decimal(call.requests)
    return rows


def _metered(call: FocusCall, common: Row, cost: int, list_cost: int) -> list[Row]:
    at_list = {line.kind: line for line in call.list_lines}
    lists = [at_list.get(line.kind, line) for line in call.lines]
    costs, cost_rest = spread(cost, [line.amount for line in call.lines])
    list_costs, list_rest = costs, cost_rest
    if at_list or list_cost != cost:
        list_costs, list_rest = spread(list_cost, [line.amount for line in lists])
    rows: list[Row] = []
    for line, listed, part, list_part in zip(call.lines, lists, costs, list_costs, strict=True):
        meter = meter_of(line.kind)
        row = _usage_row(call, common, meter, line.quantity, call.cost_status)
        price = meter.unit_price(line.price, line.per)
        at_list_price = price if listed is line else meter.unit_price(listed.price, listed.per)
        _set_prices(row, price, at_list_price, PRICE_LIST)
        set_costs(row, part, list_part)
        rows.append(row)
    if cost_rest or list_rest:
        rows.append(_amount_row(call, common, CALL, cost_rest, list_rest))
    return rows


def _whole(call: FocusCall, common: Row, cost: int, list_cost: int) -> Row:
    """One row of the call's whole cost. Its unit price is that cost over the number of calls;
    where this would be negative, or there is no call to count, it is an amount alone."""
    meter = meter_of(call.lines[0].kind) if call.lines else CALL
    calls = call.requests
    if calls == 0 or cost * calls < 0 or list_cost * calls < 0:
        return _amount_row(call, common, meter, cost, list_cost)
    row = _usage_row(call, common, meter, calls, call.cost_status)
    _set_prices(row, _derived_price(cost, calls), _derived_price(list_cost, calls), DERIVED)
    set_costs(row, cost, list_cost)
    return row


def _derived_price(cost_e10: int, quantity: Quantity) -> Decimal:
    """Cost over quantity, half-even at twenty places."""
    return decimal_from_fraction(Fraction(cost_e10, E10) / Fraction(quantity))


def _without_cost(call: FocusCall, common: Row, kind: str, quantity: Quantity, status: str) -> Row:
    row = _usage_row(call, common, meter_of(kind), quantity, status)
    _set_prices(row, ZERO, ZERO, None)
    set_costs(row, 0, 0)
    return row


def _usage_row(call: FocusCall, common: Row, meter: Meter, quantity: Quantity, status: str) -> Row:
    row = _sku_row(call, common, meter, status)
    row["ChargeCategory"] = USAGE
    row["ChargeFrequency"] = "Usage-Based"
    row["PricingCategory"] = "Other" if status == UNPRICED else "Standard"
    row["ConsumedQuantity"] = Decimal(quantity)
    row["ConsumedUnit"] = meter.unit
    row["PricingQuantity"] = meter.pricing_quantity(quantity)
    row["PricingUnit"] = meter.pricing_unit
    return row


def _amount_row(
    call: FocusCall, common: Row, meter: Meter, cost_e10: int, list_cost_e10: int
) -> Row:
    """An amount without quantity: an adjustment, since usage has a quantity (PricingQuantity), as
    in the specification's own example of a correction of cost alone."""
    row = _sku_row(call, common, meter, call.cost_status)
    row["ChargeCategory"] = ADJUSTMENT
    row["ChargeFrequency"] = "One-Time"
    set_costs(row, cost_e10, list_cost_e10)
    return row


def _sku_row(call: FocusCall, common: Row, meter: Meter, status: str) -> Row:
    row = common.copy()
    row.update(
        _sku_columns(
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
        )
    )
    return row


@lru_cache(maxsize=8192)  # calls come in crowds of few models, and the texts are most of the work
def _sku_columns(
    kind: str,
    status: str,
    provider: str,
    model: str,
    developer: str | None,
    tier: str,
    processing: str,
    region: str | None,
    context: str | None,
    meters_cache: bool,
    is_correction: bool,
) -> Row:
    """The columns that say what is sold: the same dict for every row of it, not to be changed."""
    meter = meter_of(kind)
    action = meter.cache_action
    if action is None and meter.direction == "Input" and meters_cache:
        action = "Uncached"
    identifier = sku.sku_id(provider, model, meter.slug)
    own: Row = {
        "x_CacheLifetime": meter.cache_lifetime,
        "x_ContextTier": context,
        "x_Modality": meter.modality,
        "x_ModelDeveloper": developer or entities.model_developer(model),
        "x_ModelId": model,
        "x_Processing": processing,
        "x_ServiceTier": tier,
        "x_TokenCacheAction": action,
        "x_TokenDirection": meter.direction,
    }
    return {
        **own,
        "SkuId": identifier,
        "SkuMeter": meter.name,
        "SkuPriceId": sku.sku_price_id(
            identifier, service_tier=tier, processing=processing, region=region, context=context
        ),
        "SkuPriceDetails": _price_details({**own, "x_Region": region}),
        "ChargeDescription": _description(provider, model, meter, status, is_correction),
        "x_CostStatus": status,
        "x_TokenKind": kind or None,
    }


def _price_details(properties: Row) -> str:
    """What is the same for every row of a SKU price. A property that does not apply is left out."""
    applying = {name: properties[name] for name in sorted(properties)}
    return dumps({name: value for name, value in applying.items() if value is not None})


def _description(provider: str, model: str, meter: Meter, status: str, is_correction: bool) -> str:
    correction = "Correction of " if is_correction else ""
    service = entities.service_name(provider)
    what = f"{correction}{meter.name}, {sku.ascii_text(model)}, {service}"
    return f"{what}{_REMARKS.get(status, '')}"


def _set_prices(row: Row, contracted: Decimal, listed: Decimal, basis: str | None) -> None:
    row["ContractedUnitPrice"] = row["PricingCurrencyContractedUnitPrice"] = contracted
    row["ListUnitPrice"] = row["PricingCurrencyListUnitPrice"] = listed
    row["x_UnitPriceBasis"] = basis


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
