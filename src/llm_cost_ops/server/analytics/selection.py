"""What a read is about: the calls selected, and how they are grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from llm_cost_ops.core.buckets import Buckets, buckets
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.server.analytics.conditions import AnyOf, Condition
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.tables import rollup_models


@dataclass(frozen=True, slots=True)
class Selection:
    """The calls of one organization in a window that meet all conditions; days are the zone's."""

    organization_id: str
    window: Window
    zone: ZoneInfo
    conditions: tuple[Condition | AnyOf, ...] = ()

    def within(self, window: Window) -> Selection:
        return replace(self, window=window)

    def also(self, *conditions: Condition | AnyOf) -> Selection:
        return replace(self, conditions=(*self.conditions, *conditions))


@dataclass(frozen=True, slots=True)
class Grouping:
    """Dimensions in the order asked for, and the buckets of those that are of time."""

    dimensions: tuple[Dimension, ...]
    buckets: Mapping[str, Buckets]
    _labels: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])

    def label(self, grain: str, index: int) -> str:
        """The label of a bucket."""
        known = self._labels.get((grain, index))
        if known is None:
            known = self._labels[(grain, index)] = self.buckets[grain].label(index)
        return known


def grouping(
    session: ReadSession, selection: Selection, dimensions: Sequence[Dimension]
) -> tuple[Selection, Grouping]:
    """The grouping, and the selection it applies to: with buckets of time, no further than the
    organization's calls go. Raises PeriodError when there are too many buckets."""
    grains = {d.grain for d in dimensions if d.grain}
    if not grains:
        return selection, Grouping(tuple(dimensions), {})
    bounded = selection.within(selection.window.clip(_recorded(session, selection)))
    made = {grain: buckets(bounded.window, grain, bounded.zone) for grain in grains}
    return bounded, Grouping(tuple(dimensions), made)


def _recorded(session: ReadSession, selection: Selection) -> Window:
    """The days from the organization's first call to its last; whole ones, so that a window
    cut by them is made of whole rows of the rollups. Calls that retention removed are in those."""
    bucket = rollup_models.c.bucket
    own = rollup_models.c.organization_id == selection.organization_id
    # Two subqueries, because an index gives one end at a time.
    ends = [select(end(bucket)).where(own).scalar_subquery() for end in (func.min, func.max)]
    first, last = tuple(session.execute(select(*ends)).one())
    if first is None:
        return Window(0, 0)
    return Window(int(first) * DAY_US, (int(last) + 1) * DAY_US)
