"""Calls that wait for a price: counted and named, never added up as zero."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from llm_cost_ops.core.instant import format_instant, from_micros
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.rerate import Selection
from llm_cost_ops.server.ledger.rollup import HOUR_US
from llm_cost_ops.server.ledger.tables import rollup_hourly


def listing(
    session: ReadSession, organization_id: str, window: Window, limit: int
) -> dict[str, Any]:
    """Providers and models with unpriced or partially priced calls in the hours of the window."""
    table = rollup_hourly.c
    unpriced, partial = func.sum(table.unpriced), func.sum(table.partially_priced)
    query = (
        select(
            table.provider,
            table.model_name,
            unpriced.label("unpriced"),
            partial.label("partially_priced"),
            func.sum(table.total_tokens).label("total_tokens"),
            func.min(table.bucket).label("first"),
            func.max(table.bucket).label("last"),
        )
        .where(
            table.organization_id == organization_id,
            table.bucket >= window.start_us // HOUR_US,
            table.bucket < -(-window.end_us // HOUR_US),
            (table.unpriced != 0) | (table.partially_priced != 0),
        )
        .group_by(table.provider, table.model_name)
        .having((unpriced != 0) | (partial != 0))
        .order_by(unpriced.desc(), partial.desc(), table.provider, table.model_name)
        .limit(limit + 1)
    )
    rows = [
        {
            "provider": row.provider,
            "model": row.model_name,
            "unpriced_count": int(row.unpriced),
            "partially_priced_count": int(row.partially_priced),
            "total_tokens": int(row.total_tokens),
            "first_hour": format_instant(from_micros(row.first * HOUR_US)),
            "last_hour": format_instant(from_micros(row.last * HOUR_US)),
        }
        for row in session.execute(query)
    ]
    return {
        "data": rows[:limit],
        "has_more": len(rows) > limit,
        "next_cursor": None,
        "pagination": {"limit": limit, "next_cursor": None},
    }


def any_waiting(session: ReadSession, selection: Selection) -> bool:
    """Whether a provider has calls in the selection's hours that are not fully priced."""
    table = rollup_hourly.c
    query = (
        select(table.bucket)
        .where(
            table.organization_id == selection.organization_id,
            table.bucket >= selection.start_us // HOUR_US,
            table.bucket < -(-selection.end_us // HOUR_US),
            table.provider == selection.provider,
            (table.unpriced != 0) | (table.partially_priced != 0),
        )
        .limit(1)
    )
    return session.execute(query).first() is not None
