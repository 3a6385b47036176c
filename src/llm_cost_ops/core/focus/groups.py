"""Rows with the same charge period, SKU price, accounts, resource, tags and class, added into one.

Quantities and costs are summed exactly. Rows at different unit prices stay apart, so that unit
price x quantity = cost. Each call was rounded by itself, though, and many roundings can add up to
more than the specification's reader allows; the difference then becomes a row of its own without
quantity (`Adjustment`), with the same SKU, accounts and tags: no sum over any of them changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Any, cast

from llm_cost_ops.core.focus.columns import COLUMNS
from llm_cost_ops.core.focus.contracts import add_applied, applied_key
from llm_cost_ops.core.focus.rows import ZERO, Row, Value, Values, row_of, values_of
from llm_cost_ops.core.focus.values import ADJUSTMENT, CORRECTION, DERIVED
from llm_cost_ops.core.money import EXACT, PLACES, decimal_from_fraction

SUMMED = (
    "BilledCost",
    "CommitmentDiscountQuantity",
    "ConsumedQuantity",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "PricingCurrencyEffectiveCost",
    "PricingQuantity",
    "x_RequestCount",
)
UNIT_PRICES = (
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
)
_OF_ONE_CALL = ("x_CallId", "x_Metadata")
_APART = {*SUMMED, *UNIT_PRICES, *_OF_ONE_CALL, "ContractApplied"}
KEY = tuple(name for name in COLUMNS if name not in _APART)
"""What rows that are added up have in common, beside their unit prices."""

_place = {name: place for place, name in enumerate(COLUMNS)}


def _values_in(*names: str) -> Callable[[Values], Any]:
    """What takes the values of these columns: the value of one, the tuple of more."""
    return itemgetter(*(_place[name] for name in names))


_key_columns = _values_in(*KEY)
_unit_prices = _values_in(*UNIT_PRICES)
_to_sum = tuple(_place[name] for name in SUMMED)
_if_same = tuple(_place[name] for name in _OF_ONE_CALL)
_applied = _values_in("ContractApplied")
_basis = _values_in("x_UnitPriceBasis", "PricingCurrency", "BillingCurrency")
_class_and_quantity = _values_in("ChargeClass", "PricingQuantity")
_explained = _values_in("ContractedUnitPrice", "ContractedCost", "ListUnitPrice", "ListCost")

MAX_GROUPS = 10_000
"""Groups of a charge period that are held at once: about 25 MB."""

TOLERANCE = Decimal("1e-9")
_NOT_OF_AMOUNTS = (
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractApplied",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "x_CallId",
    "x_Metadata",
    "x_UnitPriceBasis",
    *UNIT_PRICES,
)


def group_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows added up, in the order in which each group first occurs. The rows are not changed.

    `x_CallId` and `x_Metadata` are kept where all rows of a group have the same.
    """
    return [row for page in grouped_pages(rows, None) for row in page]


def grouped_pages(rows: Iterable[Row], limit: int | None = MAX_GROUPS) -> Iterator[list[Row]]:
    """The same in pages, each of at most about `limit` groups: a group may be in several pages.

    No sum changes by that, and each row keeps the rules by itself; memory holds one page.
    """
    for page in pages_of_values(map(values_of, rows), limit):
        yield list(map(row_of, page))


def pages_of_values(
    rows: Iterable[Values], limit: int | None = MAX_GROUPS
) -> Iterator[list[Values]]:
    """The same of rows as values."""
    groups: dict[Hashable, Values] = {}
    for row in rows:
        _put(groups, _key(row), row)
        if len(groups) == limit:
            yield _settled(groups)
            groups = {}
    if groups:
        yield _settled(groups)


def _settled(groups: dict[Hashable, Values]) -> list[Values]:
    """The rows of the groups with their unit prices, and the adjustments that they need."""
    parts = list(map(_parts, groups.values()))
    if not any(adjustment for _, adjustment in parts):
        return [usage for usage, _ in parts]
    settled: dict[Hashable, Values] = {}
    for key, (usage, adjustment) in zip(groups, parts, strict=True):
        _put(settled, key, usage)
        if adjustment is not None:
            _put(settled, _key(adjustment), adjustment)
    return list(settled.values())


def _put(groups: dict[Hashable, Values], key: Hashable, row: Values) -> None:
    known = len(groups)
    group = groups.setdefault(key, row)
    if len(groups) == known:
        groups[key] = _added(group, row)


def _is_derived(row: Values) -> bool:
    basis, pricing_currency, billing_currency = _basis(row)
    return basis == DERIVED and pricing_currency == billing_currency


def _key(row: Values) -> Hashable:
    prices = None if _is_derived(row) else _unit_prices(row)
    applied = _applied(row)
    return _key_columns(row), prices, None if applied is None else applied_key(applied)


def _added(group: Values, row: Values) -> Values:
    added = list(group)
    for place in _to_sum:
        added[place] = _sum(group[place], row[place])
    for place in _if_same:
        if group[place] != row[place]:
            added[place] = None
    applied = _applied(row)
    if applied is not None:
        added[_place["ContractApplied"]] = add_applied(_applied(group), applied)
    return tuple(added)


def _sum(one: Value, other: Value) -> Value:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return EXACT.add(one, other)
    return one


def _parts(group: Values) -> tuple[Values, Values | None]:
    """The group with its unit prices, and the adjustment that it needs, if any. Its key stays."""
    charge_class, quantity = _class_and_quantity(group)
    if not isinstance(quantity, Decimal):
        return group, None
    if _is_derived(group):
        row = row_of(group)
        group = values_of({**row, **_derived_prices(row, quantity)})
    if charge_class == CORRECTION:
        return group, None
    price, cost, list_price, list_cost = _explained(group)
    contracted = _unexplained(price, cost, quantity)
    is_listed = list_price is price and list_cost is cost
    listed = contracted if is_listed else _unexplained(list_price, list_cost, quantity)
    if not contracted and not listed:
        return group, None
    usage, adjustment = _adjusted(row_of(group), contracted, listed)
    return values_of(usage), values_of(adjustment)


def _derived_prices(group: Row, quantity: Decimal) -> Row:
    prices: Row = {}
    for name, cost in (("ContractedUnitPrice", "ContractedCost"), ("ListUnitPrice", "ListCost")):
        price = ZERO
        if quantity:
            price = decimal_from_fraction(Fraction(_money(group, cost)) / Fraction(quantity))
        prices[name] = prices[f"PricingCurrency{name}"] = max(price, ZERO)
    return prices


def _adjusted(group: Row, contracted: Decimal, listed: Decimal) -> tuple[Row, Row]:
    """The group without these amounts, and a row of them."""
    usage, adjustment = group.copy(), group.copy()
    for name in _NOT_OF_AMOUNTS:
        adjustment[name] = None
    adjustment["ChargeCategory"] = ADJUSTMENT
    adjustment["ChargeFrequency"] = "One-Time"
    adjustment["ChargeDescription"] = f"Rounding call by call, {group['ChargeDescription']}"
    adjustment["x_RequestCount"] = ZERO
    billed = contracted if group["BilledCost"] == group["ContractedCost"] else ZERO
    moved = {
        "ContractedCost": contracted,
        "ListCost": listed,
        "BilledCost": billed,
        "PricingCurrencyEffectiveCost": _in_pricing_currency(group, billed),
        "EffectiveCost": billed,
    }
    for name, amount in moved.items():
        usage[name] = EXACT.subtract(_money(group, name), amount)
        adjustment[name] = amount
    return usage, adjustment


def _in_pricing_currency(group: Row, amount: Decimal) -> Decimal:
    """An amount at the rate that the group's effective cost was converted with."""
    effective = _money(group, "EffectiveCost")
    if group["PricingCurrency"] == group["BillingCurrency"] or not effective:
        return amount
    rate = Fraction(_money(group, "PricingCurrencyEffectiveCost")) / Fraction(effective)
    return decimal_from_fraction(Fraction(amount) * rate)


def _unexplained(price: Decimal, cost: Decimal, quantity: Decimal) -> Decimal:
    """What of the cost unit price x quantity does not explain, to the tolerance with which readers
    compare: 1e-9 of the cost, or 1e-9."""
    product = EXACT.multiply(price, quantity)
    difference = EXACT.subtract(cost, product)
    if abs(difference) <= TOLERANCE:  # as that of nearly all
        return ZERO
    limit = EXACT.multiply(TOLERANCE, max(min(abs(product), abs(cost)), Decimal(1)))
    if abs(difference) <= limit:
        return ZERO
    return difference.quantize(Decimal(1).scaleb(-PLACES), context=EXACT)


def _money(row: Row, name: str) -> Decimal:
    return cast("Decimal", row[name])
