"""The audit log at a glance: how often what was done, and the latest of it. Recorded usage, which
is most entries, is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select

from llm_cost_ops.core.period import Window
from llm_cost_ops.server.audit.tables import USUAL, audit_log
from llm_cost_ops.server.db.session import ReadSession

_ROW = audit_log.c


def counted(
    session: ReadSession, organization_id: str, window: Window
) -> list[tuple[str, str, int]]:
    """Action, outcome and count of entries, by name."""
    query = (
        select(_ROW.action, _ROW.outcome, func.count().label("entries"))
        .where(*_inside(organization_id, window))
        .group_by(_ROW.action, _ROW.outcome)
        .order_by(_ROW.action, _ROW.outcome)
    )
    rows = session.execute(query).mappings()
    return [(str(row["action"]), str(row["outcome"]), int(row["entries"])) for row in rows]


def latest(
    session: ReadSession, organization_id: str, window: Window, limit: int
) -> list[Mapping[str, Any]]:
    """The newest entries first."""
    query = (
        select(audit_log)
        .where(*_inside(organization_id, window))
        .order_by(_ROW.timestamp.desc(), _ROW.seq.desc())
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def _inside(organization_id: str, window: Window) -> list[ColumnElement[bool]]:
    return [
        _ROW.organization_id == organization_id,
        _ROW.seq.is_not(None),
        _ROW.timestamp >= window.start_us,
        _ROW.timestamp < window.end_us,
        # Written out, it lets the index of these entries be used.
        _ROW.action != literal_column(f"'{USUAL}'"),
    ]
