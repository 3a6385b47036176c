"""The volume of a month so far, for prices that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, select

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.server.db.dialects import exact_sum, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.rollup import HOUR_US
from llm_cost_ops.server.ledger.tables import rollup_hourly, usage_corrections, usage_records

Series = tuple[str, str, str, int]
"""Organization, provider, model and the first microsecond of the UTC month."""
_Place = tuple[int, str]


class VolumeMeter:
    """Monthly volumes while calls are recorded: what the ledger holds plus what this transaction
    adds. `metric` is a rollup column.

    Calls count in the order in which they are recorded, in the UTC month of their own time. The
    transaction holds the organization's turn, or two writers would both see the volume before.
    """

    def __init__(self, session: ReadSession) -> None:
        self._session = session
        self._volumes: dict[tuple[Series, str], int] = {}

    def before(self, entry: Entry, metric: str) -> int:
        """The volume before this call."""
        series = _series(entry.organization_id, entry.provider, entry.model_name, entry.timestamp)
        if (series, metric) not in self._volumes:
            self._volumes[series, metric] = _stored(self._session, series, metric)
        return self._volumes[series, metric]

    def add(self, entry: Entry, metric: str) -> None:
        """Count a call whose volume was asked for."""
        series = _series(entry.organization_id, entry.provider, entry.model_name, entry.timestamp)
        self._volumes[series, metric] += int(getattr(entry, metric))


class PastVolumes:
    """Monthly volumes for calls that were recorded without one, met in the order of their time.

    Such a call takes its place in the month by its time: before it are the calls of the month that
    are earlier, or as early with a smaller id.
    """

    def __init__(self, session: ReadSession) -> None:
        self._session = session
        self._reached: dict[tuple[Series, str], tuple[int, _Place]] = {}

    def before(self, call: Mapping[str, Any], metric: str) -> int:
        """The volume before this call."""
        series = _series(
            call["organization_id"], call["provider"], call["model_name"], call["timestamp"]
        )
        volume, last = self._reached.get((series, metric), (0, (series[-1], "")))
        here = (int(call["timestamp"]), str(call["id"]))
        volume += _between(self._session, series, metric, last, here)
        self._reached[series, metric] = (volume, here)
        return volume


def _series(organization_id: str, provider: str, model: str, at_us: int) -> Series:
    first = from_micros(at_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return organization_id, provider, model, to_micros(first)


def _next_month(start_us: int) -> int:
    first = from_micros(start_us)
    year, month = first.year + first.month // 12, first.month % 12 + 1
    return to_micros(first.replace(year=year, month=month))


def _stored(session: ReadSession, series: Series, metric: str) -> int:
    organization_id, provider, model, start = series
    table = rollup_hourly.c
    query = select(*exact_sum(session.kind, table[metric], "volume")).where(
        table.organization_id == organization_id,
        table.bucket >= start // HOUR_US,
        table.bucket < _next_month(start) // HOUR_US,
        table.provider == provider,
        table.model_name == model,
    )
    return read_sum(session.execute(query).mappings().one(), "volume") or 0


def _between(session: ReadSession, series: Series, metric: str, first: _Place, last: _Place) -> int:
    """Calls from one place to before another, net of their corrections."""
    total = 0
    for columns, own_id in (
        (usage_records.c, usage_records.c.id),
        (usage_corrections.c, usage_corrections.c.record_id),
    ):
        query = select(*exact_sum(session.kind, columns[metric], "volume")).where(
            *_of_series(columns, series),
            columns.timestamp >= first[0],
            columns.timestamp <= last[0],
            (columns.timestamp > first[0]) | (own_id >= first[1]),
            (columns.timestamp < last[0]) | (own_id < last[1]),
        )
        total += read_sum(session.execute(query).mappings().one(), "volume") or 0
    return total


def _of_series(columns: Any, series: Series) -> tuple[ColumnElement[bool], ...]:
    organization_id, provider, model, _ = series
    return (
        columns.organization_id == organization_id,
        columns.provider == provider,
        columns.model_name == model,
    )
