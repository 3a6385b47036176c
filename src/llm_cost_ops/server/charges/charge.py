"""A charge that is no call, as an organization enters it, and what of FOCUS it is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from llm_cost_ops.core.focus.charges import Fee
from llm_cost_ops.core.focus.commitments import Account, Commitment
from llm_cost_ops.core.months import month_at
from llm_cost_ops.core.period import DAY_US

COMMITMENT, PURCHASE, CREDIT = KINDS = ("commitment", "purchase", "credit")
ONE_TIME, RECURRING = FREQUENCIES = ("one_time", "recurring")
PREPAID = "Prepaid Credits"
UNIT = "Units"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Amounts are in units of 1e-10 of the currency: what was paid, or what a credit gives.

    A commitment has `granted_e10`, a purchase a quantity with its unit. Days count from 1970, and
    `end_day` is the last one. `billing_period` is the month in whose books it is.
    """

    id: str
    organization_id: str
    kind: str
    provider: str
    name: str
    currency: str
    amount_e10: int
    start_day: int
    billing_period: str
    created_at: int
    created_by: str | None = None
    end_day: int | None = None
    granted_e10: int | None = None
    type: str | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    frequency: str | None = None
    virtual_currency: str | None = None
    virtual_units: Decimal | None = None
    contract_id: str | None = None
    invoice_id: str | None = None
    invoice_issuer: str | None = None

    @property
    def start_us(self) -> int:
        return self.start_day * DAY_US

    @property
    def end_us(self) -> int | None:
        """The end of its last day; None without one."""
        return None if self.end_day is None else (self.end_day + 1) * DAY_US

    @property
    def days(self) -> int:
        """How many days it is for: one without an end."""
        return 1 if self.end_day is None else self.end_day - self.start_day + 1

    @property
    def month(self) -> str:
        """The month of its first day."""
        return month_at(self.start_us)

    def account(self, organization_name: str | None) -> Account:
        """Whose bill it is on."""
        return Account(
            organization_id=self.organization_id,
            organization_name=organization_name,
            currency=self.currency,
            provider=self.provider,
            invoice_issuer=self.invoice_issuer,
            invoice_id=self.invoice_id,
        )

    def commitment(self, organization_name: str | None = None) -> Commitment:
        """The commitment that it is. Raises FocusError."""
        return Commitment(
            id=self.id,
            name=self.name,
            type=self.type or PREPAID,
            account=self.account(organization_name),
            granted_e10=self.amount_e10 if self.granted_e10 is None else self.granted_e10,
            paid_e10=self.amount_e10,
            start_us=self.start_us,
            end_us=self.end_us,
            contract_id=self.contract_id,
            virtual_currency=self.virtual_currency,
            virtual_units=self.virtual_units or Decimal(1),
        )

    def fee(self, organization_name: str | None) -> Fee:
        """The purchase that it is."""
        return Fee(
            id=self.id,
            name=self.name,
            account=self.account(organization_name),
            amount_e10=self.amount_e10,
            days=self.days,
            quantity=self.quantity or Decimal(1),
            unit=self.unit or UNIT,
            is_recurring=self.frequency == RECURRING,
        )
