"""Which table answers a question: the rollups where they can, the calls themselves where not.

A rollup can when it has every field asked for, and when the buckets of time asked for are made of
whole rows of it. What a window begins or ends inside of a row comes from a finer one, at last from
the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table, func, select

from llm_cost_ops.core.period import DAY_US, HOUR_US, Window
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.tables import rollup_daily, rollup_hourly

HOURS = DAY_US // HOUR_US
_WORTH_A_LOOK_US = 3 * DAY_US
_MANY = 50_000
_HOUR_PRICE = {DatabaseKind.SQLITE: 3, DatabaseKind.MYSQL: 3, DatabaseKind.POSTGRESQL: 1}
"""How many rows of days take as long as one of hours: hours are sorted to make days of them, days
come sorted. PostgreSQL hashes, so there the rows are worth the same."""


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


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the window and the rollup that answers for it; None stands for the calls."""

    window: Window
    rollup: Rollup | None


def pieces(session: ReadSession, selection: Selection, grouping: Grouping) -> list[Piece]:
    """The window in disjoint parts, each with the cheapest source that can answer for it."""
    able = [rollup for rollup in (DAILY, HOURLY) if _can(rollup, selection, grouping)]
    if len(able) == 2 and not _days_are_fewer(session, selection):
        able.remove(DAILY)
    return _cut(selection.window, able)


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
    wanted |= {condition.field.name for condition in selection.conditions}
    edges = (edge for made in grouping.buckets.values() for edge in made.edges)
    return wanted <= rollup.filters and all(edge % rollup.width_us == 0 for edge in edges)


def _days_are_fewer(session: ReadSession, selection: Selection) -> bool:
    """Whether the days have fewer rows than the hours: they are apart by project, too, of which
    some have few and some one per call. The last whole day of the window tells."""
    window, organization_id = selection.window, selection.organization_id
    if window.end_us - window.start_us < _WORTH_A_LOOK_US:
        return False
    hours = rollup_hourly.c
    last = session.scalar(
        select(func.max(hours.bucket)).where(
            hours.organization_id == organization_id, hours.bucket < window.end_us // HOUR_US
        )
    )
    if last is None:
        return True
    day = max(int(last) // HOURS - 1, window.start_us // DAY_US)
    in_hours = _rows(session, rollup_hourly, organization_id, (day * HOURS, (day + 1) * HOURS))
    in_days = _rows(session, rollup_daily, organization_id, (day, day + 1))
    return in_days <= in_hours * _HOUR_PRICE[session.kind]


def _rows(
    session: ReadSession, table: Table, organization_id: str, between: tuple[int, int]
) -> int:
    own = select(table.c.bucket).where(
        table.c.organization_id == organization_id,
        table.c.bucket >= between[0],
        table.c.bucket < between[1],
    )
    return int(session.scalar(select(func.count()).select_from(own.limit(_MANY).subquery())))
