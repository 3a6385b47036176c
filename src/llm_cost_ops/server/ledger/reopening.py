"""Open the last closed month again.

What came late since it was closed goes back into its books, or from the month after it into its
own: page by page, because everybody who records waits while a page moves. The month is `reopening`
from the first page on and closed for what is recorded meanwhile, which the last page takes with it.
Each entry is in the books of one month all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.months import month_after, month_before
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.late import MonthClosed, months_corrected
from llm_cost_ops.server.ledger.periods import (
    CLOSED,
    REOPENING,
    Period,
    closed_periods,
    empty_period,
    refuse_gone,
)
from llm_cost_ops.server.ledger.tables import late_entries, period_lines, periods
from llm_cost_ops.server.spend.lock import hold_alone

PAGE = 5_000
"""So many late entries move in a fraction of a second."""
_CHUNK = 500
_P, _LATE = periods.c, late_entries.c


@dataclass(frozen=True, slots=True)
class Reopened:
    """The month as it was, and whether it is open now: else the rest of the pages is to be done."""

    was: Period
    is_open: bool


def reopen(session: WriteSession, organization_id: str, month: str) -> Reopened | None:
    """Begin to open the last closed month again, as it was: what was recorded for it since is in
    its books then, and so is what was recorded for earlier months. With one page it is open.

    None where it is open. Raises MonthClosed, and DayClosed where calls that it corrects are
    archived: closing it again would lose them.
    """
    hold_alone(session, organization_id)
    closed = closed_periods(session, organization_id)
    if not closed or closed[-1].month < month:
        return None
    was = closed[-1]
    if was.month != month:
        raise MonthClosed(f"{month} cannot be opened again: only {was.month}, the last one, can.")
    if was.status == REOPENING:
        return Reopened(was, is_open=False)
    refuse_gone(session, organization_id, months_corrected(session, organization_id, month))
    # The month first: who stores its books meanwhile has done it, lines and all, or does nothing.
    mine = (_P.organization_id == organization_id, _P.month == month)
    session.execute(update(periods).where(*mine).values(status=REOPENING))
    lines = period_lines.c
    session.execute(
        delete(period_lines).where(lines.organization_id == organization_id, lines.month == month)
    )
    return Reopened(was, move_page(session, organization_id) is not None)


def reopening(session: ReadSession, organization_id: str) -> bool:
    """Whether a month is being opened."""
    query = select(_P.month).where(_P.organization_id == organization_id, _P.status == REOPENING)
    return session.execute(query.limit(1)).first() is not None


def move_page(session: WriteSession, organization_id: str) -> Period | None:
    """Move a page of late entries. The month as it was when that was the last one and it is open
    now; None while there is more, and where no month is being opened."""
    hold_alone(session, organization_id)
    closed = closed_periods(session, organization_id)
    if not closed or closed[-1].status != REOPENING:
        return None
    was, is_only = closed[-1], len(closed) == 1
    query = select(_LATE.entry_id, _LATE.month).where(_LATE.organization_id == organization_id)
    if not is_only:  # without a closed month nothing is late
        query = query.where(_LATE.recognized == month_after(was.month))
    rows: Sequence[Any] = session.execute(query.limit(PAGE)).all()
    home = [row[0] for row in rows if is_only or row[1] == was.month]
    _move(session, organization_id, home, None)
    corrections = [row[0] for row in rows if not is_only and row[1] != was.month]
    _move(session, organization_id, corrections, was.month)
    if len(rows) == PAGE:
        return None
    if not is_only and closed[-2].month != month_before(was.month):
        _keep_closed(session, organization_id, month_before(was.month), was)
    session.execute(
        delete(periods).where(_P.organization_id == organization_id, _P.month == was.month)
    )
    return was


def _move(
    session: WriteSession, organization_id: str, entry_ids: Sequence[str], into: str | None
) -> None:
    """Into the books of a month, or of that of their call."""
    for start in range(0, len(entry_ids), _CHUNK):
        some = _LATE.entry_id.in_(entry_ids[start : start + _CHUNK])
        mine = (_LATE.organization_id == organization_id, some)
        if into is None:
            session.execute(delete(late_entries).where(*mine))
        else:
            session.execute(update(late_entries).where(*mine).values(recognized=into))


def _keep_closed(
    session: WriteSession, organization_id: str, month: str, following: Period
) -> None:
    """Give an empty month a row that says what it said without one: the last row is the end of what
    is closed."""
    empty = empty_period(month, following)
    row = {
        "organization_id": organization_id,
        "month": month,
        "closing_id": str(following.closing_id),
        "status": CLOSED,
        "organization_name": empty.organization_name,
        "totals": dumps({}),
        "digest": empty.digest,
        "lines_digest": empty.lines_digest,
        "closed_by": empty.closed_by,
        "closed_at": empty.closed_at,
    }
    session.execute(insert(periods), row)
