"""Which table answers a question: the rollups where they can, the calls themselves where not.

A rollup can when it has every field asked for, and when the buckets of time asked for are made of
whole rows of it. What a window begins or ends inside of a row comes from a finer one, at last from
the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table

from llm_cost_ops.core.period import DAY_US, HOUR_US, Window
from llm_cost_ops.server.analytics.conditions import fields_of
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.ledger.tables import rollup_daily, rollup_hourly, rollup_models


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of sums: rows of `width_us` per value of its fields, in the order of its key."""

    table: Table
    width_us: int
    fields: tuple[str, ...]

    @property
    def filters(self) -> frozenset[str]:
        return frozenset({*self.fields, "currency", "organization_id"})


HOURLY = Rollup(rollup_hourly, HOUR_US, ("provider", "model"))
DAILY = Rollup(rollup_daily, DAY_US, ("provider", "model", "project_id"))
MODELS = Rollup(rollup_models, DAY_US, ("provider", "model"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the window and the rollup that answers for it; None stands for the calls."""

    window: Window
    rollup: Rollup | None


def pieces(selection: Selection, grouping: Grouping) -> list[Piece]:
    """The window in disjoint parts, each with the cheapest source that can answer for it."""
    # Days by project only for who asks by project: there may be as many projects as calls.
    chosen = (MODELS, HOURLY) if _can(HOURLY, selection, grouping) else (DAILY,)
    able = [rollup for rollup in chosen if _can(rollup, selection, grouping)]
    return _cut(selection.window, able)


def needs_calls(selection: Selection, grouping: Grouping) -> bool:
    """Whether no rollup has what is asked for, so that calls are read whatever the window is."""
    return not any(_can(each, selection, grouping) for each in (HOURLY, DAILY))


def _cut(window: Window, able: Sequence[Rollup]) -> list[Piece]:
    """The widest rollup for what is made of its rows, the next for what is left at both ends."""
    if window.is_empty:
        return []
    if not able:
        return [Piece(window, None)]
    width = able[0].width_us
    start = -(-window.start_us // width) * width
    end = window.end_us // width * width
    if start >= end:
        return _cut(window, able[1:])
    return [
        *_cut(Window(window.start_us, start), able[1:]),
        Piece(Window(start, end), able[0]),
        *_cut(Window(end, window.end_us), able[1:]),
    ]


def _can(rollup: Rollup, selection: Selection, grouping: Grouping) -> bool:
    if any(dimension.tag is not None for dimension in grouping.dimensions):
        return False
    wanted = {dimension.field.name for dimension in grouping.dimensions if dimension.field}
    wanted |= frozenset[str]().union(*map(fields_of, selection.conditions))
    edges = (edge for made in grouping.buckets.values() for edge in made.edges)
    return wanted <= rollup.filters and all(edge % rollup.width_us == 0 for edge in edges)
