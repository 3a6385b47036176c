"""Forecasts and anomalies as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, false, insert, or_, select, update

from llm_cost_ops.core.grants import EVERYWHERE, Reach
from llm_cost_ops.server.db.dialects.writing import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.forecasts.tables import anomalies, forecasts

PLACE = ("organization_id", "frequency", "dimension", "value", "currency", "bucket_start")
FILTERS = ("frequency", "dimension", "value", "currency", "severity", "episode_id")
_MADE, _FOUND = forecasts.c, anomalies.c


def add_forecast(session: WriteSession, row: Mapping[str, Any]) -> None:
    """Store a forecast."""
    session.execute(insert(forecasts), dict(row))


def forecast(session: ReadSession, organization_id: str, forecast_id: str) -> dict[str, Any] | None:
    """One forecast."""
    query = select(forecasts).where(
        _MADE.id == forecast_id, _MADE.organization_id == organization_id
    )
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def forecast_rows(
    session: ReadSession, organization_id: str, below: str | None, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Forecasts, the newest first: those with an id below a given one, or after `offset`."""
    query = select(forecasts).where(_MADE.organization_id == organization_id)
    if below is not None:
        query = query.where(_MADE.id < below)
    query = query.order_by(_MADE.id.desc()).offset(offset).limit(limit)
    return [dict(row) for row in session.execute(query).mappings()]


def add_anomalies(
    session: WriteSession, organization_id: str, rows: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Store anomalies whose place and bucket have none yet; the ids of those that were stored."""
    if not rows:
        return set()
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in PLACE))
    session.execute(insert_ignore(session.kind, anomalies, PLACE), [dict(row) for row in ordered])
    ids = [row["id"] for row in rows]
    query = select(_FOUND.id).where(_FOUND.organization_id == organization_id, _FOUND.id.in_(ids))
    return set(session.execute(query).scalars())


def anomaly(session: ReadSession, organization_id: str, anomaly_id: str) -> dict[str, Any] | None:
    """One anomaly."""
    query = select(anomalies).where(
        _FOUND.id == anomaly_id, _FOUND.organization_id == organization_id
    )
    row = session.execute(query).mappings().first()
    return None if row is None else dict(row)


def anomaly_rows(
    session: ReadSession,
    organization_id: str,
    wanted: Mapping[str, Any],
    before: tuple[int, str] | None,
    offset: int,
    limit: int,
    reach: Reach = EVERYWHERE,
) -> list[dict[str, Any]]:
    """Anomalies that are reached, the latest bucket first. `wanted` are values by FILTERS,
    `is_anomaly`, and `start_us` and `end_us` of their buckets; `before` is where a page begins."""
    conditions: list[ColumnElement[bool]] = [_FOUND.organization_id == organization_id]
    conditions += [_FOUND[name] == wanted[name] for name in FILTERS if name in wanted]
    if "is_anomaly" in wanted:
        conditions.append(_FOUND.is_anomaly == wanted["is_anomaly"])
    if "start_us" in wanted:
        conditions.append(_FOUND.bucket_start >= wanted["start_us"])
        conditions.append(_FOUND.bucket_start < wanted["end_us"])
    if not reach.is_everything:
        conditions.append(_reached(reach))
    if before is not None:
        bucket, anomaly_id = before
        earlier = (_FOUND.bucket_start == bucket) & (_FOUND.id < anomaly_id)
        conditions.append((_FOUND.bucket_start < bucket) | earlier)
    query = select(anomalies).where(*conditions)
    query = query.order_by(_FOUND.bucket_start.desc(), _FOUND.id.desc())
    return [dict(row) for row in session.execute(query.offset(offset).limit(limit)).mappings()]


def _reached(reach: Reach) -> ColumnElement[bool]:
    """What is found is about one value of one dimension: as SQL what `is_anomaly_reached` says."""
    ways = (
        (_FOUND.dimension == name) & _FOUND.value.in_(sorted(values))
        for scope in reach.scopes
        for name, values in scope.dimensions
        if len(scope.dimensions) == 1
    )
    return or_(false(), *ways)


def anomalies_since(
    session: ReadSession, organization_id: str, since_us: int
) -> list[dict[str, Any]]:
    """Anomalies of buckets from an instant on, the earliest first, without their causes."""
    columns = [column for column in anomalies.c if column.name != "causes"]
    query = (
        select(*columns)
        .where(_FOUND.organization_id == organization_id, _FOUND.bucket_start >= since_us)
        .order_by(_FOUND.bucket_start, _FOUND.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def mark_told(session: WriteSession, organization_id: str, ids: Sequence[str]) -> None:
    """Remember that anomalies were told of."""
    if ids:
        own = (_FOUND.organization_id == organization_id, _FOUND.id.in_(ids))
        session.execute(update(anomalies).where(*own).values(told=1))


def judged(
    session: WriteSession, organization_id: str, anomaly_id: str, values: Mapping[str, Any]
) -> None:
    """Store what somebody said of an anomaly."""
    own = (_FOUND.organization_id == organization_id, _FOUND.id == anomaly_id)
    session.execute(update(anomalies).where(*own).values(**values))


def feedback(session: ReadSession, organization_id: str, since_us: int) -> list[dict[str, Any]]:
    """The anomalies of buckets from an instant on that somebody judged."""
    names = (
        "frequency", "dimension", "value", "currency", "actual_e10", "expected_e10", "lower_e10",
        "upper_e10", "is_anomaly",
    )  # fmt: skip
    query = select(*(_FOUND[name] for name in names)).where(
        _FOUND.organization_id == organization_id,
        _FOUND.bucket_start >= since_us,
        _FOUND.is_anomaly.is_not(None),
    )
    return [dict(row) for row in session.execute(query).mappings()]
