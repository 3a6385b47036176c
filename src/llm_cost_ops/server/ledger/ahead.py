"""Sums of the ledger that are taken before its organization is held, and completed when it is.

The ledger only grows, but for the labels of single calls. So the sums of a span of time still hold
when it has as many calls and corrections as before, and no call was labelled anew meanwhile. Who
holds the organization's budgets alone counts rows, and sums those spans only that have more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text

from llm_cost_ops.core.period import HOUR_US, Window
from llm_cost_ops.core.scope import Scope
from llm_cost_ops.server.audit.tables import RARE, audit_log
from llm_cost_ops.server.db.dialects import floor_divide
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.amend import RELABELS
from llm_cost_ops.server.ledger.scoped import Sums, from_calls_in, is_rolled_up
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records

UNITS = (HOUR_US // 60, HOUR_US // 12, HOUR_US)
MAX_SPANS = 10_000
MAX_RUNS = 50
"""With more separate spans that have changed, everything is summed again."""
_Cells = dict[int, list[tuple[str, dict[str, int]]]]
_Counts = dict[int, tuple[int, int]]


@dataclass(slots=True)
class _Seen:
    """By span of `unit` microseconds: sums by currency, and how many calls and corrections."""

    unit: int
    whole: Window
    cells: _Cells
    counts: _Counts
    relabelled: tuple[int, int]


class Ahead:
    """What was seen of the ledger of organizations, by scopes and windows."""

    def __init__(self) -> None:
        self._seen: dict[object, _Seen] = {}

    def look(
        self,
        session: ReadSession,
        organization_id: str,
        scopes: Sequence[Scope],
        windows: Sequence[Window],
    ) -> None:
        """Sum what `series` will be asked for. All statements of the session see one state. Where
        rollups answer, or the windows begin or end within a minute, nothing is kept."""
        unit = _unit(windows)
        if unit == 0 or all(is_rolled_up(scopes, window) for window in windows):
            return
        whole = Window(windows[0].start_us, windows[-1].end_us)
        cells: _Cells = {}
        for currency, row in from_calls_in(session, organization_id, scopes, whole, unit):
            cells.setdefault(row["unit"], []).append((currency, row))
        self._seen[(organization_id, tuple(scopes), tuple(windows))] = _Seen(
            unit,
            whole,
            cells,
            _counts(session, organization_id, whole, unit),
            _relabelled(session, organization_id),
        )

    def series(
        self,
        session: ReadSession,
        organization_id: str,
        scopes: Sequence[Scope],
        windows: Sequence[Window],
        currency: str,
    ) -> dict[int, Sums] | None:
        """As `scoped.series`, of what the ledger holds now; None when it was not looked at, or has
        changed too much. The caller holds the organization's budgets alone."""
        seen = self._seen.get((organization_id, tuple(scopes), tuple(windows)))
        if seen is None or _relabelled(session, organization_id) != seen.relabelled:
            return None
        counts = _counts(session, organization_id, seen.whole, seen.unit)
        changed = {span for span, count in counts.items() if seen.counts.get(span) != count}
        runs = _runs(changed, seen.unit)
        if len(runs) > MAX_RUNS or seen.counts.keys() - counts.keys():
            return None
        cells = {span: rows for span, rows in seen.cells.items() if span not in changed}
        for run in runs:
            for its_currency, row in from_calls_in(
                session, organization_id, scopes, run, seen.unit
            ):
                cells.setdefault(row["unit"], []).append((its_currency, row))
        return _by_window(cells, seen.unit, windows, currency)


def _unit(windows: Sequence[Window]) -> int:
    """The smallest unit that the windows, which follow each other, begin and end with and that
    makes no more than `MAX_SPANS` of them; 0 when there is none."""
    if not windows:
        return 0
    edges = [edge for window in windows for edge in (window.start_us, window.end_us)]
    long_us = edges[-1] - edges[0]
    fitting = (
        unit
        for unit in UNITS
        if long_us <= unit * MAX_SPANS and all(edge % unit == 0 for edge in edges)
    )
    return next(fitting, 0)


def _counts(session: ReadSession, organization_id: str, whole: Window, unit: int) -> _Counts:
    found: list[dict[int, int]] = []
    for columns in (usage_records.c, usage_corrections.c):
        span = floor_divide(session.kind, columns.timestamp, unit).label("span")
        query = (
            select(span, func.count().label("entries"))
            .where(
                columns.organization_id == organization_id,
                columns.timestamp >= whole.start_us,
                columns.timestamp < whole.end_us,
            )
            .group_by(span)
        )
        found.append({int(row.span): int(row.entries) for row in session.execute(query)})
    calls, corrections = found
    return {
        span: (calls.get(span, 0), corrections.get(span, 0))
        for span in calls.keys() | corrections.keys()
    }


def _relabelled(session: ReadSession, organization_id: str) -> tuple[int, int]:
    """How often calls were labelled anew, which the audit log tells and nothing else does, and the
    place of the last time: entries that are old may be removed."""
    last = func.max(audit_log.c.seq)
    query = select(func.count().label("times"), last.label("last")).where(
        audit_log.c.organization_id == organization_id,
        audit_log.c.action == RELABELS,
        text(RARE),
    )
    row = session.execute(query).one()
    return int(row.times), int(row.last or 0)


def _runs(spans: set[int], unit: int) -> list[Window]:
    """Spans that follow each other as one window."""
    runs: list[Window] = []
    for span in sorted(spans):
        start_us = span * unit
        if runs and runs[-1].end_us == start_us:
            start_us = runs.pop().start_us
        runs.append(Window(start_us, (span + 1) * unit))
    return runs


def _by_window(
    cells: _Cells, unit: int, windows: Sequence[Window], currency: str
) -> dict[int, Sums]:
    found = {window.start_us: Sums() for window in windows}
    starts = [window.start_us for window in windows]
    for span, rows in cells.items():
        window = windows[bisect_right(starts, span * unit) - 1]
        if span * unit < window.end_us:
            for its_currency, row in rows:
                found[window.start_us].add(its_currency, row, currency)
    return found
