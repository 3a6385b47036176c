"""Rates as they are kept: read by the id, by pair and day, and all of an organization."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, insert, select, tuple_

from llm_cost_ops.core.exchange import ExchangeRate, ExchangeRates
from llm_cost_ops.core.instant import day_number, day_of
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.rates.tables import exchange_rates

_ROW = exchange_rates.c
_LOOKED_UP = 500
Key = tuple[str, str, date]


@dataclass(frozen=True, slots=True)
class Kept:
    """A rate that is kept. `created_at` in microseconds since 1970 UTC."""

    id: str
    rate: ExchangeRate
    created_by: str | None
    created_at: int

    @property
    def key(self) -> Key:
        return key_of(self.rate)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rates a list has; days are included."""

    from_currency: str | None = None
    to_currency: str | None = None
    first: date | None = None
    last: date | None = None


def key_of(rate: ExchangeRate) -> Key:
    """What there is one rate of."""
    return rate.from_currency, rate.to_currency, rate.day


def add(session: WriteSession, organization_id: str, rates: Sequence[Kept]) -> None:
    """Keep rates, none of which is there yet."""
    session.execute(insert(exchange_rates), [_values(organization_id, each) for each in rates])


def known(session: ReadSession, organization_id: str, keys: Iterable[Key]) -> dict[Key, Kept]:
    """What is kept of these pairs and days."""
    wanted = [(one, other, day_number(day)) for one, other, day in keys]
    found: dict[Key, Kept] = {}
    for start in range(0, len(wanted), _LOOKED_UP):
        part = wanted[start : start + _LOOKED_UP]
        query = select(exchange_rates).where(
            _ROW.organization_id == organization_id,
            tuple_(_ROW.from_currency, _ROW.to_currency, _ROW.day).in_(part),
        )
        for row in session.execute(query).mappings():
            kept = _kept(row)
            found[kept.key] = kept
    return found


def get(session: ReadSession, organization_id: str, rate_id: str) -> Kept | None:
    """One rate."""
    query = select(exchange_rates).where(
        _ROW.organization_id == organization_id, _ROW.id == rate_id
    )
    row = session.execute(query).mappings().first()
    return None if row is None else _kept(row)


def remove(session: WriteSession, organization_id: str, rate_id: str) -> None:
    """Forget a rate."""
    session.execute(
        delete(exchange_rates).where(_ROW.organization_id == organization_id, _ROW.id == rate_id)
    )


def listed(
    session: ReadSession,
    organization_id: str,
    wanted: Filter,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
) -> list[Kept]:
    """Rates in the order in which they were given."""
    query = select(exchange_rates).where(_ROW.organization_id == organization_id)
    if wanted.from_currency is not None:
        query = query.where(_ROW.from_currency == wanted.from_currency)
    if wanted.to_currency is not None:
        query = query.where(_ROW.to_currency == wanted.to_currency)
    if wanted.first is not None:
        query = query.where(_ROW.day >= day_number(wanted.first))
    if wanted.last is not None:
        query = query.where(_ROW.day <= day_number(wanted.last))
    if after is not None:
        query = query.where(_ROW.id > after)
    rows = session.execute(query.order_by(_ROW.id).limit(limit).offset(offset)).mappings()
    return [_kept(row) for row in rows]


def rate_on(
    session: ReadSession, organization_id: str, from_currency: str, to_currency: str, day: date
) -> Kept | None:
    """The last rate on or before the day."""
    query = (
        select(exchange_rates)
        .where(
            _ROW.organization_id == organization_id,
            _ROW.from_currency == from_currency,
            _ROW.to_currency == to_currency,
            _ROW.day <= day_number(day),
        )
        .order_by(_ROW.day.desc())
        .limit(1)
    )
    row = session.execute(query).mappings().first()
    return None if row is None else _kept(row)


def rates_to(session: ReadSession, organization_id: str, to_currency: str) -> ExchangeRates:
    """All rates into a currency, for who converts many amounts."""
    query = select(exchange_rates).where(
        _ROW.organization_id == organization_id, _ROW.to_currency == to_currency
    )
    return ExchangeRates(_kept(row).rate for row in session.execute(query).mappings())


def _values(organization_id: str, kept: Kept) -> dict[str, object]:
    rate = kept.rate
    return {
        "id": kept.id,
        "organization_id": organization_id,
        "from_currency": rate.from_currency,
        "to_currency": rate.to_currency,
        "day": day_number(rate.day),
        "rate": f"{rate.rate:f}",
        "source": rate.source,
        "created_by": kept.created_by,
        "created_at": kept.created_at,
    }


def _kept(row: Mapping[Any, Any]) -> Kept:
    rate = ExchangeRate(
        row["from_currency"],
        row["to_currency"],
        day_of(int(row["day"])),
        Decimal(row["rate"]),
        row["source"],
    )
    return Kept(row["id"], rate, row["created_by"], int(row["created_at"]))
