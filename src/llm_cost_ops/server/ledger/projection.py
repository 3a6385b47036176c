"""The rollups of one day, computed from the ledger's rows: what `verify` compares and `rebuild`
writes.

Sums and extremes come at the finest grain (hour, provider, model, project, currency), from which
all rollups follow as they do when calls are recorded; or by team, of the whole day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    case,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)

from llm_cost_ops.server.db.dialects import exact_sum, floor_divide, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.rollup import DAY_US, HOUR_US, ROLLUPS, TOKENS, Delta, Key
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records

_COUNTS = ("requests", "unpriced", "partially_priced", *TOKENS)
_MONEY = ("cost_e10", "list_cost_e10")
Grain = tuple[str, ...]
HOURS: Grain = ("hour", "provider", "model_name", "project_id", "currency")
TEAMS: Grain = ("provider", "model_name", "team_id", "currency")
TEAM_PROJECTS: Grain = ("provider", "model_name", "project_id", "team_id", "currency")
_Columns = Mapping[str, ColumnElement[Any]]


def active_days(session: ReadSession, organization_id: str) -> Iterator[int]:
    """Days since 1970 on which the ledger or a rollup has rows, ascending."""
    day = 0
    while True:
        found = [d for d in _first_days(session, organization_id, day) if d is not None]
        if not found:
            return
        day = min(found)
        yield day
        day += 1


def _first_days(session: ReadSession, organization_id: str, day: int) -> Iterator[int | None]:
    """For each table the first day from `day` on that it has a row for."""
    sources = (
        (usage_records.c.timestamp, DAY_US),
        (usage_corrections.c.timestamp, DAY_US),
        *((rollup.table.c.bucket, rollup.buckets) for rollup in ROLLUPS),
    )
    for column, width in sources:
        table = column.table
        first = session.scalar(
            select(func.min(column)).where(
                table.c.organization_id == organization_id, column >= day * width
            )
        )
        yield None if first is None else int(first) // width


def organizations_with_rows(session: ReadSession) -> list[str]:
    """Every organization id that the ledger or a rollup names, known or not."""
    found: set[str] = set()
    for table in (usage_records, usage_corrections, *(rollup.table for rollup in ROLLUPS)):
        column = table.c.organization_id
        last = session.scalar(select(func.min(column)))
        while last is not None:
            found.add(last)
            last = session.scalar(select(func.min(column)).where(column > last))
    return sorted(found)


class TooFine(Exception):
    """The groups of a day are more than they may be."""


def day_deltas(
    session: ReadSession,
    organization_id: str,
    day: int,
    grain: Grain = HOURS,
    most: int | None = None,
) -> dict[Key, Delta]:
    """What the calls and corrections of a day add up to, by organization and grain; by default the
    keys of `rollup.deltas_of`. Raises TooFine for more than `most` groups."""
    corrected = _any_corrections(session, organization_id, day)
    groups: dict[Key, Delta] = {}
    sums = _sums(session.kind, organization_id, day, corrected, grain)
    if most is not None:
        sums = sums.limit(most + 1)
    for row in session.execute(sums).mappings():
        delta = Delta()
        delta.counts = [read_sum(row, name) or 0 for name in _COUNTS]
        delta.cost, delta.list_cost = (read_sum(row, name) or 0 for name in _MONEY)
        groups[_key(organization_id, row, grain)] = delta
    if most is not None and len(groups) > most:
        raise TooFine
    for key, low, high in day_extremes(session, organization_id, day, grain, corrected=corrected):
        groups[key].widen(low, high)
    return groups


def day_extremes(
    session: ReadSession,
    organization_id: str,
    day: int,
    grain: Grain = HOURS,
    *,
    corrected: bool = True,
) -> Iterator[tuple[Key, int, int]]:
    """Smallest and largest net cost of the priced calls that stand, by key."""
    statements = [_plain_extremes(session.kind, organization_id, day, corrected, grain)]
    if corrected:
        statements.append(_corrected_extremes(session.kind, organization_id, day, grain))
    for statement in statements:
        for row in session.execute(statement).mappings():
            yield _key(organization_id, row, grain), int(row["low"]), int(row["high"])


def _key(organization_id: str, row: Mapping[Any, Any], grain: Grain) -> Key:
    return (organization_id, *(row[name] for name in grain))


def _any_corrections(session: ReadSession, organization_id: str, day: int) -> bool:
    table = usage_corrections
    query = select(table.c.id).where(*_of_day(table.c, organization_id, day)).limit(1)
    return session.execute(query).first() is not None


def _of_day(columns: Any, organization_id: str, day: int) -> tuple[ColumnElement[bool], ...]:
    return (
        columns.organization_id == organization_id,
        columns.timestamp >= day * DAY_US,
        columns.timestamp < (day + 1) * DAY_US,
    )


def _grained(kind: DatabaseKind, columns: Any, grain: Grain) -> list[ColumnElement[Any]]:
    made = {
        "hour": floor_divide(kind, columns.timestamp, HOUR_US),
        "project_id": func.coalesce(columns.project_id, ""),
        "team_id": func.coalesce(columns.team_id, ""),
    }
    return [made[name].label(name) if name in made else columns[name] for name in grain]


def _sums(
    kind: DatabaseKind, organization_id: str, day: int, corrected: bool, grain: Grain
) -> Select[Any]:
    calls = select(*_grained(kind, usage_records.c, grain), *_call_measures().values()).where(
        *_of_day(usage_records.c, organization_id, day)
    )
    source: FromClause = calls.subquery()
    if corrected:
        columns = usage_corrections.c
        corrections = select(
            *_grained(kind, columns, grain), *(columns[name] for name in (*_COUNTS, *_MONEY))
        ).where(*_of_day(columns, organization_id, day))
        source = union_all(calls, corrections).subquery()
    keys = [source.c[name] for name in grain]
    sums = [part for name in (*_COUNTS, *_MONEY) for part in exact_sum(kind, source.c[name], name)]
    return select(*keys, *sums).group_by(*keys)


def _call_measures() -> _Columns:
    columns = usage_records.c
    nothing = literal_column("0", BigInteger())
    measures: dict[str, ColumnElement[Any]] = {
        "requests": columns.requests,
        "unpriced": case((columns.cost_e10.is_(None), columns.requests), else_=nothing),
        "partially_priced": case(
            (columns.cost_status == "partially_priced", columns.requests), else_=nothing
        ),
        **{name: columns[name] for name in TOKENS},
        "cost_e10": func.coalesce(columns.cost_e10, 0),
        "list_cost_e10": func.coalesce(columns.list_cost_e10, columns.cost_e10, 0),
    }
    return {name: column.label(name) for name, column in measures.items()}


def _plain_extremes(
    kind: DatabaseKind, organization_id: str, day: int, corrected: bool, grain: Grain
) -> Select[Any]:
    columns = usage_records.c
    inner = select(*_grained(kind, columns, grain), columns.cost_e10).where(
        *_of_day(columns, organization_id, day), columns.cost_e10.is_not(None)
    )
    if corrected:
        correction = select(usage_corrections.c.id).where(
            usage_corrections.c.record_id == columns.id
        )
        inner = inner.where(~correction.exists())
    return _extremes_of(inner.subquery(), "cost_e10", grain)


def _corrected_extremes(
    kind: DatabaseKind, organization_id: str, day: int, grain: Grain
) -> Select[Any]:
    """A call and its corrections together cost something in the currency of the last of these,
    unless that took the call back or its price away."""
    records, corrections = usage_records.c, usage_corrections.c
    here = _of_day(corrections, organization_id, day)
    last = select(func.max(corrections.id)).where(*here).group_by(corrections.record_id)
    standing = select(corrections.record_id, corrections.currency).where(
        corrections.id.in_(last), corrections.kind != "void", corrections.cost_status != "unpriced"
    )
    calls = select(
        records.id.label("record_id"),
        *_grained(kind, records, grain),
        _call_measures()["cost_e10"],
    ).where(
        *_of_day(records, organization_id, day), tuple_(records.id, records.currency).in_(standing)
    )
    changes = select(
        corrections.record_id, *_grained(kind, corrections, grain), corrections.cost_e10
    ).where(*here, tuple_(corrections.record_id, corrections.currency).in_(standing))
    both = union_all(calls, changes).subquery()
    keys = [both.c[name] for name in ("record_id", *grain)]
    net = select(*keys, func.sum(both.c.cost_e10).label("net")).group_by(*keys).subquery()
    return _extremes_of(net, "net", grain)


def _extremes_of(source: FromClause, name: str, grain: Grain) -> Select[Any]:
    keys = [source.c[column] for column in grain]
    value = source.c[name]
    low, high = func.min(value).label("low"), func.max(value).label("high")
    return select(*keys, low, high).group_by(*keys)
