"""What an organization may keep for a time, and what of it is older."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, func, select

from llm_cost_ops.server.alerts.retention import is_needed
from llm_cost_ops.server.alerts.tables import alert_deliveries, alert_history, alerts
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.forecasts.tables import anomalies, forecasts
from llm_cost_ops.server.privacy.export import shown
from llm_cost_ops.server.privacy.tables import privacy_requests
from llm_cost_ops.server.webhooks.tables import webhook_attempts, webhook_deliveries

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of a table by the time at which they ended, with rows of others that belong to them.
    `needed` tells of a row that is old and stays all the same."""

    name: str
    table: Table
    ended: Column[Any]
    below: tuple[Column[str], ...] = ()
    needed: Callable[[ReadSession, Row, int], bool] | None = None

    def old(self, organization_id: str, before_us: int) -> list[ColumnElement[bool]]:
        """The condition for what ended before an instant."""
        return [self.table.c.organization_id == organization_id, self.ended < before_us]


@dataclass(frozen=True, slots=True)
class Due:
    """What ended before an instant is due now (microseconds)."""

    before_us: int
    now_us: int


KEPT: tuple[Kept, ...] = (
    Kept(
        "webhook_deliveries",
        webhook_deliveries,
        webhook_deliveries.c.finished_at,
        (webhook_attempts.c.delivery_id,),
    ),
    Kept(
        "alerts",
        alerts,
        alerts.c.resolved_at,
        (alert_history.c.alert_id, alert_deliveries.c.alert_id),
        is_needed,
    ),
    Kept("forecasts", forecasts, forecasts.c.created_at),
    Kept("anomalies", anomalies, anomalies.c.found_at),
    Kept("privacy_requests", privacy_requests, privacy_requests.c.finished_at),
)
BY_NAME = {kept.name: kept for kept in KEPT}


def count_old(session: ReadSession, kept: Kept, organization_id: str, before_us: int) -> int:
    """How many rows ended before an instant; some of them may be needed still."""
    query = select(func.count()).select_from(kept.table)
    return int(session.scalar(query.where(*kept.old(organization_id, before_us))) or 0)


def old_ids(
    session: ReadSession, kept: Kept, organization_id: str, due: Due, after: str, limit: int
) -> tuple[list[str], str | None]:
    """Ids of the next rows that ended before an instant and are not needed, and the id to go on
    from, None at the end."""
    row = kept.table.c
    query = (
        select(kept.table)
        .where(*kept.old(organization_id, due.before_us), row.id > after)
        .order_by(row.id)
        .limit(limit)
    )
    rows = session.execute(query).mappings().all()
    needed = kept.needed
    ids = [str(one["id"]) for one in rows if needed is None or not needed(session, one, due.now_us)]
    return ids, str(rows[-1]["id"]) if len(rows) == limit else None


def lines_of(
    session: ReadSession, kept: Kept, organization_id: str, ids: list[str]
) -> Iterator[dict[str, Any]]:
    """The rows and those that belong to them, as lines of an archive."""
    for column in (kept.table.c.id, *kept.below):
        table = column.table
        assert isinstance(table, Table)  # noqa: S101 - a column of one of our tables
        query = select(table).where(table.c.organization_id == organization_id, column.in_(ids))
        for row in session.execute(query.order_by(table.c.id)).mappings():
            yield {"table": table.name, "row": shown(table, row)}


def remove(
    session: WriteSession, kept: Kept, organization_id: str, before_us: int, ids: list[str]
) -> int:
    """Remove those of the rows that still are old, and what belongs to them; how many."""
    row = kept.table.c
    query = select(row.id).where(*kept.old(organization_id, before_us), row.id.in_(ids))
    still = [str(one) for one in session.execute(query).scalars()]
    for column in (*kept.below, row.id):
        table = column.table
        assert isinstance(table, Table)  # noqa: S101 - a column of one of our tables
        session.execute(
            delete(table).where(table.c.organization_id == organization_id, column.in_(still))
        )
    return len(still)
