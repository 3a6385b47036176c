"""Entering charges, and taking them back while no closed month has them.

A charge is not changed in place, because exports of closed months say it: who entered a wrong one
takes it back and enters another; the audit log has both.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.instant import day_number, day_of, parse_day
from llm_cost_ops.core.money import (
    PLACES,
    check_currency,
    from_e10,
    parse_decimal,
    parse_e10,
    plain,
)
from llm_cost_ops.core.months import month_at
from llm_cost_ops.core.period import DAY_US
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.charges import store
from llm_cost_ops.server.charges.charge import (
    COMMITMENT,
    CREDIT,
    FREQUENCIES,
    KINDS,
    ONE_TIME,
    PREPAID,
    PURCHASE,
    UNIT,
    Charge,
)
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.identity.fields import clean_name, clean_optional
from llm_cost_ops.server.ledger.late import BEFORE_ALL, MonthClosed, closed_until

MAX_CHARGES = 10_000
"""An export has all of them in memory."""
MAX_WHOLE_DIGITS = 12
MAX_DAYS = 3_660
"""Ten years, of which a purchase has a row for each day."""
MAX_VIRTUAL_DIGITS = 9
MAX_UNIT_PRICE = 100_000_000
"""Files have 18 whole digits for a price, also for one in a virtual currency."""
_TYPE = "charge"
_ALSO_TOLD = (
    "type", "quantity", "unit", "frequency", "virtual_currency", "virtual_units", "contract_id",
    "invoice_id", "invoice_issuer",
)  # fmt: skip
_TOO_DEAR = f"is too little for the amount: a unit must cost at most {MAX_UNIT_PRICE}"
_ONLY: Mapping[str, str] = {
    "granted": COMMITMENT,
    "type": COMMITMENT,
    "contract_id": COMMITMENT,
    "virtual_currency": COMMITMENT,
    "virtual_units": COMMITMENT,
    "quantity": PURCHASE,
    "unit": PURCHASE,
    "frequency": PURCHASE,
}
"""Which kind a field belongs to."""


class ChargeError(DomainError):
    """A charge that cannot be entered."""


class ChargeUnknown(DomainError):
    """The organization has no such charge."""

    code = "NOT_FOUND"


class TooManyCharges(DomainError):
    """The organization has as many as exports can have."""

    code = "CONFLICT"


def charge_of(fields: Mapping[str, object], actor: Actor, first_open: str = "") -> Charge:
    """A charge from what was written, in the books of its month, or of the first one that is open.
    Raises DomainError with the field at fault."""
    kind = fields.get("kind")
    if kind not in KINDS:
        raise ChargeError(f"must be one of: {', '.join(KINDS)}", field="kind")
    for name, owner in _ONLY.items():
        if fields.get(name) is not None and kind != owner:
            raise ChargeError(f"belongs to a {owner}", field=name)
    start, end = _day(fields, "start_date"), _day(fields, "end_date")
    if start is None:
        raise ChargeError("is required", field="start_date")
    if end is not None and kind == CREDIT:
        raise ChargeError("does not belong to a credit", field="end_date")
    if end is not None and end < start:
        raise ChargeError("must not be before start_date", field="end_date")
    if end is not None and end - start > MAX_DAYS:
        raise ChargeError(f"must be within {MAX_DAYS} days of start_date", field="end_date")
    named = str(fields.get("provider") or "").strip()
    provider = clean_name(provider_id(named) or named, "provider")
    if len(provider) > 64:
        raise ChargeError("must have at most 64 characters", field="provider")
    charge = Charge(
        id=single_id("chg", actor.now_us // 1_000, secrets.randbits(80)),
        organization_id=actor.organization_id,
        kind=str(kind),
        provider=provider,
        name=clean_name(str(fields.get("name") or ""), "name"),
        currency=check_currency(fields.get("currency"), "currency"),
        amount_e10=_money(fields, "amount") or 0,
        start_day=start,
        end_day=end,
        billing_period=max(month_at(start * DAY_US), first_open),
        granted_e10=_money(fields, "granted"),
        type=_text(fields, "type"),
        quantity=_positive(fields, "quantity"),
        unit=_text(fields, "unit", 64),
        frequency=_text(fields, "frequency"),
        virtual_currency=_text(fields, "virtual_currency", 64),
        virtual_units=_positive(fields, "virtual_units", MAX_VIRTUAL_DIGITS),
        contract_id=_text(fields, "contract_id"),
        invoice_id=_text(fields, "invoice_id"),
        invoice_issuer=_text(fields, "invoice_issuer"),
        created_by=actor.actor_id,
        created_at=actor.now_us,
    )
    return _checked(charge)


def enter(session: WriteSession, actor: Actor, fields: Mapping[str, object]) -> Charge:
    """Keep a charge. The caller holds the organization's budgets alone, so that no month is closed
    meanwhile. Raises DomainError with the field at fault."""
    charge = charge_of(fields, actor, _first_open(session, actor.organization_id))
    if store.counted(session, actor.organization_id) >= MAX_CHARGES:
        raise TooManyCharges(f"An organization has at most {MAX_CHARGES} charges.")
    store.add(session, charge)
    actor.record(session, "charge.created", _TYPE, charge.id, None, told(charge))
    return charge


def take_back(session: WriteSession, actor: Actor, charge_id: str) -> None:
    """Forget a charge that is in no closed month. The caller holds the budgets as for `enter`.
    Raises ChargeUnknown, and MonthClosed."""
    charge = store.get(session, actor.organization_id, charge_id)
    if charge is None:
        raise ChargeUnknown("Charge not found")
    if charge.billing_period < _first_open(session, actor.organization_id):
        raise MonthClosed(
            f"The charge is in the books of {charge.billing_period}: they are closed."
        )
    store.remove(session, actor.organization_id, charge_id)
    actor.record(session, "charge.deleted", _TYPE, charge_id, told(charge), None)


def told(charge: Charge) -> dict[str, object]:
    """A charge as the audit log has it."""
    values: dict[str, object] = {
        "kind": charge.kind,
        "provider": charge.provider,
        "name": charge.name,
        "currency": charge.currency,
        "amount": plain(from_e10(charge.amount_e10)),
        "start_date": day_of(charge.start_day).isoformat(),
        "billing_period": charge.billing_period,
    }
    if charge.end_day is not None:
        values["end_date"] = day_of(charge.end_day).isoformat()
    if charge.granted_e10 is not None:
        values["granted"] = plain(from_e10(charge.granted_e10))
    for name in _ALSO_TOLD:
        value = getattr(charge, name)
        if value is not None:
            values[name] = plain(value) if isinstance(value, Decimal) else value
    return values


def _first_open(session: WriteSession, organization_id: str) -> str:
    """The first month that is open, empty where all are."""
    until = closed_until(session, organization_id)
    return "" if until == BEFORE_ALL else month_at(until)


def _checked(charge: Charge) -> Charge:
    """The charge with what is understood where nothing was said."""
    if charge.kind == COMMITMENT:
        if (charge.virtual_currency is None) != (charge.virtual_units is None):
            raise ChargeError("needs virtual_units beside it", field="virtual_currency")
        granted = charge.amount_e10 if charge.granted_e10 is None else charge.granted_e10
        if charge.amount_e10 < 0:
            raise ChargeError("must not be negative", field="amount")
        if granted <= 0:
            raise ChargeError("must be greater than 0", field="granted")
        charge = replace(charge, granted_e10=granted, type=charge.type or PREPAID)
        if charge.commitment().unit_price > MAX_UNIT_PRICE:
            raise ChargeError(_TOO_DEAR, field="granted")
        return charge
    if charge.amount_e10 <= 0:
        raise ChargeError("must be greater than 0", field="amount")
    if charge.kind == CREDIT:
        return charge
    frequency = charge.frequency or ONE_TIME
    if frequency not in FREQUENCIES:
        raise ChargeError(f"must be one of: {', '.join(FREQUENCIES)}", field="frequency")
    quantity = Decimal(1) if charge.quantity is None else charge.quantity
    if from_e10(charge.amount_e10) > MAX_UNIT_PRICE * quantity:
        raise ChargeError(_TOO_DEAR, field="quantity")
    return replace(charge, quantity=quantity, unit=charge.unit or UNIT, frequency=frequency)


def _day(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    return None if value is None else day_number(parse_day(value, name))


def _money(fields: Mapping[str, object], name: str) -> int | None:
    """Units of 1e-10; an invoice has no more places."""
    value = fields.get(name)
    if value is None:
        if name == "amount":
            raise ChargeError("is required", field=name)
        return None
    return parse_e10(value, name)


def _positive(
    fields: Mapping[str, object], name: str, most: int = MAX_WHOLE_DIGITS
) -> Decimal | None:
    value = fields.get(name)
    if value is None:
        return None
    number = parse_decimal(value, name)
    if number <= 0:
        raise ChargeError("must be greater than 0", field=name)
    digits = plain(number)
    whole, _, places = digits.partition(".")
    if len(whole) > most or len(places) > PLACES:
        raise ChargeError(f"must have at most {most} whole digits and {PLACES} places", field=name)
    return Decimal(digits)


def _text(fields: Mapping[str, object], name: str, most: int = 255) -> str | None:
    value = fields.get(name)
    text = clean_optional(None if value is None else str(value), name)
    if text is not None and len(text) > most:
        raise ChargeError(f"must have at most {most} characters", field=name)
    return text
