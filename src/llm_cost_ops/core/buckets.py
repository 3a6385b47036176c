"""Buckets of time in a time zone: hours, days, ISO weeks (from Monday) and months.

A bucket is one unbroken interval. A clock change makes days of 23 or 25 hours; an hour that a
half-hour change (Lord Howe) breaks is two buckets, each named by its first local instant.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.period import (
    ALL_TIME,
    DAY_US,
    HOUR_US,
    PeriodError,
    Window,
    day_start,
    local_day,
    offset_change,
)

GRAINS = ("hour", "day", "week", "month")
MAX_BUCKETS = 50_000
_SHORTEST_US = {"hour": HOUR_US, "day": 23 * HOUR_US, "week": 167 * HOUR_US, "month": 28 * DAY_US}


@dataclass(frozen=True, slots=True)
class Run:
    """Buckets `first`, `first + 1`, ... of one length, from an instant on until the next run."""

    first: int
    start_us: int
    step_us: int


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets that a window touches; `edges` are their starts and the end of the last."""

    grain: str
    zone: ZoneInfo
    edges: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.edges) - 1

    def find(self, micros: int) -> int:
        """The index of the bucket that holds this instant of the window."""
        return bisect_right(self.edges, micros) - 1

    def label(self, index: int) -> str:
        """`2025-01-15` for days and (by their Monday) weeks, `2025-01` for months; an hour is an
        instant with its UTC offset, so that the two hours of a clock change differ."""
        local = from_micros(self.edges[index]).astimezone(self.zone)
        if self.grain == "hour":
            return local.isoformat().replace("+00:00", "Z")
        return local.date().isoformat()[: 7 if self.grain == "month" else 10]

    def runs(self) -> list[Run]:
        """The buckets as stretches of equal length, for integer arithmetic in a query."""
        runs: list[Run] = []
        for index in range(len(self)):
            start, step = self.edges[index], self.edges[index + 1] - self.edges[index]
            if not runs or runs[-1].step_us != step:
                runs.append(Run(index, start, step))
        return runs


def buckets(window: Window, grain: str, zone: ZoneInfo, field: str = "group_by") -> Buckets:
    """The buckets of a grain that a window touches. Raises PeriodError above MAX_BUCKETS."""
    inside = window.clip(ALL_TIME)
    if (inside.end_us - inside.start_us) // _SHORTEST_US[grain] > MAX_BUCKETS:
        raise PeriodError(
            f"more than {MAX_BUCKETS} buckets of one {grain}: narrow the period", field=field
        )
    if inside.is_empty:
        return Buckets(grain, zone, (inside.start_us,))
    edges = _hour_edges(inside, zone) if grain == "hour" else _calendar_edges(inside, grain, zone)
    first = bisect_right(edges, inside.start_us) - 1
    return Buckets(grain, zone, tuple(edges[first:]))


def _calendar_edges(window: Window, grain: str, zone: ZoneInfo) -> list[int]:
    day = _first_of(local_day(window.start_us, zone), grain)
    edges = [day_start(day, zone)]
    while edges[-1] < window.end_us:
        day = _next_of(day, grain)
        start = day_start(day, zone)
        if start > edges[-1]:  # a date that the zone skipped has no instant
            edges.append(start)
    return edges


def _first_of(day: date, grain: str) -> date:
    if grain == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if grain == "week" else day


def _next_of(day: date, grain: str) -> date:
    if grain == "month":
        return (day + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if grain == "week" else 1)


def _hour_edges(window: Window, zone: ZoneInfo) -> list[int]:
    edges: list[int] = []
    for start, end, offset in _offsets(window, zone):
        first = (start + offset) // HOUR_US * HOUR_US - offset
        edges += [max(first, start) if edges else first]
        edges += range(first + HOUR_US, end, HOUR_US)
    unique = sorted(set(edges))
    last = next(index for index, edge in enumerate(unique) if edge >= window.end_us)
    return unique[: last + 1]


def _offsets(window: Window, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """(from, until, UTC offset) in microseconds, from two hours before the window, so that its
    first bucket is the same whether or not a change lies just before it, until two after."""
    start, end = window.start_us - 2 * HOUR_US, window.end_us + 2 * HOUR_US
    known = _offset(start, zone)
    position = start
    while position < end:
        following = min(position + DAY_US, end)
        offset = _offset(following, zone)
        if offset != known:
            change = offset_change(position, following, zone, timedelta(microseconds=offset))
            yield start, change, known
            start, known = change, offset
        position = following
    yield start, end, known


def _offset(micros: int, zone: ZoneInfo) -> int:
    shift = from_micros(micros).astimezone(zone).utcoffset() or timedelta()
    return shift // timedelta(microseconds=1)
