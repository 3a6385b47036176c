"""Sums by team of days that are over: made by the worker, answered from while nothing has changed.

No call adds to them: that would be one more statement for every batch recorded. Whether a day is
still what it was is told by the requests in `rollup_models`, the number of its corrections and, of
its calls that count no request, the number in `uncounted_calls`. Calls and corrections are only
ever added, and teams of calls never change: each call that comes moves one of the three up, and
what takes one down is a correction, which moves another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select

from llm_cost_ops.server.db.dialects import exact_sum, floor_divide, read_sum, upsert_add
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, report
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.projection import TEAM_PROJECTS, TEAMS, TooFine, day_deltas
from llm_cost_ops.server.ledger.rollup import DAY_US, Delta, Key, rows_of
from llm_cost_ops.server.ledger.tables import (
    rollup_models,
    rollup_teams,
    team_days,
    uncounted_calls,
    usage_corrections,
)

PROJECT, TEAM, NONE = "project", "team", "none"
KEYS = {PROJECT: ("organization_id", *TEAM_PROJECTS), TEAM: ("organization_id", *TEAMS)}
"""What is summed apart, by the grain of a day; the finest that is not too fine is taken."""
MOST_LINES = 20_000
"""Of one day and grain. With more, or with hardly fewer than calls, these are read."""
FEW_LINES = 1_000
_CALLS_TO_A_LINE = 10
_DAY = team_days.c
_LINE = rollup_teams.c
_MODEL = rollup_models.c
_CORRECTION = usage_corrections.c
_UNCOUNTED = uncounted_calls.c

Write = Callable[[Callable[[WriteSession], object]], object]
Days = tuple[int, int]
"""From a day to before another one."""
EVER: Days = (-100_000_000, 100_000_000)
"""In microseconds it fits into 64 bits."""


def known_days(
    session: ReadSession, organization_id: str, days: Days = EVER, grains: Sequence[str] = (*KEYS,)
) -> dict[int, str]:
    """The days whose rows of `rollup_teams` are what their calls add up to, ascending, with their
    grains, which are of those given; of closed days none."""
    query = select(_DAY.day, _DAY.state, _DAY.grain).where(
        *_within(_DAY.organization_id, _DAY.day, organization_id, days), _DAY.grain.in_(grains)
    )
    stored = {int(row[0]): row for row in _rows(session, query)}
    if not stored:
        return {}
    true = _states(session, organization_id, (min(stored), max(stored) + 1))
    known = (day for day, row in stored.items() if true.get(day) == row[1])
    return {day: str(stored[day][2]) for day in sorted(known)}


def day_sums(session: ReadSession, organization_id: str, day: int, grain: str) -> dict[Key, Delta]:
    """What the calls of a day add up to by the names of a grain's key. Raises TooFine."""
    groups = day_deltas(session, organization_id, day, KEYS[grain][1:], MOST_LINES)
    calls = sum(delta.counts[0] for delta in groups.values())
    if len(groups) > FEW_LINES and len(groups) * _CALLS_TO_A_LINE > calls:
        raise TooFine
    return groups


def make(database: Database, organization_id: str, before_day: int, write: Write) -> Iterator[int]:
    """Make the sums of the days before another one that have none or changed since; yields each
    day when it is written. `write` commits a part of the work."""
    with report(database) as session:
        due = _due(session, organization_id, before_day)
    for day in due:
        with report(database) as session:  # one view of the ledger: the state is that of these sums
            state = _states(session, organization_id, (day, day + 1)).get(day)
            if state is None:  # closed meanwhile: some of its calls may be gone
                continue
            grain, groups = _finest(session, organization_id, day)
        write(_storing({"organization_id": organization_id, "day": day, "state": state,
                        "grain": grain}, groups))  # fmt: skip
        yield day


def forget(session: WriteSession, organization_id: str, day: int | None = None) -> None:
    """Remove the sums by team of a day, or of all."""
    for own, column in ((_DAY.organization_id, _DAY.day), (_LINE.organization_id, _LINE.bucket)):
        mine = [own == organization_id, *(() if day is None else (column == day,))]
        session.execute(delete(column.table).where(*mine))


def note_uncounted(session: WriteSession, entries: Iterable[Entry]) -> None:
    """Count the new calls that count no request, of which the sums of requests do not tell."""
    found = Counter(
        (each.organization_id, each.timestamp // DAY_US) for each in entries if not each.requests
    )
    if not found:
        return
    rows = [
        {"organization_id": organization_id, "day": day, "calls": found[organization_id, day]}
        for organization_id, day in sorted(found)
    ]
    key = ("organization_id", "day")
    session.execute(upsert_add(session.kind, uncounted_calls, key, ("calls",)), rows)


def _due(session: ReadSession, organization_id: str, before_day: int) -> list[int]:
    true = _states(session, organization_id, (EVER[0], before_day))
    query = select(_DAY.day, _DAY.state).where(_DAY.organization_id == organization_id)
    stored = {int(day): str(state) for day, state in _rows(session, query)}
    return [day for day in sorted(true) if true[day] != stored.get(day)]


def _finest(session: ReadSession, organization_id: str, day: int) -> tuple[str, dict[Key, Delta]]:
    for grain in KEYS:
        try:
            return grain, day_sums(session, organization_id, day, grain)
        except TooFine:
            continue
    return NONE, {}


def _storing(row: dict[str, Any], groups: Mapping[Key, Delta]) -> Callable[[WriteSession], None]:
    day = row["day"]
    found = rows_of(KEYS[row["grain"]], groups) if groups else []
    lines = [
        {"project_id": "", **line, "bucket": day, "place": place}
        for place, line in enumerate(found)
    ]

    def store(session: WriteSession) -> None:
        forget(session, row["organization_id"], day)
        session.execute(insert(team_days), row)
        if lines:
            session.execute(insert(rollup_teams), lines)

    return store


def _states(session: ReadSession, organization_id: str, days: Days) -> dict[int, str]:
    """How many requests, corrections and uncounted calls each day has now, as a text; none of
    closed days, whose sums stay while their calls are removed.

    Requests are read first: where each statement sees a state of its own, requests that were there
    by then and that a correction has taken back since are still told by the correction.
    """
    query = select(_MODEL.bucket, *exact_sum(session.kind, _MODEL.requests, "requests"))
    held = _within(_MODEL.organization_id, _MODEL.bucket, organization_id, days)
    sums = session.execute(query.where(*held).group_by(_MODEL.bucket)).mappings().all()
    day = floor_divide(session.kind, _CORRECTION.timestamp, DAY_US).label("day")
    first, end = days
    instants = first * DAY_US, end * DAY_US
    ours = _within(_CORRECTION.organization_id, _CORRECTION.timestamp, organization_id, instants)
    corrections = _by_day(session, select(day, func.count()).where(*ours).group_by(day))
    mine = _within(_UNCOUNTED.organization_id, _UNCOUNTED.day, organization_id, days)
    uncounted = _by_day(session, select(_UNCOUNTED.day, _UNCOUNTED.calls).where(*mine))
    closed = closed_of(session, organization_id)
    found: dict[int, str] = {}
    for row in sums:
        at = int(row["bucket"])
        if at not in closed:
            counts = (read_sum(row, "requests"), corrections.get(at, 0), uncounted.get(at, 0))
            found[at] = "/".join(map(str, counts))
    return found


def _by_day(session: ReadSession, query: Any) -> dict[int, int]:
    return {int(day): int(number) for day, number in _rows(session, query)}


def _within(
    own: ColumnElement[Any], at: ColumnElement[Any], organization_id: str, bounds: tuple[int, int]
) -> tuple[ColumnElement[bool], ...]:
    return own == organization_id, at >= bounds[0], at < bounds[1]


def _rows(session: ReadSession, query: Any) -> Sequence[Any]:
    return session.execute(query).all()
