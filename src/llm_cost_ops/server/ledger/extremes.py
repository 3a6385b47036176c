"""Smallest and largest costs of the rollups after corrections.

A sum is moved by a difference, an extreme is not: when the smallest or largest cost may be the one
that was taken away, the calls of that day are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Table, bindparam, select, update

from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.projection import day_extremes
from llm_cost_ops.server.ledger.rollup import ROLLUPS, Delta, Key, projected
from llm_cost_ops.server.spend.move import Moves


class Extremes:
    """Costs taken away from groups, until `settle`, which comes after all corrections; `moves` of
    budgets wait for the same moment."""

    def __init__(self, moves: Moves | None = None) -> None:
        self._gone: dict[Key, Delta] = {}
        self.moves = Moves() if moves is None else moves

    def take_away(self, key: Key, cost: int) -> None:
        """A call of the group (a key of `rollup.deltas_of`) no longer costs this."""
        self._gone.setdefault(key, Delta()).widen(cost, cost)

    def settle(self, session: WriteSession) -> None:
        """Put the extremes of all groups right. The rollups' sums have been moved before."""
        gone, self._gone = self._gone, {}
        days: dict[tuple[str, int], list[set[Key]]] = {}
        for place, (table, names, buckets) in enumerate(ROLLUPS):
            for key, delta in projected(gone)[place].items():
                if _may_have_been(session, table, names, key, delta):
                    day = days.setdefault((key[0], key[1] // buckets), [set() for _ in ROLLUPS])
                    day[place].add(key)
        for (organization_id, day), wanted in sorted(days.items()):
            found = _extremes(session, organization_id, day)
            for (table, names, _), keys, group in zip(ROLLUPS, wanted, found, strict=True):
                _write(session, table, names, {key: group.get(key) for key in keys})
        self.moves.settle(session)


def _may_have_been(
    session: ReadSession, table: Table, names: Sequence[str], key: Key, gone: Delta
) -> bool:
    conditions = [table.c[name] == value for name, value in zip(names, key, strict=True)]
    query = select(table.c.min_cost_e10, table.c.max_cost_e10).where(*conditions)
    row = session.execute(query).first()
    if row is None or row.min_cost_e10 is None or gone.low is None or gone.high is None:
        return True
    return gone.low <= row.min_cost_e10 or gone.high >= row.max_cost_e10


def _extremes(session: ReadSession, organization_id: str, day: int) -> tuple[dict[Key, Delta], ...]:
    groups: dict[Key, Delta] = {}
    for key, low, high in day_extremes(session, organization_id, day):
        groups.setdefault(key, Delta()).widen(low, high)
    return projected(groups)


def _write(
    session: WriteSession,
    table: Table,
    names: Sequence[str],
    extremes: Mapping[Key, Delta | None],
) -> None:
    if not extremes:
        return
    here = [table.c[name] == bindparam(f"key_{name}") for name in names]
    low, high = bindparam("low", type_=BigInteger()), bindparam("high", type_=BigInteger())
    statement = update(table).where(*here).values(min_cost_e10=low, max_cost_e10=high)
    session.connection.execute(statement, list(_rows(names, extremes.items())))


def _rows(
    names: Sequence[str], extremes: Iterable[tuple[Key, Delta | None]]
) -> Iterable[dict[str, Any]]:
    for key, delta in sorted(extremes, key=lambda item: item[0]):
        row: dict[str, Any] = {f"key_{n}": value for n, value in zip(names, key, strict=True)}
        low, high = (None, None) if delta is None else (delta.low, delta.high)
        yield {**row, "low": low, "high": high}
