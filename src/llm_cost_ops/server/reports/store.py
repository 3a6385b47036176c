"""Reports and saved sections as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.reports.tables import report_styles, report_templates, reports

PENDING, COMPLETED, FAILED, CANCELLED = "pending", "completed", "failed", "cancelled"
STATUSES = (PENDING, COMPLETED, FAILED, CANCELLED)
_ROW, _KEPT = reports.c, report_templates.c
_SHORT = [column for column in reports.c if column.name != "document"]


def add(session: WriteSession, organization_id: str, row: Mapping[str, Any]) -> None:
    """Store a report that was asked for."""
    session.execute(insert(reports), {**row, "organization_id": organization_id})


def row(
    session: ReadSession, organization_id: str, report_id: str, *, lock: bool = False
) -> dict[str, Any] | None:
    """One report with its document, held until the end of the transaction if `lock`."""
    query = select(reports).where(_ROW.organization_id == organization_id, _ROW.id == report_id)
    found = session.execute(lock_rows(query) if lock else query).mappings().first()
    return None if found is None else dict(found)


def rows(
    session: ReadSession,
    organization_id: str,
    below: str | None,
    limit: int,
    *,
    kind: str | None = None,
    status: str | None = None,
) -> list[dict[str, Any]]:
    """Reports without their documents, the newest first: those with ids below one."""
    query = select(*_SHORT).where(_ROW.organization_id == organization_id)
    if below is not None:
        query = query.where(_ROW.id < below)
    if kind is not None:
        query = query.where(_ROW.type == kind)
    if status is not None:
        query = query.where(_ROW.status == status)
    found = session.execute(query.order_by(_ROW.id.desc()).limit(limit)).mappings()
    return [dict(each) for each in found]


def _pending(organization_id: str, report_id: str) -> tuple[ColumnElement[bool], ...]:
    """One report, as long as it is to be made."""
    return (
        _ROW.organization_id == organization_id,
        _ROW.id == report_id,
        _ROW.status == PENDING,
    )


def claim(
    session: WriteSession, organization_id: str, report_id: str, now_us: int, until_us: int
) -> bool:
    """Take a pending report to make it, unless somebody has it whose time is not over; whether it
    was taken. A time that ends later than one could last is of a clock set back."""
    free = or_(
        _ROW.making_until.is_(None),
        _ROW.making_until <= now_us,
        _ROW.making_until > until_us,
    )
    found = session.execute(
        update(reports)
        .where(*_pending(organization_id, report_id), free)
        .values(making_until=until_us)
    )
    return found.rowcount > 0


def move_claim(
    session: WriteSession,
    organization_id: str,
    report_id: str,
    held_us: int,
    until_us: int | None,
) -> None:
    """Move the end of a claim that is still held, None gives it up."""
    session.execute(
        update(reports)
        .where(*_pending(organization_id, report_id), _ROW.making_until == held_us)
        .values(making_until=until_us)
    )


def finish(
    session: WriteSession, organization_id: str, report_id: str, values: Mapping[str, Any]
) -> bool:
    """Write the outcome of a report that is pending; whether it was."""
    found = session.execute(
        update(reports).where(*_pending(organization_id, report_id)).values(**values)
    )
    return found.rowcount > 0


def remove(session: WriteSession, organization_id: str, report_id: str) -> None:
    """Remove a report."""
    session.execute(
        delete(reports).where(_ROW.organization_id == organization_id, _ROW.id == report_id)
    )


# lint: allow tenant-scope: what is over is removed for all organizations
def remove_expired(session: WriteSession, now_us: int, limit: int) -> int:
    """Remove reports whose time is over, at most some; how many."""
    query = select(_ROW.id).where(_ROW.expires_at <= now_us).limit(limit)
    ids = [str(each["id"]) for each in session.execute(query).mappings()]
    if ids:
        session.execute(delete(reports).where(_ROW.id.in_(ids)))
    return len(ids)


def add_template(session: WriteSession, organization_id: str, row: Mapping[str, Any]) -> bool:
    """Keep sections under a name; False when it is taken."""
    try:
        session.execute(insert(report_templates), {**row, "organization_id": organization_id})
    except IntegrityError:
        return False
    return True


def template(session: ReadSession, organization_id: str, name_or_id: str) -> dict[str, Any] | None:
    """Kept sections by their id or name."""
    query = select(report_templates).where(
        _KEPT.organization_id == organization_id,
        or_(_KEPT.id == name_or_id, _KEPT.name == name_or_id),
    )
    found = session.execute(query.order_by(_KEPT.id)).mappings().first()
    return None if found is None else dict(found)


def templates(
    session: ReadSession, organization_id: str, below: str | None, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Kept sections, the newest first."""
    query = select(report_templates).where(_KEPT.organization_id == organization_id)
    if below is not None:
        query = query.where(_KEPT.id < below)
    query = query.order_by(_KEPT.id.desc()).offset(offset).limit(limit)
    return [dict(each) for each in session.execute(query).mappings()]


def remove_template(session: WriteSession, organization_id: str, template_id: str) -> None:
    """Remove kept sections."""
    session.execute(
        delete(report_templates).where(
            _KEPT.organization_id == organization_id, _KEPT.id == template_id
        )
    )


def style(session: ReadSession, organization_id: str) -> dict[str, Any] | None:
    """The looks of an organization's reports, if it chose some."""
    query = select(report_styles).where(report_styles.c.organization_id == organization_id)
    found = session.execute(query).mappings().first()
    return None if found is None else dict(found)


def keep_style(session: WriteSession, organization_id: str, row: Mapping[str, Any]) -> None:
    """Replace the looks of an organization's reports."""
    values = {**row, "organization_id": organization_id}
    session.execute(insert_ignore(session.kind, report_styles, ["organization_id"]), values)
    session.execute(
        update(report_styles)
        .where(report_styles.c.organization_id == organization_id)
        .values(**row)
    )


def remove_style(session: WriteSession, organization_id: str) -> None:
    """Forget the looks of an organization's reports."""
    session.execute(delete(report_styles).where(report_styles.c.organization_id == organization_id))
