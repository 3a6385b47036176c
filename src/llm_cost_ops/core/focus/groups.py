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
from typing import cast

from llm_cost_ops.core.focus.columns import COLUMNS
from llm_cost_ops.core.focus.contracts import add_applied, applied_key
from llm_cost_ops.core.focus.rows import ZERO, Row, Value
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

_key_columns: Callable[[Row], Hashable] = itemgetter(KEY[0], KEY[1], *KEY[2:])
_unit_prices: Callable[[Row], Hashable] = itemgetter(*UNIT_PRICES)

MAX_GROUPS = 10_000
"""Groups of a charge period that are held at once: about 80 MB."""

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
    groups: dict[Hashable, Row] = {}
    for row in rows:
        _put(groups, row.copy())
        if len(groups) == limit:
            yield _settle(groups)
    if groups:
        yield _settle(groups)


def _settle(groups: dict[Hashable, Row]) -> list[Row]:
    """The rows of the groups, which are emptied."""
    settled: dict[Hashable, Row] = {}
    for group in groups.values():
        for part in _settled(group):
            _put(settled, part)
    groups.clear()
    return list(settled.values())


def _put(groups: dict[Hashable, Row], row: Row) -> None:
    """Add the row to its group; the first of a group becomes it, and is changed by the others."""
    key = _key(row)
    if key in groups:
        _add(groups[key], row)
    else:
        groups[key] = row


def _is_derived(row: Row) -> bool:
    same_currency = row["PricingCurrency"] == row["BillingCurrency"]
    return row["x_UnitPriceBasis"] == DERIVED and same_currency


def _key(row: Row) -> Hashable:
    prices = None if _is_derived(row) else _unit_prices(row)
    applied = applied_key(cast("str | None", row["ContractApplied"]))
    return _key_columns(row), prices, applied


def _add(group: Row, row: Row) -> None:
    for name in SUMMED:
        group[name] = _sum(group[name], row[name])
    for name in _OF_ONE_CALL:
        if group[name] != row[name]:
            group[name] = None
    if row["ContractApplied"] is not None:
        group["ContractApplied"] = add_applied(
            cast("str", group["ContractApplied"]), cast("str", row["ContractApplied"])
        )


def _sum(one: Value, other: Value) -> Value:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return EXACT.add(one, other)
    return one


def _settled(group: Row) -> Iterator[Row]:
    """The group with its unit prices, and the adjustment that it needs, if any."""
    quantity = group["PricingQuantity"]
    if not isinstance(quantity, Decimal):
        yield group
        return
    if _is_derived(group):
        _derive_prices(group, quantity)
    adjustment = None if group["ChargeClass"] == CORRECTION else _adjust(group, quantity)
    yield group
    if adjustment is not None:
        yield adjustment


def _derive_prices(group: Row, quantity: Decimal) -> None:
    for name, cost in (("ContractedUnitPrice", "ContractedCost"), ("ListUnitPrice", "ListCost")):
        price = ZERO
        if quantity:
            price = decimal_from_fraction(Fraction(_money(group, cost)) / Fraction(quantity))
        group[name] = group[f"PricingCurrency{name}"] = max(price, ZERO)


def _adjust(group: Row, quantity: Decimal) -> Row | None:
    """Move what unit price x quantity does not explain to a new row. None when all is explained,
    to the tolerance with which readers compare: 1e-9 of the cost, or 1e-9."""
    contracted = _unexplained(group, "ContractedUnitPrice", "ContractedCost", quantity)
    listed = _unexplained(group, "ListUnitPrice", "ListCost", quantity)
    if not contracted and not listed:
        return None
    adjustment = group.copy()
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
        group[name] = EXACT.subtract(_money(group, name), amount)
        adjustment[name] = amount
    return adjustment


def _in_pricing_currency(group: Row, amount: Decimal) -> Decimal:
    """An amount at the rate that the group's effective cost was converted with."""
    effective = _money(group, "EffectiveCost")
    if group["PricingCurrency"] == group["BillingCurrency"] or not effective:
        return amount
    rate = Fraction(_money(group, "PricingCurrencyEffectiveCost")) / Fraction(effective)
    return decimal_from_fraction(Fraction(amount) * rate)


def _unexplained(group: Row, price: str, cost: str, quantity: Decimal) -> Decimal:
    product = EXACT.multiply(_money(group, price), quantity)
    is_cost = _money(group, cost)
    difference = EXACT.subtract(is_cost, product)
    limit = EXACT.multiply(TOLERANCE, max(min(abs(product), abs(is_cost)), Decimal(1)))
    if abs(difference) <= limit:
        return ZERO
    return difference.quantize(Decimal(1).scaleb(-PLACES), context=EXACT)


def _money(row: Row, name: str) -> Decimal:
    return cast("Decimal", row[name])
