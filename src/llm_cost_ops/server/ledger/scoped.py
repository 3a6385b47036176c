"""What the ledger holds of a scope in a window, to the last digit: where a budget begins to count,
and what proves that it counted right."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    true,
    union_all,
)

from llm_cost_ops.core.money import E10
from llm_cost_ops.core.period import DAY_US, HOUR_US, Window
from llm_cost_ops.core.scope import COLUMNS, METADATA, TAGS, Scope
from llm_cost_ops.server.db.dialects import exact_sum, floor_divide, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.tables import (
    rollup_daily,
    rollup_hourly,
    usage_corrections,
    usage_records,
)
from llm_cost_ops.server.spend.index import facts_of

_STORED = {name: "model_name" if name == "model" else name for name in COLUMNS}
_SUMMED = ("e10", "requests", "tokens", "unpriced")
_UNITS = (HOUR_US, HOUR_US // 12)
FEW = 8
"""Below this number of windows each is asked for alone."""
_IN_ROLLUP = frozenset({"provider", "model"})
_IN_DAILY = frozenset({"provider", "model", "project_id"})


@dataclass(slots=True)
class Sums:
    """Money in units of 1e-10 of one currency; all requests and tokens, those without a price, and
    those in other currencies."""

    e10: int = 0
    requests: int = 0
    tokens: int = 0
    unpriced: int = 0
    other_currency: int = 0

    def add(self, currency: str, row: Mapping[str, int], own: str) -> None:
        self.requests += row["requests"]
        self.tokens += row["tokens"]
        self.unpriced += row["unpriced"]
        if currency == own:
            self.e10 += row["e10"]
        else:
            self.other_currency += row["requests"]

    def plus(self, other: Sums) -> None:
        """Add what another window or scope holds."""
        self.e10 += other.e10
        self.requests += other.requests
        self.tokens += other.tokens
        self.unpriced += other.unpriced
        self.other_currency += other.other_currency


def sums(
    session: ReadSession,
    organization_id: str,
    scopes: Sequence[Scope],
    window: Window,
    currency: str,
    *,
    from_calls: bool = False,
) -> Sums:
    """The calls and corrections that any of the scopes holds. The hourly rollup answers where it
    can, because it moves with the ledger; `from_calls` asks the ledger itself."""
    found = Sums()
    if not from_calls and is_rolled_up(scopes, window):
        rows = _from_rollup(session, organization_id, scopes, window)
    else:
        rows = from_calls_in(session, organization_id, scopes, window)
    for its_currency, row in rows:
        found.add(its_currency, row, currency)
    return found


def series(
    session: ReadSession,
    organization_id: str,
    scopes: Sequence[Scope],
    windows: Sequence[Window],
    currency: str,
    *,
    from_calls: bool = False,
) -> dict[int, Sums]:
    """The sums of windows that do not overlap, by their start; in one query where they begin and
    end on whole hours or five minutes."""
    edges = {edge for window in windows for edge in (window.start_us, window.end_us)}
    unit = next((u for u in _UNITS if all(edge % u == 0 for edge in edges)), None)
    rolled_up = not from_calls and all(is_rolled_up(scopes, window) for window in windows)
    if rolled_up or len(windows) < FEW or unit is None:
        return {
            window.start_us: sums(
                session, organization_id, scopes, window, currency, from_calls=from_calls
            )
            for window in windows
        }
    found = {window.start_us: Sums() for window in windows}
    starts = sorted(found)
    ends = {window.start_us: window.end_us for window in windows}
    whole = Window(starts[0], max(ends.values()))
    for its_currency, row in from_calls_in(session, organization_id, scopes, whole, unit):
        at_us = row["unit"] * unit
        place = bisect_right(starts, at_us) - 1
        if at_us < ends[starts[place]]:
            found[starts[place]].add(its_currency, row, currency)
    return found


def breakdown(
    session: ReadSession,
    organization_id: str,
    scope: Scope,
    window: Window,
    currency: str,
    dimensions: Sequence[str],
) -> dict[tuple[str | None, ...], Sums]:
    """The sums of a scope in a window by the values of some dimensions (of `core.scope.COLUMNS`).
    The daily rollup answers for whole days of UTC where it knows the dimensions."""
    found: dict[tuple[str | None, ...], Sums] = {}
    named = {*dimensions, *(name for name, _ in scope.dimensions)}
    whole_days = window.start_us % DAY_US == 0 and window.end_us % DAY_US == 0
    if whole_days and named <= _IN_DAILY:
        rows = _days_by(session, organization_id, scope, window, dimensions)
    else:
        rows = _calls_by(session, organization_id, scope, window, dimensions)
    for values, its_currency, row in rows:
        found.setdefault(values, Sums()).add(its_currency, row, currency)
    return found


def _days_by(
    session: ReadSession,
    organization_id: str,
    scope: Scope,
    window: Window,
    dimensions: Sequence[str],
) -> Iterator[tuple[tuple[str | None, ...], str, dict[str, int]]]:
    table = rollup_daily.c
    names = ("cost_whole", "cost_fraction", "requests", "total_tokens", "unpriced")
    parts = [part for name in names for part in exact_sum(session.kind, table[name], name)]
    grain = [table[_STORED[name]] for name in dimensions]
    query = (
        select(table.currency, *grain, *parts)
        .where(
            table.organization_id == organization_id,
            table.bucket >= window.start_us // DAY_US,
            table.bucket < window.end_us // DAY_US,
            inside(table, [scope]),
        )
        .group_by(table.currency, *grain)
    )
    for row in session.execute(query).mappings():
        read = {name: read_sum(row, name) or 0 for name in names}
        yield (
            tuple(row[_STORED[name]] or None for name in dimensions),
            row["currency"],
            {
                "e10": read["cost_whole"] * E10 + read["cost_fraction"],
                "requests": read["requests"],
                "tokens": read["total_tokens"],
                "unpriced": read["unpriced"],
            },
        )


def _calls_by(
    session: ReadSession,
    organization_id: str,
    scope: Scope,
    window: Window,
    dimensions: Sequence[str],
) -> Iterator[tuple[tuple[str | None, ...], str, dict[str, int]]]:
    by_label = any(name == TAGS or name.startswith(METADATA) for name, _ in scope.dimensions)
    every = (*(_STORED[name] for name in COLUMNS), "tags", "metadata")
    labels = every if by_label else tuple(_STORED[name] for name in dimensions)
    query = _grouped(session, organization_id, [scope], window, labels, 0)
    for row in session.execute(query).mappings():
        if by_label and not scope.holds(facts_of(tuple(row[name] for name in every))):
            continue
        values = tuple(row[_STORED[name]] or None for name in dimensions)
        yield values, row["currency"], {name: read_sum(row, name) or 0 for name in _SUMMED}


def is_rolled_up(scopes: Sequence[Scope], window: Window) -> bool:
    whole_hours = window.start_us % HOUR_US == 0 and window.end_us % HOUR_US == 0
    return whole_hours and all(
        name in _IN_ROLLUP for scope in scopes for name, _ in scope.dimensions
    )


def _from_rollup(
    session: ReadSession, organization_id: str, scopes: Sequence[Scope], window: Window
) -> Iterator[tuple[str, dict[str, int]]]:
    table = rollup_hourly.c
    names = ("cost_whole", "cost_fraction", "requests", "total_tokens", "unpriced")
    parts = [part for name in names for part in exact_sum(session.kind, table[name], name)]
    query = (
        select(table.currency, *parts)
        .where(
            table.organization_id == organization_id,
            table.bucket >= window.start_us // HOUR_US,
            table.bucket < window.end_us // HOUR_US,
            inside(table, scopes),
        )
        .group_by(table.currency)
    )
    for row in session.execute(query).mappings():
        read = {name: read_sum(row, name) or 0 for name in names}
        yield (
            row["currency"],
            {
                "e10": read["cost_whole"] * E10 + read["cost_fraction"],
                "requests": read["requests"],
                "tokens": read["total_tokens"],
                "unpriced": read["unpriced"],
            },
        )


def from_calls_in(
    session: ReadSession,
    organization_id: str,
    scopes: Sequence[Scope],
    window: Window,
    unit_us: int = 0,
) -> Iterator[tuple[str, dict[str, int]]]:
    """Sums by currency, and by `unit` of time where one is given."""
    named = {name for scope in scopes for name, _ in scope.dimensions}
    by_label = any(name == TAGS or name.startswith(METADATA) for name in named)
    labels = (*(_STORED[name] for name in COLUMNS), "tags", "metadata") if by_label else ()
    query = _grouped(session, organization_id, scopes, window, labels, unit_us)
    for row in session.execute(query).mappings():
        if labels:
            facts = facts_of(tuple(row[name] for name in labels))
            if not any(scope.holds(facts) for scope in scopes):
                continue
        read = {name: read_sum(row, name) or 0 for name in _SUMMED}
        if unit_us:
            read["unit"] = int(row["unit"])
        yield row["currency"], read


def _grouped(
    session: ReadSession,
    organization_id: str,
    scopes: Sequence[Scope],
    window: Window,
    labels: Sequence[str],
    unit_us: int,
) -> Select[Any]:
    parts: list[Select[Any]] = []
    for columns, unpriced in (
        (usage_records.c, _without_price()),
        (usage_corrections.c, usage_corrections.c.unpriced),
    ):
        grain: list[ColumnElement[Any]] = [columns[name] for name in ("currency", *labels)]
        if unit_us:
            grain.append(floor_divide(session.kind, columns.timestamp, unit_us).label("unit"))
        parts.append(
            select(
                *grain,
                func.coalesce(columns.cost_e10, 0).label("e10"),
                columns.requests,
                columns.total_tokens.label("tokens"),
                unpriced.label("unpriced"),
            ).where(
                columns.organization_id == organization_id,
                columns.timestamp >= window.start_us,
                columns.timestamp < window.end_us,
                inside(columns, scopes),
            )
        )
    source: FromClause = union_all(*parts).subquery()
    names = ("currency", *labels, *(("unit",) if unit_us else ()))
    grain = [source.c[name] for name in names]
    added = [part for name in _SUMMED for part in exact_sum(session.kind, source.c[name], name)]
    return select(*grain, *added).group_by(*grain)


def _without_price() -> ColumnElement[Any]:
    return case((usage_records.c.cost_e10.is_(None), usage_records.c.requests), else_=0)


def inside(columns: Any, scopes: Sequence[Scope]) -> ColumnElement[bool]:
    """Rows of a table with the ledger's columns that a scope may hold; tags and metadata are looked
    at afterwards."""
    ways: list[ColumnElement[bool]] = []
    for scope in scopes:
        conditions = [
            columns[_STORED[name]].in_(sorted(values))
            for name, values in scope.dimensions
            if name in _STORED
        ]
        if not conditions:
            return true()
        ways.append(and_(*conditions))
    return or_(*ways)
