"""How the costs of single calls spread within each group: percentiles and standard deviation.

Percentiles are by nearest rank: the smallest cost that at least p percent of the priced calls do
not exceed, always the cost of a real call. The deviation is that of the whole group (population).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import isqrt
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.sql import operators

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.analytics.calls import Expression
from llm_cost_ops.server.analytics.grouped import Grouped, Key, grouped, key_of
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import calls_source
from llm_cost_ops.server.db.dialects import exact_sum, floor_divide, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind

_LIMB = 10**9


def percentiles(
    session: ReadSession, selection: Selection, grouping: Grouping, percents: Sequence[int]
) -> dict[Key, dict[int, Decimal]]:
    """The cost at each percent (1 to 99) per group; groups without a priced call are left out."""
    made, cost = _priced_calls(session, selection, grouping)
    found: dict[Key, dict[int, Decimal]] = {}
    for row in session.execute(_ranked(session.kind, made, cost, percents)):
        amount, place, count = (int(value) for value in row[-3:])
        costs = found.setdefault(key_of(row, grouping), {})
        at = [percent for percent in percents if rank(percent, count) == place]
        costs.update(dict.fromkeys(at, from_e10(amount)))
    return found


def rank(percent: int, count: int) -> int:
    """The nearest rank from 1: ceil(percent / 100 * count)."""
    return (count * percent + 99) // 100


def deviations(
    session: ReadSession, selection: Selection, grouping: Grouping
) -> dict[Key, Decimal]:
    """The standard deviation of the costs of priced calls per group, rounded to ten places.

    Squares leave 64 bits, so costs are split in two limbs, whose products do not.
    """
    made, cost = _priced_calls(session, selection, grouping)
    kind = session.kind

    def aggregates(of: Mapping[str, Any]) -> list[ColumnElement[Any]]:
        high, low = floor_divide(kind, of["cost"], _LIMB), of["cost"] % _LIMB
        sums = {"hh": high * high, "hl": high * low, "ll": low * low, "s": of["cost"]}
        columns = [c for name, summand in sums.items() for c in exact_sum(kind, summand, name)]
        return [func.count().label("calls"), *columns]

    found: dict[Key, Decimal] = {}
    for row in session.execute(made.totals({"cost": cost}, aggregates)).mappings():
        read = cast("Mapping[str, Any]", row)
        sums = {name: read_sum(read, name) or 0 for name in ("hh", "hl", "ll", "s")}
        squares = (sums["hh"] * _LIMB + 2 * sums["hl"]) * _LIMB + sums["ll"]
        key = key_of([*row.values()], grouping)
        found[key] = deviation(int(read["calls"]), sums["s"], squares)
    return found


def deviation(count: int, total: int, squares: int) -> Decimal:
    """The population's standard deviation from exact sums of units of 1e-10 and their squares,
    rounded half-even once: sqrt(n) / count in whole numbers."""
    spread = count * squares - total * total
    units = isqrt(spread) // count
    half = (2 * units + 1) ** 2 * count * count
    if 4 * spread > half or (4 * spread == half and units % 2):
        units += 1
    return from_e10(units)


def _priced_calls(
    session: ReadSession, selection: Selection, grouping: Grouping
) -> tuple[Grouped, Expression]:
    source = calls_source(session, selection)
    made = grouped(source, grouping)
    return replace(made, where=(*made.where, source.low.is_not(None))), source.low


def _ranked(
    kind: DatabaseKind, made: Grouped, cost: Expression, percents: Sequence[int]
) -> Select[Any]:
    """The calls at the wanted ranks of each group, with their rank and the size of the group."""
    each = made.rows({"cost": cost}).subquery("each_call")
    groups = [each.c[column.name] for column in made.columns]
    place = func.row_number().over(partition_by=groups, order_by=each.c.cost)
    calls = func.count().over(partition_by=groups)
    ranked = select(*groups, each.c.cost, place.label("place"), calls.label("calls")).subquery(
        "ranked"
    )
    wanted: list[ColumnElement[bool]] = []
    for percent in percents:
        hundredfold = (ranked.c.calls * percent + 99).self_group(against=operators.truediv)
        wanted.append(ranked.c.place == floor_divide(kind, hundredfold, 100))
    return select(ranked).where(or_(*wanted))
