"""Close months, and say what is closed.

A month is closed in two steps. The first, alone with the organization's budgets, takes no longer
than writing a row: from then on everything recorded for the month is late, and its books stay. The
second adds these up, while calls are recorded, and stores what it found.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import func, insert, select, update

from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.money import E10
from llm_cost_ops.core.months import (
    month_after,
    month_at,
    months_between,
    window_of,
)
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.books import Frozen, Line, lines_digest, told_totals
from llm_cost_ops.server.ledger.closed import CLOSED_TEXT, DayClosed, closed_of
from llm_cost_ops.server.ledger.late import (
    BEFORE_ALL,
    MonthClosed,
    months_corrected,
    recognitions,
    unpriced_late,
)
from llm_cost_ops.server.ledger.rollup import DAY_US, TOKENS, Delta
from llm_cost_ops.server.ledger.tables import (
    MEASURES,
    period_lines,
    periods,
    rollup_models,
    usage_records,
)
from llm_cost_ops.server.spend.lock import hold_alone

CLOSING, CLOSED, OPEN, REOPENING = "closing", "closed", "open", "reopening"
CHUNK = 1_000
NO_ENTRIES = sha256().hexdigest()
_P, _L = periods.c, period_lines.c


@dataclass(frozen=True, slots=True)
class Period:
    """A month: `status` open, closing (its totals are being added up), closed or reopening (what
    came late goes back into it). `unpriced` calls have no cost. `totals` are in 1e-10 by currency,
    None where no call has a price; empty until it is closed."""

    month: str
    status: str
    closing_id: str | None = None
    closed_at: int | None = None
    closed_by: str | None = None
    erased_at: int | None = None
    organization_name: str | None = None
    requests: int = 0
    unpriced: int = 0
    partially_priced: int = 0
    total_tokens: int = 0
    totals: Mapping[str, int | None] | None = None
    digest: str | None = None
    lines_digest: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls of the month are still in its books when they are recorded now."""
        return self.status == OPEN

    @property
    def is_empty(self) -> bool:
        """Whether it is closed, and no entry is in its books."""
        return self.status == CLOSED and self.digest == NO_ENTRIES


def _period(row: Mapping[Any, Any]) -> Period:
    totals: Any = None if row["totals"] is None else loads(row["totals"])
    return Period(
        month=row["month"],
        status=row["status"],
        closing_id=row["closing_id"],
        closed_at=int(row["closed_at"]),
        closed_by=row["closed_by"],
        erased_at=row["erased_at"],
        organization_name=row["organization_name"],
        requests=int(row["requests"]),
        unpriced=int(row["unpriced"]),
        partially_priced=int(row["partially_priced"]),
        total_tokens=int(row["total_tokens"]),
        totals=None
        if totals is None
        else {name: None if units is None else int(units) for name, units in totals.items()},
        digest=row["digest"],
        lines_digest=row["lines_digest"],
    )


def closed_periods(session: ReadSession, organization_id: str) -> list[Period]:
    """Months that are closed or being closed, the oldest first."""
    query = select(periods).where(_P.organization_id == organization_id).order_by(_P.month)
    return [_period(row) for row in session.execute(query).mappings()]


def period_of(session: ReadSession, organization_id: str, month: str) -> Period:
    """A month. One without a row is open, unless a later one is closed: then nothing was in it when
    that was closed, and it was closed with it."""
    query = select(periods).where(_P.organization_id == organization_id, _P.month >= month)
    row = session.execute(query.order_by(_P.month).limit(1)).mappings().first()
    if row is None:
        return Period(month, OPEN)
    return _period(row) if row["month"] == month else empty_period(month, _period(row))


def empty_period(month: str, following: Period) -> Period:
    """A month in which there was nothing when the one that follows it was closed."""
    return Period(
        month,
        CLOSED,
        closed_at=following.closed_at,
        closed_by=following.closed_by,
        organization_name=following.organization_name,
        totals={},
        digest=NO_ENTRIES,
        lines_digest=NO_ENTRIES,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """What was drawn from commitments until the end of a closed month, in 1e-10 by id."""

    month: str
    drawn: Mapping[str, int]


def drawn_until(session: ReadSession, organization_id: str, month: str) -> Kept | None:
    """What the last closed month before a month kept of what was drawn, if one did."""
    query = (
        select(_P.month, _P.drawn)
        .where(
            _P.organization_id == organization_id,
            _P.month < month,
            _P.status == CLOSED,
            _P.drawn.is_not(None),
        )
        .order_by(_P.month.desc())
        .limit(1)
    )
    row = session.execute(query).mappings().first()
    if row is None:
        return None
    drawn: Mapping[str, str] = loads(row["drawn"])
    return Kept(row["month"], {name: int(units) for name, units in drawn.items()})


def all_periods(session: ReadSession, organization_id: str, now_us: int) -> list[Period]:
    """Closed and open months from the first with calls to that of now, the oldest first, without
    the closed ones in which there was nothing."""
    closed = closed_periods(session, organization_id)
    first = month_after(closed[-1].month) if closed else first_month(session, organization_id)
    if first is None:
        return closed
    return closed + [Period(month, OPEN) for month in months_between(first, month_at(now_us))]


def first_month(session: ReadSession, organization_id: str) -> str | None:
    """The month of the first call; None without one."""
    return next(_with_calls(session, organization_id, BEFORE_ALL, -BEFORE_ALL), None)


def _with_calls(
    session: ReadSession, organization_id: str, start_us: int, end_us: int
) -> Iterator[str]:
    """The months of a time of which anything was recorded. Calls that were all taken back may be in
    no sum, and of archived ones only the sums are there."""
    sources = ((usage_records, usage_records.c.timestamp, 1),
               (rollup_models, rollup_models.c.bucket, DAY_US))  # fmt: skip
    while start_us < end_us:
        found: list[int] = []
        for table, column, width in sources:
            query = select(func.min(column)).where(
                table.c.organization_id == organization_id, column >= start_us // width
            )
            first = session.scalar(query)
            if first is not None:
                found.append(int(first) * width)
        if not found or min(found) >= end_us:
            return
        month = month_at(min(found))
        yield month
        start_us = window_of(month).end_us


def unpriced_in(session: ReadSession, organization_id: str, months: Sequence[str]) -> int:
    """How many calls of months that follow each other have no price."""
    row = rollup_models.c
    query = select(func.sum(row.unpriced)).where(
        row.organization_id == organization_id,
        row.bucket >= window_of(months[0]).start_us // DAY_US,
        row.bucket < window_of(months[-1]).end_us // DAY_US,
    )
    return int(session.scalar(query) or 0)


def freeze(
    session: WriteSession,
    organization_id: str,
    month: str,
    *,
    organization_name: str | None,
    actor_id: str | None,
    now_us: int,
    strict: bool,
) -> tuple[list[str], int]:
    """Freeze a month, and how many of its calls have no price. The first time all months before it
    are closed with it, those of which nothing was recorded without a row; then each follows the one
    before.

    Which months are to be added up: none where it was closed already. Raises MonthClosed where it
    is not over, not the next, or with `strict` not fully priced.
    """
    hold_alone(session, organization_id)
    closed = closed_periods(session, organization_id)
    begun = _unfinished(closed, month)
    if closed and closed[-1].status == REOPENING and month >= closed[-1].month:
        raise MonthClosed(f"{closed[-1].month} is being opened again: close it when it is open.")
    is_closed = closed and period_of(session, organization_id, month).status != OPEN
    if is_closed and month >= closed[0].month:
        return begun, unpriced_in(session, organization_id, [month])
    if window_of(month).end_us > now_us:
        raise MonthClosed(f"{month} is not over yet (in UTC), so it cannot be closed.")
    first = _first_to_close(session, organization_id, closed, month)
    window = window_of(month)
    start_us = window_of(first).start_us
    months = [*_with_calls(session, organization_id, start_us, window.start_us), month]
    unpriced = unpriced_in(session, organization_id, months)
    unpriced += unpriced_late(session, organization_id, months[0])  # in no later one of them
    if strict and unpriced:
        raise MonthClosed(
            f"{calls(unpriced, 'has', 'have')} no price yet, so {month} was not closed."
        )
    rows = [
        {
            "organization_id": organization_id,
            "month": each,
            "closing_id": single_id("per", now_us // 1_000, secrets.randbits(80)),
            "status": CLOSING,
            "organization_name": organization_name,
            "closed_by": actor_id,
            "closed_at": now_us,
        }
        for each in months
    ]
    session.execute(insert(periods), rows)
    return begun + months, unpriced


def unfinished(session: ReadSession, organization_id: str, month: str = "9999-12") -> list[str]:
    """The months up to this one that are still to be added up, the oldest first."""
    return _unfinished(closed_periods(session, organization_id), month)


def _unfinished(closed: Sequence[Period], month: str) -> list[str]:
    return [each.month for each in closed if each.status == CLOSING and each.month <= month]


def _first_to_close(
    session: ReadSession, organization_id: str, closed: Sequence[Period], month: str
) -> str:
    if not closed:
        first = first_month(session, organization_id)
        return month if first is None else min(first, month)
    following = month_after(closed[-1].month)
    if month < closed[0].month:
        raise MonthClosed(f"The books begin in {closed[0].month}; earlier months have no own.")
    if month != following:
        raise MonthClosed(f"Months are closed in order: {following} is the next.")
    return month


def finish(
    session: WriteSession,
    organization_id: str,
    before: Period,
    frozen: Frozen,
    drawn: Mapping[str, int] | None = None,
) -> Period | None:
    """Store the books of a month that is being closed, and what was drawn from commitments until
    its end. None where somebody else has stored them, or opened the month again, meanwhile."""
    lines = frozen.lines
    totals = told_totals(lines)
    whole = Delta()
    for delta, *_ in totals.values():
        whole.merge(delta)
    requests, _, partial, _, _, tokens, *_ = whole.counts
    done = session.execute(
        update(periods)
        .where(
            _P.organization_id == organization_id,
            _P.month == before.month,
            _P.closing_id == before.closing_id,
            _P.status == CLOSING,
        )
        .values(
            status=CLOSED,
            requests=requests,
            unpriced=frozen.unpriced,
            partially_priced=partial,
            total_tokens=tokens,
            totals=dumps({name: _text(cost) for name, (_, cost, _) in totals.items()}),
            digest=frozen.digest,
            lines=len(lines),
            lines_digest=lines_digest(lines),
            drawn=None if drawn is None else dumps({k: str(v) for k, v in sorted(drawn.items())}),
        )
    )
    if not done.rowcount:
        return None
    for start in range(0, len(lines), CHUNK):
        rows = [
            _line_row(organization_id, before.month, place, *lines[place])
            for place in range(start, min(start + CHUNK, len(lines)))
        ]
        session.execute(insert(period_lines), rows)
    return period_of(session, organization_id, before.month)


def _text(units: int | None) -> str | None:
    return None if units is None else str(units)


def _line_row(
    organization_id: str, month: str, place: int, line: Line, delta: Delta
) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "month": month,
        "place": place,
        "corrects": line.corrects or None,
        "provider": line.provider,
        "model_name": line.model,
        "project_id": line.project_id,
        "team_id": line.team_id,
        "currency": line.currency,
        **dict(zip(MEASURES, delta.values(), strict=False)),
    }


def stored_lines(
    session: ReadSession, organization_id: str, month: str
) -> list[tuple[Line, Delta]]:
    """The lines of the statement of a closed month."""
    query = select(period_lines).where(_L.organization_id == organization_id, _L.month == month)
    found: list[tuple[Line, Delta]] = []
    for row in session.execute(query.order_by(_L.place)).mappings():
        names = ("provider", "model_name", "project_id", "team_id", "currency")
        delta = Delta()
        counts = ("requests", "unpriced", "partially_priced", *TOKENS)
        delta.counts = [int(row[name]) for name in counts]
        delta.cost = int(row["cost_whole"]) * E10 + int(row["cost_fraction"])
        delta.list_cost = int(row["list_whole"]) * E10 + int(row["list_fraction"])
        found.append((Line(row["corrects"] or "", *(row[name] for name in names)), delta))
    return found


def refuse_archived(session: ReadSession, organization_id: str, month: str) -> None:
    """The calls in the books of a month must be there to be told one by one. Raises DayClosed."""
    corrected = months_corrected(session, organization_id, month)
    refuse_gone(session, organization_id, [month, *corrected])


def refuse_gone(session: ReadSession, organization_id: str, months: Sequence[str]) -> None:
    """Raises DayClosed where calls of one of the months are archived."""
    archived = {month_at(day * DAY_US) for day in closed_of(session, organization_id)}
    gone = sorted(archived.intersection(months))
    if gone:
        raise DayClosed(f"A call of {gone[0]} {CLOSED_TEXT}: put its archives back.")


def needed_since(session: ReadSession, organization_id: str) -> int | None:
    """The beginning of the first month whose calls the books of months that are not closed yet
    count or correct; None where there is none.

    A month that is being closed counts its calls one by one, without those that came late: the sums
    of its days could not tell these apart. So does one that is being opened.
    """
    frozen = closed_periods(session, organization_id)
    if not frozen:
        return None
    closing = [each.month for each in frozen if each.status in (CLOSING, REOPENING)][:1]
    following = closing[0] if closing else month_after(frozen[-1].month)
    months = months_corrected(session, organization_id, following, later=True)
    return min((window_of(month).start_us for month in (*closing, *months)), default=None)


def note_erased(
    session: WriteSession, organization_id: str, entries: Sequence[tuple[str, int]], now_us: int
) -> None:
    """Labels of a person in entries, by id and time of the call, were erased."""
    late = recognitions(session, organization_id, [entry_id for entry_id, _ in entries])
    months = sorted({*(month_at(at_us) for _, at_us in entries), *late.values()})
    session.execute(
        update(periods)
        .where(_P.organization_id == organization_id, _P.month.in_(months))
        .values(erased_at=now_us)
    )
