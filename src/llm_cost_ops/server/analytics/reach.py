"""The calls that a principal reaches, as conditions of a read."""

from __future__ import annotations

from llm_cost_ops.core.grants import Reach
from llm_cost_ops.server.analytics.conditions import AnyOf, Condition
from llm_cost_ops.server.analytics.fields import find_field


def reach_conditions(reach: Reach) -> tuple[AnyOf, ...]:
    """What a call must meet to be reached; nothing for who reaches everything."""
    if reach.is_everything:
        return ()
    ways = (tuple(_condition(*each) for each in scope.dimensions) for scope in reach.scopes)
    return (AnyOf(tuple(ways)),)


def _condition(dimension: str, values: frozenset[str]) -> Condition:
    field = find_field(dimension)
    if field is None:
        raise AssertionError(f"no field of calls: {dimension}")
    return Condition(field, "in", tuple(sorted(values)))
