"""Anomalies of a range: each value of the dimensions is a series of its own, judged by itself.

`auto` and `seasonal` judge a point by those before it, so what lies before the range is read, too,
and learnt from. The other methods judge by the range alone. A value that has just appeared is
learnt from first, and a series that never moves by the least amount is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any

from llm_cost_ops.anomalies import Anomaly, Stream, detect
from llm_cost_ops.anomalies.rhythm import RHYTHMS
from llm_cost_ops.anomalies.rules import RULES
from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import DAY_US, Window
from llm_cost_ops.core.series import Series
from llm_cost_ops.server.analytics.groups import TooManyGroups
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts import bar, cause, store
from llm_cost_ops.server.forecasts.history import (
    History,
    Line,
    first_used,
    read_history,
    series_of,
)
from llm_cost_ops.server.forecasts.terms import Examination

MAX_SERIES = 200
MAX_EXPLAINED = 20
MAX_POINTS = {"learning": 100_000, "plain": 2_000_000}
"""Buckets of all series together that an examination judges, by whether the method learns."""
TOTAL, ALL = "total", "all"
_STEP_DAYS = {"hour": 1 / 24, "day": 1, "week": 7, "month": 31}
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """An anomaly of one line in one bucket of a history."""

    line: Line
    window: Window
    anomaly: Anomaly


@dataclass(frozen=True, slots=True)
class Material:
    """What is judged: lines of a history, the dearest first, how many more there are, and what
    people said of earlier anomalies. Without a history there is nothing to judge."""

    asked: Examination
    history: History | None
    lines: Sequence[Line] = ()
    over: int = 0
    bars: bar.Bars = field(default_factory=dict[bar.Side, Any])


def gather(session: ReadSession, asked: Examination, at: Home, now_us: int) -> Material:
    """Reads all that judging needs, so that no connection is held meanwhile."""
    try:
        history = _read(session, asked, now_us)
    except InsufficientData:
        return Material(asked, None)
    lines = _lines(history, asked)
    plain = asked.options.method in RULES
    points = MAX_POINTS["plain" if plain else "learning"]
    most = min(MAX_SERIES, max(1, points // max(len(history.made), 1)))
    since_us = now_us - bar.LASTS_DAYS * DAY_US
    said = () if plain or not asked.whole else store.feedback(session, at.organization_id, since_us)
    bars = bar.bars_of(said)
    return Material(asked, history, lines[:most], max(0, len(lines) - most), bars)


def judge(material: Material) -> list[Found]:
    """The flagged points in the order of time."""
    asked, history = material.asked, material.history
    if history is None:
        return []
    found: list[Found] = []
    names = _names(asked)
    for line in material.lines:
        place = (asked.step, *place_of(names, line.values), line.currency)
        for index, anomaly in flagged(history, line, asked, asked.selection.window.start_us):
            if bar.is_above(anomaly, place, material.bars):
                found.append(Found(line, history.window(index, index + 1), anomaly))
    return sorted(found, key=lambda each: each.window.start_us)


def answer_of(material: Material, found: Sequence[Found]) -> Document:
    """The flagged points, and what was judged."""
    asked, history = material.asked, material.history
    rows = [_row(_names(asked), each) for each in found]
    partial = () if history is None else history.partial
    return {
        "data": rows,
        "has_more": False,
        "next_cursor": None,
        "pagination": {"count": len(rows), "has_more": False},
        "method": asked.options.method,
        "threshold": Decimal(str(round(asked.options.bound, 4))),
        "frequency": asked.step,
        "timezone": asked.selection.zone.key,
        "series": len(material.lines),
        "series_left_out": material.over,
        "left_out": [{"date": label, "reason": reason} for label, reason, _ in partial],
    }


def explain(session: ReadSession, answer: Document, material: Material, found: list[Found]) -> None:
    """Add the causes of the first of the flagged points; None where they cannot be told."""
    for row, each in zip(answer["data"][:MAX_EXPLAINED], found, strict=False):
        row["causes"] = _causes(session, material.asked, each)


def _names(asked: Examination) -> tuple[str, ...]:
    return tuple(dimension.key for dimension in asked.by)


def _read(session: ReadSession, asked: Examination, now_us: int) -> History:
    selection = asked.selection
    start_us, end_us = selection.window.start_us, min(selection.window.end_us, now_us)
    rhythm = RHYTHMS[asked.step]
    if asked.options.method not in RULES:
        before = int((rhythm.memory + rhythm.least) * _STEP_DAYS[asked.step] * DAY_US)
        start_us -= before
    selection = selection.within(Window(start_us, end_us))
    days = (end_us - start_us) // DAY_US + 1
    return read_history(session, selection, asked.step, asked.by, now_us=now_us, days=days)


def _lines(history: History, asked: Examination) -> list[Line]:
    """The lines that something can be flagged in, the dearest first."""
    least = asked.options.min_amount
    kept = [
        line
        for line in history.lines
        if (asked.currency is None or line.currency == asked.currency)
        and line.is_priced
        and from_e10(max(totals.cost for totals in line.totals.values())) >= least
    ]
    return sorted(kept, key=lambda line: (-line.spent_e10, line.values, line.currency))


def flagged(
    history: History, line: Line, asked: Examination, since_us: int
) -> Iterator[tuple[int, Anomaly]]:
    """The flagged buckets of a line that begin at an instant or later."""
    first = first_used(line)
    series = series_of(history, line.totals, first)
    places = _places(history, series, first)
    if asked.options.method in RULES:
        by_label = {series.label(place): index for place, index in places.items()}
        for anomaly in detect(series, asked.options):
            index = by_label[anomaly.date]
            if history.made.edges[index] >= since_us:
                yield index, anomaly
        return
    stream = Stream(history.step, asked.options)
    for place, value in enumerate(series.values):
        if value is None:
            continue
        moment = series.moment(place)
        if history.step == "hour":  # people's days follow their own clock, also when it is changed
            moment = moment.replace(tzinfo=UTC).astimezone(asked.selection.zone)
        anomaly = stream.push(moment, series.label(place), value)
        index = places[place]
        if anomaly is not None and history.made.edges[index] >= since_us:
            yield index, anomaly


def _places(history: History, series: Series, first: int) -> Mapping[int, int]:
    """The bucket of each step of a series; dates that a zone skipped have none."""
    labels = {history.made.label(index): index for index in range(first, len(history.made))}
    return {
        place: labels[label]
        for place in range(len(series))
        if (label := series.label(place)) in labels
    }


def place_of(names: Sequence[str], values: Sequence[str]) -> tuple[str, str]:
    """A dimension and its value as texts; several are joined with commas."""
    return (",".join(names) or TOTAL, ",".join(values) or ALL)


def _row(names: Sequence[str], found: Found) -> dict[str, Any]:
    dimension, value = place_of(names, found.line.values)
    anomaly = found.anomaly
    return {
        "date": anomaly.date,
        "dimension": dimension,
        "value": value,
        "group": dict(zip(names, found.line.values, strict=True)),
        "currency": found.line.currency,
        "actual_cost": anomaly.actual_cost,
        "expected_cost": anomaly.expected_cost,
        "lower": anomaly.lower,
        "upper": anomaly.upper,
        "severity": anomaly.severity,
        "score": anomaly.score,
    }


def _causes(session: ReadSession, asked: Examination, found: Found) -> Document | None:
    selection = cause.narrowed(asked.selection, asked.by, found.line.values)
    if selection is None:
        return None
    expected = found.anomaly.expected_cost
    jump = cause.Jump(selection, asked.step, found.window, found.line.currency, expected)
    try:
        return cause.causes_of(session, jump)
    except TooManyGroups:
        return None
