"""What a read is about: the calls selected, and how they are grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from llm_cost_ops.core.buckets import Buckets, buckets
from llm_cost_ops.core.period import ALL_TIME, Window
from llm_cost_ops.server.analytics.conditions import Condition
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.tables import usage_records


@dataclass(frozen=True, slots=True)
class Selection:
    """The calls of one organization in a window that meet all conditions; days are the zone's."""

    organization_id: str
    window: Window
    zone: ZoneInfo
    conditions: tuple[Condition, ...] = ()

    def within(self, window: Window) -> Selection:
        return replace(self, window=window)

    def also(self, *conditions: Condition) -> Selection:
        return replace(self, conditions=(*self.conditions, *conditions))


@dataclass(frozen=True, slots=True)
class Grouping:
    """Dimensions in the order asked for, and the buckets of those that are of time."""

    dimensions: tuple[Dimension, ...]
    buckets: Mapping[str, Buckets]


def grouping(
    session: ReadSession, selection: Selection, dimensions: Sequence[Dimension]
) -> tuple[Selection, Grouping]:
    """The grouping, and the selection it applies to: with buckets of time, an open window ends
    where the organization's calls do. Raises PeriodError when there are too many buckets."""
    grains = {d.grain for d in dimensions if d.grain}
    if not grains:
        return selection, Grouping(tuple(dimensions), {})
    bounded = bound(session, selection)
    made = {grain: buckets(bounded.window, grain, bounded.zone) for grain in grains}
    return bounded, Grouping(tuple(dimensions), made)


def bound(session: ReadSession, selection: Selection) -> Selection:
    """The selection with an open start or end moved to the organization's first or last call."""
    window = selection.window
    if window.start_us > ALL_TIME.start_us and window.end_us < ALL_TIME.end_us:
        return selection
    timestamp = usage_records.c.timestamp
    own = usage_records.c.organization_id == selection.organization_id
    # Two subqueries, because an index gives one end at a time.
    ends = [select(end(timestamp)).where(own).scalar_subquery() for end in (func.min, func.max)]
    first, last = tuple(session.execute(select(*ends)).one())
    if first is None:
        return selection.within(Window(window.start_us, window.start_us))
    start, end = window.start_us, window.end_us
    if start == ALL_TIME.start_us:
        start = int(first)
    if end == ALL_TIME.end_us:
        end = int(last) + 1
    return selection.within(Window(start, max(start, end)))
