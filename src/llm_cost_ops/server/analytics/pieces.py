"""Which table answers a question: the rollups where they can, the calls themselves where not.

A rollup can when it has every field asked for, and when the buckets of time asked for are made of
whole rows of it. What a window begins or ends inside of a row comes from a finer one, at last from
the calls. Teams have one for the days that the worker has summed and nobody changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Table

from llm_cost_ops.core.period import DAY_US, HOUR_US, Window
from llm_cost_ops.server.analytics.conditions import fields_of
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.ledger.tables import (
    rollup_daily,
    rollup_hourly,
    rollup_models,
    rollup_teams,
)


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of sums: rows of `width_us` per value of its fields, which are its key in this order
    unless it `is_loose`."""

    table: Table
    width_us: int
    fields: tuple[str, ...]
    is_loose: bool = False

    @property
    def filters(self) -> frozenset[str]:
        return frozenset({*self.fields, "currency", "organization_id"})


HOURLY = Rollup(rollup_hourly, HOUR_US, ("provider", "model"))
DAILY = Rollup(rollup_daily, DAY_US, ("provider", "model", "project_id"))
MODELS = Rollup(rollup_models, DAY_US, ("provider", "model"))
TEAMS = Rollup(rollup_teams, DAY_US, ("provider", "model", "project_id", "team_id"), is_loose=True)

KnownDays = Callable[[Window, bool], Iterable[int]]
"""The days since 1970 of a window, whole ones, that TEAMS has, or has by project; ascending."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the window and the rollup that answers for it; None stands for the calls."""

    window: Window
    rollup: Rollup | None


def pieces(selection: Selection, grouping: Grouping, by_team: KnownDays) -> list[Piece]:
    """The window in disjoint parts, each with the cheapest source that can answer for it."""
    if is_by_team(selection, grouping) and not selection.window.is_empty:
        by_project = "project_id" in _wanted(selection, grouping)
        return [*_in_days(selection.window, by_team(selection.window, by_project))]
    # Days by project only for who asks by project: there may be as many projects as calls.
    chosen = (MODELS, HOURLY) if _can(HOURLY, selection, grouping) else (DAILY,)
    able = [rollup for rollup in chosen if _can(rollup, selection, grouping)]
    return _cut(selection.window, able)


def is_by_team(selection: Selection, grouping: Grouping) -> bool:
    """Whether TEAMS has what is asked for and no other rollup, as far as it knows its days."""
    return needs_calls(selection, grouping) and _can(TEAMS, selection, grouping)


def needs_calls(selection: Selection, grouping: Grouping) -> bool:
    """Whether no rollup has what is asked for, so that calls are read whatever the window is,
    where TEAMS does not know its days."""
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


def _in_days(window: Window, days: Iterable[int]) -> Iterator[Piece]:
    """The calls, but for runs of days that TEAMS has."""
    at_us = window.start_us
    for _, run in groupby(enumerate(days), lambda each: each[1] - each[0]):
        found = [day for _, day in run]
        known = Window(found[0] * DAY_US, (found[-1] + 1) * DAY_US)
        if at_us < known.start_us:
            yield Piece(Window(at_us, known.start_us), None)
        yield Piece(known, TEAMS)
        at_us = known.end_us
    if at_us < window.end_us:
        yield Piece(Window(at_us, window.end_us), None)


def _can(rollup: Rollup, selection: Selection, grouping: Grouping) -> bool:
    if any(dimension.tag is not None for dimension in grouping.dimensions):
        return False
    edges = (edge for made in grouping.buckets.values() for edge in made.edges)
    whole = all(edge % rollup.width_us == 0 for edge in edges)
    return whole and _wanted(selection, grouping) <= rollup.filters


def _wanted(selection: Selection, grouping: Grouping) -> frozenset[str]:
    """The names of the fields that are grouped and filtered by."""
    asked = (dimension.field.name for dimension in grouping.dimensions if dimension.field)
    return frozenset(asked).union(*map(fields_of, selection.conditions))
