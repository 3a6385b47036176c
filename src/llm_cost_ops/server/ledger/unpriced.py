"""Calls that wait for a price: counted and named, never added up as zero."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.db.dialects import exact_sum, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.rollup import HOUR_US
from llm_cost_ops.server.ledger.tables import rollup_hourly


def listing(
    session: ReadSession,
    organization_id: str,
    window: Window,
    *,
    provider: str | None,
    model: str | None,
    offset: int,
    limit: int,
) -> list[dict[str, Any]]:
    """Providers and models with unpriced or partially priced calls in the hours of the window."""
    table = rollup_hourly.c
    wanted = [
        column == value
        for column, value in ((table.provider, provider), (table.model_name, model))
        if value is not None
    ]
    unpriced, partial = func.sum(table.unpriced), func.sum(table.partially_priced)
    query = (
        select(
            table.provider,
            table.model_name,
            unpriced.label("unpriced"),
            partial.label("partially_priced"),
            *exact_sum(session.kind, table.total_tokens, "total_tokens"),
            func.min(table.bucket).label("first"),
            func.max(table.bucket).label("last"),
        )
        .where(
            table.organization_id == organization_id,
            table.bucket >= window.start_us // HOUR_US,
            table.bucket < -(-window.end_us // HOUR_US),
            (table.unpriced != 0) | (table.partially_priced != 0),
            *wanted,
        )
        .group_by(table.provider, table.model_name)
        .having((unpriced != 0) | (partial != 0))
        .order_by(unpriced.desc(), partial.desc(), table.provider, table.model_name)
        .offset(offset)
        .limit(limit)
    )
    return [
        {
            "provider": row["provider"],
            "model": row["model_name"],
            "unpriced_count": int(row["unpriced"]),
            "partially_priced_count": int(row["partially_priced"]),
            "total_tokens": read_sum(row, "total_tokens"),
            "first_hour": format_micros(row["first"] * HOUR_US),
            "last_hour": format_micros(row["last"] * HOUR_US),
        }
        for row in session.execute(query).mappings()
    ]


def waiting(
    session: ReadSession, organization_id: str, provider: str | None, start_us: int, end_us: int
) -> list[tuple[str, str, int, int]]:
    """(provider, model, from, to) of calls that have no full price, within hours of the window."""
    table = rollup_hourly.c
    query = (
        select(
            table.provider,
            table.model_name,
            func.min(table.bucket).label("first"),
            func.max(table.bucket).label("last"),
        )
        .where(
            table.organization_id == organization_id,
            table.bucket >= start_us // HOUR_US,
            table.bucket < -(-end_us // HOUR_US),
            (table.unpriced != 0) | (table.partially_priced != 0),
        )
        .group_by(table.provider, table.model_name)
        .order_by(table.provider, table.model_name)
    )
    if provider is not None:
        query = query.where(table.provider == provider)
    return [
        (
            row.provider,
            row.model_name,
            max(start_us, int(row.first) * HOUR_US),
            min(end_us, (int(row.last) + 1) * HOUR_US),
        )
        for row in session.execute(query)
    ]
