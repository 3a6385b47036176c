"""Charges that are not calls: purchases of commitments and of anything else, what is drawn from
commitments, what is left unused, and credits that a provider grants.

As the specification's example of a prepayment that is drawn down: the purchase has the payment as
BilledCost and no EffectiveCost; usage that it pays has no BilledCost, and what is drawn as
EffectiveCost. So each is counted once in either column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import cast

from llm_cost_ops.core.focus import entities, sku
from llm_cost_ops.core.focus.commitments import Account, Commitment, Drawn
from llm_cost_ops.core.focus.contracts import applied
from llm_cost_ops.core.focus.rows import BLANK, ZERO, Row, set_account, set_costs, set_seller
from llm_cost_ops.core.focus.values import CORRECTION, CREDIT, PRICE_LIST, PURCHASE, USAGE
from llm_cost_ops.core.money import E10, decimal_from_fraction, from_e10, round_ratio, to_e10

SPEND = "Spend"
USED = "Used"
UNUSED = "Unused"


@dataclass(frozen=True, slots=True)
class Periods:
    """Of a charge: instants in microseconds since 1970, start included, end excluded.
    `corrects_closed` says that the billing period is not that of the charge, which was closed."""

    charge: tuple[int, int]
    billing: tuple[int, int]
    corrects_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """What was bought for some `days` and is no commitment, such as seats. `amount_e10` is the
    price of all of its `quantity` for all days, in units of 1e-10."""

    id: str
    name: str
    account: Account
    amount_e10: int
    days: int = 1
    quantity: Decimal = Decimal(1)
    unit: str = "Units"
    is_recurring: bool = False


def purchase_row(commitment: Commitment, periods: Periods) -> Row:
    """The purchase of a commitment. Its EffectiveCost is 0: it covers charges to come."""
    row = _commitment_row(commitment, periods)
    row["ChargeCategory"] = PURCHASE
    row["ChargeFrequency"] = "One-Time"
    row["ChargeDescription"] = f"Purchase of {commitment.name}"
    row["PricingCategory"] = "Standard"
    row["CommitmentDiscountStatus"] = None
    _set_units(row, commitment, commitment.granted_e10)
    set_costs(row, commitment.paid_e10, commitment.granted_e10)
    row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = from_e10(0)
    return _in_its_currency(row, commitment)


def unused_row(commitment: Commitment, periods: Periods, drawn_e10: int) -> Row:
    """What of a commitment was not drawn until it ended: of all but `drawn_e10` the price paid."""
    row = _commitment_row(commitment, periods)
    row["ChargeCategory"] = USAGE
    row["ChargeFrequency"] = "Usage-Based"
    row["ChargeDescription"] = f"Unused part of {commitment.name}"
    row["PricingCategory"] = "Committed"
    row["CommitmentDiscountStatus"] = UNUSED
    left = commitment.granted_e10 - drawn_e10
    _set_units(row, commitment, left)
    set_costs(row, commitment.paid_e10 - commitment.value_of(drawn_e10), left)
    row["BilledCost"] = from_e10(0)
    return _in_its_currency(row, commitment)


def fee_row(fee: Fee, periods: Periods) -> Row:
    """A purchase of anything else: its EffectiveCost is in the rows of its days."""
    row = _fee_row(fee, periods)
    row["ChargeCategory"] = PURCHASE
    row["ChargeFrequency"] = "Recurring" if fee.is_recurring else "One-Time"
    row["ChargeDescription"] = f"Purchase of {fee.name}"
    row["PricingQuantity"] = fee.quantity
    set_costs(row, fee.amount_e10, fee.amount_e10)
    row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = from_e10(0)
    return row


def fee_day_row(fee: Fee, periods: Periods, day: int) -> Row:
    """A day (the first is 0) of a purchase: its share of the quantity and of the payment."""
    row = _fee_row(fee, periods)
    row["ChargeCategory"] = USAGE
    row["ChargeFrequency"] = "Usage-Based"
    row["ChargeDescription"] = fee.name
    share = decimal_from_fraction(Fraction(fee.quantity) / fee.days)
    row["ConsumedQuantity"] = row["PricingQuantity"] = share
    row["ConsumedUnit"] = fee.unit
    until = round_ratio(fee.amount_e10 * (day + 1), fee.days)
    cost = until - round_ratio(fee.amount_e10 * day, fee.days)
    set_costs(row, cost, cost)
    row["BilledCost"] = from_e10(0)
    return row


def _fee_row(fee: Fee, periods: Periods) -> Row:
    row = _account_row(fee.account, periods)
    identifier = sku.sku_id(fee.account.provider, fee.name, "purchase")
    row["PricingCategory"] = "Standard"
    row["PricingUnit"] = fee.unit
    row["SkuId"], row["SkuPriceId"] = identifier, sku.sku_price_id(identifier)
    row["SkuMeter"] = fee.name
    row["ResourceId"], row["ResourceType"] = fee.id, "Purchase"
    price = decimal_from_fraction(Fraction(fee.amount_e10, E10) / Fraction(fee.quantity))
    for name in ("ContractedUnitPrice", "ListUnitPrice"):
        row[name] = row[f"PricingCurrency{name}"] = price
    row["x_UnitPriceBasis"] = PRICE_LIST
    return row


def credit_row(account: Account, periods: Periods, amount_e10: int, description: str) -> Row:
    """A credit of `amount_e10` (positive: what the provider gives), as a negative charge."""
    row = _account_row(account, periods)
    row["ChargeCategory"] = CREDIT
    row["ChargeFrequency"] = "One-Time"
    row["ChargeDescription"] = description
    set_costs(row, -amount_e10, -amount_e10)
    return row


def drawn_rows(rows: Sequence[Row], drawn: Sequence[Drawn]) -> list[Row]:
    """Rows of a call with what commitments pay of them: that is not billed, and has what was paid
    for it as EffectiveCost.

    What is drawn is at most the ContractedCost of the rows. One commitment that pays all of it pays
    each row; else those of the first rows, as far as it goes. A row that two pay is said to be of
    the one that pays more, and ContractApplied has both.
    """
    costs = [_contracted(row) for row in rows]
    parts: list[list[Drawn]] = [[] for _ in rows]
    left = [max(cost, 0) for cost in costs]
    for each in drawn:
        amounts = costs if each.amount_e10 == sum(costs) else _filled(left, each.amount_e10)
        left = [have - amount for have, amount in zip(left, amounts, strict=True)]
        for place, (amount, value) in enumerate(_valued(each, amounts)):
            if amount:
                parts[place].append(Drawn(each.commitment, amount, value))
    return [_drawn(*pair) if pair[1] else pair[0] for pair in zip(rows, parts, strict=True)]


def _contracted(row: Row) -> int:
    """Units of 1e-10."""
    return to_e10(cast("Decimal", row["ContractedCost"]))


def _filled(left: Sequence[int], amount: int) -> list[int]:
    """The amount laid into what each has left, the first ones first."""
    filled: list[int] = []
    for have in left:
        filled.append(min(have, amount))
        amount -= filled[-1]
    return filled


def _valued(drawn: Drawn, amounts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The amounts, each with its share of the value, which they sum to."""
    until = [
        round_ratio(drawn.value_e10 * amount, drawn.amount_e10)
        for amount in accumulate(amounts, initial=0)
    ]
    return zip(amounts, (after - before for before, after in pairwise(until)), strict=True)


def _drawn(row: Row, parts: Sequence[Drawn]) -> Row:
    made = row.copy()
    main = max(parts, key=lambda part: part.amount_e10)
    billed = _contracted(row) - sum(part.amount_e10 for part in parts)
    effective = from_e10(billed + sum(part.value_e10 for part in parts))
    made["BilledCost"] = from_e10(billed)
    made["EffectiveCost"] = made["PricingCurrencyEffectiveCost"] = effective
    _set_commitment(made, main.commitment)
    made["ContractApplied"] = applied(
        (part.commitment.contract_id or part.commitment.id, part.commitment.id,
         from_e10(part.amount_e10))
        for part in parts
    )  # fmt: skip
    if row["ChargeCategory"] == USAGE:
        made["PricingCategory"] = "Committed"
        made["CommitmentDiscountStatus"] = USED
        if row["ChargeClass"] is None:  # may be null in a correction, and the validator insists
            made["CommitmentDiscountQuantity"] = from_e10(main.amount_e10)
            made["CommitmentDiscountUnit"] = main.commitment.account.currency
    return _in_its_currency(made, main.commitment)


def in_virtual_currency(row: Row, name: str, units: Decimal) -> Row:
    """The row priced in a virtual currency (`Credits`), of which `units` are worth one unit of the
    billing currency: the columns PricingCurrency*, half-even at twenty places."""
    priced = row.copy()
    priced["PricingCurrency"] = name
    for column, source in (
        ("PricingCurrencyContractedUnitPrice", "ContractedUnitPrice"),
        ("PricingCurrencyListUnitPrice", "ListUnitPrice"),
        ("PricingCurrencyEffectiveCost", "EffectiveCost"),
    ):
        value = row[source]
        if isinstance(value, Decimal):
            priced[column] = decimal_from_fraction(Fraction(value) * Fraction(units))
    return priced


def _in_its_currency(row: Row, commitment: Commitment) -> Row:
    if commitment.virtual_currency is None:
        return row
    return in_virtual_currency(row, commitment.virtual_currency, commitment.virtual_units)


def _account_row(account: Account, periods: Periods) -> Row:
    row = BLANK.copy()
    row["ChargePeriodStart"], row["ChargePeriodEnd"] = periods.charge
    row["BillingPeriodStart"], row["BillingPeriodEnd"] = periods.billing
    row["ChargeClass"] = CORRECTION if periods.corrects_closed else None
    set_account(row, account.organization_id, account.organization_name, account.currency)
    set_seller(row, entities.seller_name(account.provider), account.invoice_issuer)
    row["ServiceName"] = entities.service_name(account.provider)
    row["InvoiceId"] = account.invoice_id
    row["x_CostStatus"] = "priced"
    row["x_RequestCount"] = ZERO
    return row


def _commitment_row(commitment: Commitment, periods: Periods) -> Row:
    row = _account_row(commitment.account, periods)
    identifier = sku.sku_id(commitment.account.provider, commitment.type, "commitment")
    row["SkuId"] = identifier
    row["SkuMeter"] = commitment.type
    row["SkuPriceId"] = sku.sku_price_id(identifier)
    row["ResourceId"] = commitment.id
    row["ResourceName"] = None if commitment.name == commitment.id else commitment.name
    row["ResourceType"] = "Commitment"
    _set_commitment(row, commitment)
    return row


def _set_commitment(row: Row, commitment: Commitment) -> None:
    row["CommitmentDiscountId"] = commitment.id
    row["CommitmentDiscountName"] = commitment.name
    row["CommitmentDiscountType"] = commitment.type
    row["CommitmentDiscountCategory"] = SPEND


def _set_units(row: Row, commitment: Commitment, quantity_e10: int) -> None:
    """Money as a quantity: a unit of the currency is worth itself, at the price that was paid."""
    quantity = from_e10(quantity_e10)
    row["PricingQuantity"] = quantity
    row["PricingUnit"] = commitment.account.currency
    if row["ChargeClass"] is None:  # as in `_drawn`
        row["CommitmentDiscountQuantity"] = quantity
        row["CommitmentDiscountUnit"] = commitment.account.currency
    row["ContractedUnitPrice"] = row["PricingCurrencyContractedUnitPrice"] = commitment.unit_price
    row["ListUnitPrice"] = row["PricingCurrencyListUnitPrice"] = Decimal(1)
    row["x_UnitPriceBasis"] = PRICE_LIST
    contract = commitment.contract_id or commitment.id
    row["ContractApplied"] = applied([(contract, commitment.id, quantity)])
