"""Charges as they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from llm_cost_ops.core.months import month_after
from llm_cost_ops.server.charges.charge import Charge
from llm_cost_ops.server.charges.tables import charges
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.late import BEFORE_ALL, closed_until

_ROW = charges.c
_DIGITS = ("quantity", "virtual_units")


def add(session: WriteSession, charge: Charge) -> None:
    """Keep a charge."""
    values = asdict(charge)
    for name in _DIGITS:
        values[name] = None if values[name] is None else f"{values[name]:f}"
    session.execute(insert(charges), values)


def get(session: ReadSession, organization_id: str, charge_id: str) -> Charge | None:
    """One charge."""
    query = select(charges).where(_ROW.organization_id == organization_id, _ROW.id == charge_id)
    row = session.execute(query).mappings().first()
    return None if row is None else _charge(row)


def remove(session: WriteSession, organization_id: str, charge_id: str) -> None:
    """Forget a charge."""
    session.execute(
        delete(charges).where(_ROW.organization_id == organization_id, _ROW.id == charge_id)
    )


def listed(
    session: ReadSession,
    organization_id: str,
    kind: str | None = None,
    provider: str | None = None,
    *,
    limit: int | None = None,
    offset: int = 0,
    after: str | None = None,
) -> list[Charge]:
    """Charges in the order in which they came, all of them without a limit."""
    query = select(charges).where(_ROW.organization_id == organization_id)
    if kind is not None:
        query = query.where(_ROW.kind == kind)
    if provider is not None:
        query = query.where(_ROW.provider == provider)
    if after is not None:
        query = query.where(_ROW.id > after)
    query = query.order_by(_ROW.id).offset(offset)
    rows = session.execute(query if limit is None else query.limit(limit)).mappings()
    return [_charge(row) for row in rows]


def counted(session: ReadSession, organization_id: str) -> int:
    """How many an organization has."""
    query = select(func.count()).select_from(charges).where(_ROW.organization_id == organization_id)
    return int(session.scalar(query) or 0)


def opened_again(session: WriteSession, organization_id: str, month: str) -> None:
    """Put what came late into the books of a month that was opened again, or into those of its own
    month, if that is open, too."""
    all_open = closed_until(session, organization_id) == BEFORE_ALL
    query = select(charges).where(
        _ROW.organization_id == organization_id, _ROW.billing_period <= month_after(month)
    )
    for row in session.execute(query).mappings().all():
        charge = _charge(row)
        is_late = charge.month < charge.billing_period
        if is_late and (all_open or charge.billing_period == month_after(month)):
            home = charge.month if all_open else max(charge.month, month)
            session.execute(
                update(charges)
                .where(_ROW.organization_id == organization_id, _ROW.id == charge.id)
                .values(billing_period=home)
            )


def _charge(row: Mapping[Any, Any]) -> Charge:
    values = {str(name): value for name, value in row.items()}
    for name in _DIGITS:
        values[name] = None if values[name] is None else Decimal(values[name])
    return Charge(**values)
