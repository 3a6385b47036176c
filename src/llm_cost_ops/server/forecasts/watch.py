"""Anomalies as they happen: the newest whole hours and days of what an organization spends, in all
and by its dearest providers, models and (by the day) projects, judged from the rollups.

Each run judges the newest hours and days again, because calls and imports come late, and those
since the last run where that is longer ago; a place and bucket is stored once, and the first
verdict stands. A value that has just appeared is learnt from before it is judged, and what differs
by less than the least amount is no anomaly.

One episode is told of once: anomalies of one place and side that follow one another within a day
(three days of days) belong to the first, and so does a day to an anomaly of one of its hours.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from llm_cost_ops.anomalies import Options
from llm_cost_ops.anomalies.rhythm import RHYTHMS
from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.ids import batch_ids, batch_stem
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import E10, from_e10
from llm_cost_ops.core.period import DAY_US, HOUR_US, Window, time_zone
from llm_cost_ops.server.analytics.conditions import Condition
from llm_cost_ops.server.analytics.fields import Dimension, find_field
from llm_cost_ops.server.analytics.groups import TooManyGroups, read_groups
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import BASE
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, WriteSession, report
from llm_cost_ops.server.forecasts import bar, cause, store, wire
from llm_cost_ops.server.forecasts.examine import ALL, TOTAL, flagged
from llm_cost_ops.server.forecasts.history import NONE, History, Line, read_history
from llm_cost_ops.server.forecasts.terms import Examination
from llm_cost_ops.server.identity.organizations import Organization
from llm_cost_ops.server.queue.outbox import Event, publish

TOPIC = "cost.anomaly_detected"
WATCHED: Mapping[str, tuple[str, ...]] = {
    "hour": (TOTAL, "provider", "model"),
    "day": (TOTAL, "provider", "model", "project_id"),
}
TOP = 20
SETTLE_US = 5 * 60 * 1_000_000
"""How long after its end a bucket is left to calls that are still being sent."""
NEWEST_US = {"hour": 48 * HOUR_US, "day": 7 * DAY_US}
FURTHEST_US = {"hour": 14 * DAY_US, "day": 60 * DAY_US}
"""What is judged at most after a time without a worker."""
EPISODE_US = {"hour": DAY_US, "day": 3 * DAY_US}
METHOD = "auto"
MAX_EXPLAINED = 50
"""Of the anomalies of one run, those whose causes are looked for at once; the others' are told when
somebody asks."""
MOST_SCORE_E4 = 10**15
_ENTROPY_BITS = 60
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watching:
    """How an organization is watched: what must be at risk, and how readily something is flagged.
    A day's least amount is that of an hour times `day_factor`."""

    min_amount: Decimal
    sensitivity: str = "medium"
    day_factor: int = 5

    def options(self, step: str) -> Options:
        least = self.min_amount * (self.day_factor if step == "day" else 1)
        return Options(METHOD, None, self.sensitivity, least)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A history, what it is examined by, from when on, and the lines of it that are judged:
    (value, line)."""

    history: History
    begin_us: int
    asked: Examination
    dimension: str
    lines: tuple[tuple[str, Line], ...]


def judge(
    database: Database,
    organization: Organization,
    watching: Watching,
    steps: Iterable[str],
    now_us: int,
    since_us: int | None = None,
) -> list[Row]:
    """The anomalies of the newest buckets, and of those since an instant, as rows to store, without
    those that are stored; the first `MAX_EXPLAINED` of them with their causes. No connection is
    held while it judges."""
    begins = {step: _begin(step, now_us, since_us) for step in steps}
    with report(database) as session:
        earliest = min(begins.values(), default=now_us) - DAY_US
        known = {_place(row) for row in store.anomalies_since(session, organization.id, earliest)}
        said_us = now_us - bar.LASTS_DAYS * DAY_US
        bars = bar.bars_of(store.feedback(session, organization.id, said_us))
        watched = [
            each
            for step, begin_us in begins.items()
            for name in WATCHED[step]
            if (each := _watched(session, organization, watching, step, name, begin_us, now_us))
        ]
    found = [row for each in watched for row in _judged(each, bars, now_us)]
    rows = [row for row in found if _place(row) not in known]
    rows.sort(key=_order)
    if not rows:
        return []
    with report(database) as session:
        explained = [_explained(session, organization, row) for row in rows[:MAX_EXPLAINED]]
    return [*explained, *({**row, "causes": None} for row in rows[MAX_EXPLAINED:])]


def _begin(step: str, now_us: int, since_us: int | None) -> int:
    """The first instant whose buckets are judged."""
    newest_us = now_us - NEWEST_US[step]
    return max(min(newest_us, since_us or newest_us), now_us - FURTHEST_US[step])


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in store.PLACE if name != "organization_id")


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is told of first: the earliest bucket, and in it the total."""
    return row["bucket_start"], row["dimension"] != TOTAL


def _watched(
    session: ReadSession,
    organization: Organization,
    watching: Watching,
    step: str,
    name: str,
    begin_us: int,
    now_us: int,
) -> _Watched | None:
    options = watching.options(step)
    selection = _selection(organization, step, begin_us, now_us)
    by = () if name == TOTAL else (Dimension(name, find_field(name)),)
    try:
        if by:
            selection = selection.also(*_dearest(session, selection, by[0]))
        asked = Examination(selection, step, by, options, None, explain=False)
        history = read_history(session, selection, step, by, now_us=now_us - SETTLE_US)
    except (InsufficientData, TooManyGroups):
        return None
    lines = ((ALL if name == TOTAL else line.values[0], line) for line in history.lines)
    judged = tuple((v, line) for v, line in lines if v != NONE and _is_judged(line, options))
    return _Watched(history, begin_us, asked, name, judged)


def _judged(watched: _Watched, bars: bar.Bars, now_us: int) -> Iterator[Row]:
    step = watched.asked.step
    for value, line in watched.lines:
        place = (step, watched.dimension, value, line.currency)
        for index, anomaly in flagged(watched.history, line, watched.asked, watched.begin_us):
            if bar.is_above(anomaly, place, bars):
                yield _row(watched.history, index, place, anomaly, now_us)


def _selection(organization: Organization, step: str, begin_us: int, now_us: int) -> Selection:
    rhythm = RHYTHMS[step]
    width = HOUR_US if step == "hour" else DAY_US
    learnt_us = (rhythm.memory + rhythm.least) * width
    window = Window((begin_us - learnt_us) // DAY_US * DAY_US, now_us)
    return Selection(organization.id, window, time_zone(organization.time_zone))


def _dearest(session: ReadSession, selection: Selection, by: Dimension) -> Iterator[Condition]:
    """The values that cost most, whatever the currency."""
    groups = read_groups(session, selection, Grouping((by,), {}), BASE)
    costs: dict[str, int] = {}
    for key, totals in groups.items():
        if key[0] is not None:
            costs[key[0]] = costs.get(key[0], 0) + totals.cost
    dearest = sorted(costs, key=lambda value: (-costs[value], value))[:TOP]
    if by.field is not None and dearest:
        yield Condition(by.field, "in", tuple(dearest))


def _is_judged(line: Line, options: Options) -> bool:
    """Whether a value of the line can be as far off as the least amount at all."""
    priced = [totals for totals in line.totals.values() if not totals.is_unpriced]
    return bool(priced) and from_e10(max(t.cost for t in priced)) >= options.min_amount


def _row(
    history: History, index: int, place: tuple[str, str, str, str], found: Any, now_us: int
) -> Row:
    window = history.window(index, index + 1)
    amounts = {
        "actual_e10": found.actual_cost,
        "expected_e10": found.expected_cost,
        "lower_e10": found.lower,
        "upper_e10": found.upper,
    }
    return {
        **dict(zip(("frequency", "dimension", "value", "currency"), place, strict=True)),
        "bucket_start": window.start_us,
        "bucket_end": window.end_us,
        "date": found.date,
        **{name: round(Fraction(value) * E10) for name, value in amounts.items()},
        "score_e4": min(round(Fraction(found.score) * 10_000), MOST_SCORE_E4),
        "severity": found.severity,
        "method": METHOD,
        "found_at": now_us,
    }


def _explained(session: ReadSession, organization: Organization, row: Row) -> Row:
    try:
        causes = dumps(cause.causes_of(session, jump_of(organization, row)))
    except TooManyGroups:  # the anomaly stands without its causes
        causes = None
    return {**row, "causes": causes}


def jump_of(organization: Organization, row: Mapping[str, Any]) -> cause.Jump:
    """The jump that a stored anomaly is about."""
    step: str = row["frequency"]
    window = Window(int(row["bucket_start"]), int(row["bucket_end"]))
    selection = Selection(organization.id, window, time_zone(organization.time_zone))
    field = find_field(row["dimension"])
    if row["dimension"] != TOTAL and field is not None:
        selection = selection.also(Condition(field, "in", (row["value"],)))
    return cause.Jump(selection, step, window, row["currency"], from_e10(int(row["expected_e10"])))


def keep(session: WriteSession, organization_id: str, found: Iterable[Row], now_us: int) -> int:
    """Store anomalies that are new, and tell of those that begin an episode in the same
    transaction; how many were stored."""
    rows = sorted(found, key=_order)
    if not rows:
        return 0
    stem = batch_stem("ano", now_us // 1_000, secrets.randbits(_ENTROPY_BITS))
    since_us = rows[0]["bucket_start"] - max(EPISODE_US.values())
    earlier = store.anomalies_since(session, organization_id, since_us)
    placed: list[Row] = []
    for row, anomaly_id in zip(rows, batch_ids(stem, len(rows)), strict=True):
        made = {**row, "id": anomaly_id, "organization_id": organization_id}
        before = [*earlier, *placed]
        made["parent_id"] = _parent(made, before)
        made["episode_id"] = _episode(made, before) or anomaly_id
        placed.append(made)
    stored = store.add_anomalies(session, organization_id, placed)
    told = [row for row in placed if row["id"] in stored and row["episode_id"] == row["id"]]
    store.mark_told(session, organization_id, [row["id"] for row in told])
    events = [Event(organization_id, TOPIC, wire.event(row)) for row in told]
    publish(session, events, now_us=now_us)
    return len(stored)


def _parent(row: Row, before: Iterable[Mapping[str, Any]]) -> str | None:
    """The anomaly of the total in the same bucket."""
    if row["dimension"] == TOTAL:
        return None
    same = ("frequency", "currency", "bucket_start")
    return next(
        (
            other["id"]
            for other in before
            if other["dimension"] == TOTAL and all(other[n] == row[n] for n in same)
        ),
        None,
    )


def _episode(row: Row, before: Iterable[Mapping[str, Any]]) -> str | None:
    """The episode that an anomaly goes on with."""
    start, end = row["bucket_start"], row["bucket_end"]
    reach = start - EPISODE_US[row["frequency"]]
    for other in reversed([*before]):
        same = all(other[name] == row[name] for name in ("dimension", "value", "currency"))
        if not same or _is_up(other) != _is_up(row):
            continue
        inside = start <= other["bucket_start"] < end
        follows = other["frequency"] == row["frequency"] and reach <= other["bucket_start"] < start
        if inside or follows:
            return str(other["episode_id"])
    return None


def _is_up(row: Mapping[str, Any]) -> bool:
    return bool(row["actual_e10"] > row["expected_e10"])
