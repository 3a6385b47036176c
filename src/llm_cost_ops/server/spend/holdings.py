"""What reservations hold of which counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from llm_cost_ops.core.budget import Amounts, Budget
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.spend.counters import Place
from llm_cost_ops.server.spend.tables import reservations

OPEN = "open"
_decode = msgspec.json.Decoder(list[tuple[str, int, int]]).decode
_encode = msgspec.json.Encoder().encode
_ROW = reservations.c


class Holding(NamedTuple):
    """A counter that holds a reservation; its money only where that is in the same currency."""

    place: Place
    money: bool

    def of(self, amounts: Amounts) -> Amounts:
        """What is held there."""
        return amounts if self.money else Amounts(0, amounts.requests, amounts.tokens)


def amounts_of(row: Mapping[Any, Any]) -> Amounts:
    """What a reservation holds of every budget."""
    return Amounts(int(row["amount_e10"]), int(row["requests"]), int(row["tokens"]))


def holdings_of(row: Mapping[Any, Any]) -> list[Holding]:
    """The counters that hold it."""
    return [
        Holding(Place(budget_id, start_us), bool(money))
        for budget_id, start_us, money in _decode(row["held"])
    ]


def holdings_text(holdings: Iterable[Holding]) -> str:
    """The column that says which they are."""
    held = [[*holding.place, int(holding.money)] for holding in sorted(holdings)]
    return _encode(held).decode()


def held_of(session: ReadSession, organization_id: str, budget: Budget) -> dict[Place, Amounts]:
    """What open reservations hold of a budget, by counter."""
    query = select(reservations).where(_ROW.organization_id == organization_id, _ROW.status == OPEN)
    found: dict[Place, Amounts] = {}
    for row in session.execute(query).mappings():
        for holding in holdings_of(row):
            place = holding.place
            if place.budget_id == budget.id:
                held = holding.of(amounts_of(row))
                found[place] = found.get(place, Amounts()).plus(held)
    return found
