"""Charges that are not calls: purchases of credits and commitments, what is drawn from them, what
is left unused, and credits that a provider grants.

As the specification's example of a prepayment that is drawn down: the purchase has the payment as
BilledCost and no EffectiveCost; usage that it pays has no BilledCost, and what is drawn as
EffectiveCost. So each is counted once in either column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from llm_cost_ops.core.focus import entities, sku
from llm_cost_ops.core.focus.columns import FocusError
from llm_cost_ops.core.focus.contracts import applied
from llm_cost_ops.core.focus.rows import BLANK, ZERO, Row, set_account, set_costs, set_seller
from llm_cost_ops.core.focus.values import CREDIT, PRICE_LIST, PURCHASE, USAGE
from llm_cost_ops.core.money import E10, EXACT, decimal_from_fraction, from_e10, split

SPEND = "Spend"
UNITS = "Usage"
_CATEGORIES = (SPEND, UNITS)
USED = "Used"
UNUSED = "Unused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose bill a charge is on, and who sends it. `currency` is ISO 4217."""

    organization_id: str
    currency: str
    provider: str
    organization_name: str | None = None
    invoice_issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """Prepaid credits, a spend commitment or reserved throughput.

    `category` Spend counts money (`granted` in the account's currency), Usage counts `unit`s.
    `paid_e10` is the price of the whole in units of 1e-10. `type` is the provider's word for it.
    """

    id: str
    name: str
    type: str
    account: Account
    granted: Decimal
    paid_e10: int
    category: str = SPEND
    unit: str | None = None
    contract_id: str | None = None

    def __post_init__(self) -> None:
        if self.category not in _CATEGORIES:
            raise FocusError(f"must be one of {', '.join(_CATEGORIES)}", field="category")
        if self.category == UNITS and not self.unit:
            raise FocusError("must be given for a commitment of usage", field="unit")
        if self.granted <= 0 or self.paid_e10 < 0:
            raise FocusError(
                "must be greater than 0, at a price that is not negative", field="granted"
            )

    @property
    def counted_in(self) -> str:
        """The unit of the commitment: its currency for Spend."""
        return self.unit if self.category == UNITS and self.unit else self.account.currency

    @property
    def unit_price(self) -> Decimal:
        """What was paid for one unit, half-even at twenty places."""
        return decimal_from_fraction(Fraction(self.paid_e10, E10) / Fraction(self.granted))

    @property
    def list_unit_price(self) -> Decimal:
        """A unit of currency is worth itself; what other units cost publicly is not known here."""
        return Decimal(1) if self.category == SPEND else self.unit_price


@dataclass(frozen=True, slots=True)
class Periods:
    """Of a charge: instants in microseconds since 1970, start included, end excluded."""

    charge: tuple[int, int]
    billing: tuple[int, int]


def purchase_row(
    commitment: Commitment,
    periods: Periods,
    *,
    frequency: str = "One-Time",
    covers_future: bool = True,
) -> Row:
    """The purchase of a commitment. Its EffectiveCost is 0 when it covers charges to come."""
    row = _commitment_row(commitment, periods)
    row["ChargeCategory"] = PURCHASE
    row["ChargeFrequency"] = frequency
    row["ChargeDescription"] = f"Purchase of {commitment.name}"
    row["PricingCategory"] = "Standard"
    row["CommitmentDiscountStatus"] = None
    _set_units(row, commitment, commitment.granted)
    list_cost = EXACT.multiply(commitment.granted, commitment.list_unit_price)
    set_costs(row, commitment.paid_e10, _e10(list_cost))
    if covers_future:
        row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = from_e10(0)
    return row


def unused_row(commitment: Commitment, periods: Periods, quantity: Decimal, value_e10: int) -> Row:
    """What of a commitment expired in a charge period: its quantity, and what was paid for it."""
    row = _commitment_row(commitment, periods)
    row["ChargeCategory"] = USAGE
    row["ChargeFrequency"] = "Usage-Based"
    row["ChargeDescription"] = f"Unused part of {commitment.name}"
    row["PricingCategory"] = "Committed"
    row["CommitmentDiscountStatus"] = UNUSED
    _set_units(row, commitment, quantity)
    listed = EXACT.multiply(quantity, commitment.list_unit_price)
    set_costs(row, _e10(EXACT.multiply(quantity, commitment.unit_price)), _e10(listed))
    row["BilledCost"] = from_e10(0)
    row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = from_e10(value_e10)
    return row


def drawn_rows(rows: Sequence[Row], commitment: Commitment, drawn_e10: int) -> list[Row]:
    """Rows of usage that a commitment pays: nothing is billed, and EffectiveCost is what is drawn,
    shared by ContractedCost (largest remainder) so that it sums to `drawn_e10`.

    Rows without any cost share nothing but with each other. Raises FocusError without rows.
    """
    if not rows:
        raise FocusError("must have a row", field="rows")
    weights = [abs(_e10(row["ContractedCost"])) for row in rows]
    shares = split(drawn_e10, weights if any(weights) else [1] * len(rows))
    return [_drawn(row, commitment, share) for row, share in zip(rows, shares, strict=True)]


def _drawn(row: Row, commitment: Commitment, share_e10: int) -> Row:
    drawn = row.copy()
    value = from_e10(share_e10)
    drawn["BilledCost"] = from_e10(0)
    drawn["EffectiveCost"] = drawn["PricingCurrencyEffectiveCost"] = value
    _set_commitment(drawn, commitment)
    quantity = value if commitment.category == SPEND else row["ConsumedQuantity"]
    drawn["ContractApplied"] = _applied(commitment, quantity)
    if row["ChargeCategory"] == USAGE:
        drawn["PricingCategory"] = "Committed"
        drawn["CommitmentDiscountStatus"] = USED
        if row["ChargeClass"] is None:  # may be null in a correction, and the validator insists
            drawn["CommitmentDiscountQuantity"] = quantity
            drawn["CommitmentDiscountUnit"] = commitment.counted_in
    return drawn


def credit_row(account: Account, periods: Periods, amount_e10: int, description: str) -> Row:
    """A credit of `amount_e10` (positive: what the provider gives), as a negative charge."""
    row = _account_row(account, periods)
    row["ChargeCategory"] = CREDIT
    row["ChargeFrequency"] = "One-Time"
    row["ChargeDescription"] = description
    set_costs(row, -amount_e10, -amount_e10)
    return row


def in_virtual_currency(row: Row, name: str, units: Decimal) -> Row:
    """The row priced in a virtual currency (`Credits`), of which `units` are worth one unit of the
    billing currency: the columns PricingCurrency*, half-even at twenty places. What is drawn from a
    commitment is drawn first."""
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


def _account_row(account: Account, periods: Periods) -> Row:
    row = BLANK.copy()
    row["ChargePeriodStart"], row["ChargePeriodEnd"] = periods.charge
    row["BillingPeriodStart"], row["BillingPeriodEnd"] = periods.billing
    set_account(row, account.organization_id, account.organization_name, account.currency)
    set_seller(row, entities.seller_name(account.provider), account.invoice_issuer)
    row["ServiceName"] = entities.service_name(account.provider)
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
    row["CommitmentDiscountUnit"] = commitment.counted_in
    return row


def _set_commitment(row: Row, commitment: Commitment) -> None:
    row["CommitmentDiscountId"] = commitment.id
    row["CommitmentDiscountName"] = commitment.name
    row["CommitmentDiscountType"] = commitment.type
    row["CommitmentDiscountCategory"] = commitment.category


def _set_units(row: Row, commitment: Commitment, quantity: Decimal) -> None:
    row["PricingQuantity"] = row["CommitmentDiscountQuantity"] = quantity
    row["PricingUnit"] = commitment.counted_in
    row["ContractedUnitPrice"] = row["PricingCurrencyContractedUnitPrice"] = commitment.unit_price
    row["ListUnitPrice"] = row["PricingCurrencyListUnitPrice"] = commitment.list_unit_price
    row["x_UnitPriceBasis"] = PRICE_LIST
    row["ContractApplied"] = _applied(commitment, quantity)


def _applied(commitment: Commitment, quantity: object) -> str | None:
    """None for a charge without a quantity of the commitment's unit."""
    if not isinstance(quantity, Decimal):
        return None
    contract = commitment.contract_id or commitment.id
    if commitment.category == SPEND:
        return applied(contract, commitment.id, cost=quantity)
    return applied(contract, commitment.id, quantity=quantity, unit=commitment.counted_in)


def _e10(amount: object) -> int:
    """Units of 1e-10, half-even."""
    return int(EXACT.scaleb(Decimal(str(amount)), 10).to_integral_value(context=EXACT))
