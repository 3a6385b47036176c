"""Groups of calls as the sections of one report read them: each read once, coarser ones summed.

A report asks for the same calls by team, by team and model, by day. Where rollups answer that is
nothing; where calls do, each answer is a walk through all of them, seconds for each million.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.analytics.groups import MAX_GROUPS, Groups, TooManyGroups, read_groups
from llm_cost_ops.server.analytics.pieces import needs_calls
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind

PART_CALLS = 100_000
_LONGEST_DAYS = 1_000
Dimensions = tuple[Dimension, ...]


@dataclass
class Sums:
    """What one report has read. `wide` are dimensions that its sections will ask for as well: where
    calls are read they are read with them at once, unless these are too many groups."""

    session: ReadSession
    wide: Dimensions = ()
    _known: dict[Window, list[tuple[Dimensions, Groups]]] = field(
        default_factory=dict[Window, "list[tuple[Dimensions, Groups]]"]
    )

    def read(self, selection: Selection, by: Grouping) -> Groups:
        """Totals by group and currency. Raises TooManyGroups."""
        known = self._known.setdefault(selection.window, [])
        for dimensions, groups in known:
            if _is_finer(dimensions, by.dimensions):
                return _summed(groups, dimensions, by.dimensions)
        wide = Grouping((*by.dimensions, *(d for d in self.wide if d not in by.dimensions)),
                        by.buckets)  # fmt: skip
        if not by.buckets and needs_calls(selection, by) and wide.dimensions != by.dimensions:
            try:
                known.append((wide.dimensions, self._read(selection, wide)))
            except TooManyGroups:
                self.wide = ()
            return self.read(selection, by)
        groups = self._read(selection, by)
        known.append((by.dimensions, groups))
        return groups

    def _read(self, selection: Selection, by: Grouping) -> Groups:
        if not needs_calls(selection, by):
            return read_groups(self.session, selection, by)
        found: Groups = {}
        for window in self._parts(selection):
            for key, totals in read_groups(self.session, selection.within(window), by).items():
                known = found.get(key)
                if known is None:
                    found[key] = totals
                else:
                    known.add(totals)
            if len(found) > MAX_GROUPS:
                raise TooManyGroups
        return {key: totals for key, totals in found.items() if not totals.is_nothing}

    def _parts(self, selection: Selection) -> Iterator[Window]:
        """SQLite sorts what it groups, and what fits into its memory is sorted in two thirds of the
        time. Other databases group by hashing."""
        window = selection.window
        parts, width = 1, window.end_us - window.start_us
        if self.session.kind is DatabaseKind.SQLITE and width <= _LONGEST_DAYS * DAY_US:
            every = replace(selection, conditions=())
            held = read_groups(self.session, every, Grouping((), {}))
            parts += sum(totals.requests for totals in held.values()) // PART_CALLS
        if parts == 1:
            yield window
            return
        step = -(-width // (parts * DAY_US)) * DAY_US
        start = window.start_us
        while start < window.end_us:  # parts begin with days of UTC, of which sums by team are
            end = min((start // DAY_US) * DAY_US + step, window.end_us)
            yield Window(start, end)
            start = end


def _is_finer(one: Sequence[Dimension], other: Sequence[Dimension]) -> bool:
    """Whether groups by one add up to groups by the other. Those of tags share calls."""
    more = [each for each in one if each not in other]
    return len(one) == len(other) + len(more) and all(each.tag is None for each in more)


def _summed(groups: Groups, dimensions: Dimensions, wanted: Dimensions) -> Groups:
    """Groups by fewer dimensions; the currency stays the last of each key."""
    places = [dimensions.index(each) for each in wanted]
    found: Groups = {}
    for key, totals in groups.items():
        short = (*(key[place] for place in places), key[-1])
        known = found.get(short)
        if known is None:
            found[short] = replace(totals)
        else:
            known.add(totals)
    return {key: totals for key, totals in found.items() if not totals.is_nothing}
