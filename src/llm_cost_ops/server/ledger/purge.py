"""Take the calls of a day out of the ledger: close the day, then remove its rows page by page.

`Seen` is what an archive was made of. Closing compares it with what is there when nobody can record
or correct calls, so that no row is removed that is not in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, func, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.dialects import insert_ignore
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.amend import RELABELS
from llm_cost_ops.server.ledger.closed import (
    Closed,
    closed_of,
    digest_of_sums,
    is_closed,
    note,
    reopen,
)
from llm_cost_ops.server.ledger.periods import needed_since
from llm_cost_ops.server.ledger.recount import recount
from llm_cost_ops.server.ledger.rollup import DAY_US
from llm_cost_ops.server.ledger.tables import usage_corrections, usage_records
from llm_cost_ops.server.ledger.teams import forget
from llm_cost_ops.server.ledger.verify import Difference, day_difference
from llm_cost_ops.server.spend.index import Index
from llm_cost_ops.server.spend.lock import hold_alone, shared_version
from llm_cost_ops.server.spend.store import load

PAGE = 1_000
TABLES: tuple[Table, ...] = (usage_records, usage_corrections)
BY_NAME = {str(table.name): table for table in TABLES}
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """Of each table of a day how many rows there are, and the last id; how often the labels of its
    calls were changed, of which the rows do not tell."""

    calls: tuple[int, str | None]
    corrections: tuple[int, str | None]
    relabelled: int


class DayChanged(Exception):
    """Calls, corrections or other labels of the day came after it was seen."""


class DayNeeded(Exception):
    """The books of a month that is not closed yet correct calls of the day, since lately."""


class ClosedByOther(Exception):
    """Somebody else has closed the day meanwhile, with an archive of its own."""


class SentAgain(DomainError):
    """An archived call came again, as a call of another time, after it was removed."""

    code = "CONFLICT"


def seen(session: ReadSession, organization_id: str, day: int) -> Seen:
    """How the day stands now."""
    calls, corrections = (_seen(session, table, organization_id, day) for table in TABLES)
    return Seen(calls, corrections, _relabelled(session, organization_id, day))


def _relabelled(session: ReadSession, organization_id: str, day: int) -> int:
    ids = select(usage_records.c.id).where(*_of_day(usage_records, organization_id, day))
    query = select(func.count()).select_from(audit_log)
    return int(
        session.scalar(
            query.where(
                audit_log.c.organization_id == organization_id,
                audit_log.c.action == RELABELS,
                audit_log.c.resource_id.in_(ids),
            )
        )
        or 0
    )


def _seen(
    session: ReadSession, table: Table, organization_id: str, day: int
) -> tuple[int, str | None]:
    query = select(func.count(), func.max(table.c.id)).select_from(table)
    row: Any = session.execute(query.where(*_of_day(table, organization_id, day))).one()
    return int(row[0]), row[1]


def lines_of_day(session: ReadSession, organization_id: str, day: int) -> Iterator[Line]:
    """Every row of the day as it is stored. Give it a snapshot."""
    for table in TABLES:
        after = ""
        while True:
            query = select(table).where(*_of_day(table, organization_id, day), table.c.id > after)
            rows = session.execute(query.order_by(table.c.id).limit(PAGE)).mappings().all()
            for row in rows:
                yield {"table": str(table.name), "row": dict(row)}
            if len(rows) < PAGE:
                break
            after = str(rows[-1]["id"])


def close_day(
    session: WriteSession,
    organization_id: str,
    day: int,
    archived: Seen,
    archive_id: str | None,
    *,
    now_us: int,
) -> int:
    """Close a day whose rows are archived as they were `seen`; how many calls it has. Raises
    DayChanged, DayNeeded, ClosedByOther."""
    hold_alone(session, organization_id)
    if is_closed(session, organization_id, day):
        raise ClosedByOther
    # Looked at again: a month may have been closed, and a call come late, since the days were told.
    needed_us = needed_since(session, organization_id)
    if needed_us is not None and (day + 1) * DAY_US > needed_us:
        raise DayNeeded
    if seen(session, organization_id, day) != archived:
        raise DayChanged
    digest = digest_of_sums(session, organization_id, day)
    closed = Closed(day, digest, archived.calls[0], archive_id)
    note(session, organization_id, closed, now_us=now_us)
    forget(session, organization_id, day)
    return archived.calls[0]


def remove_page(session: WriteSession, organization_id: str, day: int) -> int:
    """Remove rows of a closed day, corrections first; how many, fewer than PAGE at the end and
    where somebody has opened the day again."""
    shared_version(session, organization_id)  # nobody opens it until this is committed
    if not is_closed(session, organization_id, day):
        return 0
    for table in reversed(TABLES):
        query = select(table.c.id).where(*_of_day(table, organization_id, day)).limit(PAGE)
        ids: Sequence[str] = session.execute(query).scalars().all()
        if ids:
            mine = (table.c.organization_id == organization_id, table.c.id.in_(ids))
            session.execute(delete(table).where(*mine))
            return PAGE
    return 0


def days_to_close(session: ReadSession, organization_id: str, before_us: int) -> list[int]:
    """Open days before an instant on which there are calls or corrections, ascending. None from
    the first on whose calls are corrected in the books of a month that is not closed yet."""
    needed_us = needed_since(session, organization_id)
    before_us = before_us if needed_us is None else min(before_us, needed_us)
    closed = closed_of(session, organization_id)
    return [d for d in _days(session, organization_id, before_us) if d not in closed]


def days_to_remove(session: ReadSession, organization_id: str) -> list[int]:
    """Closed days of which rows are left: the work of somebody who did not come to the end."""
    closed = closed_of(session, organization_id)
    if not closed:
        return []
    before_us = (max(closed) + 1) * DAY_US
    return [d for d in _days(session, organization_id, before_us) if d in closed]


def _days(session: ReadSession, organization_id: str, before_us: int) -> list[int]:
    found: set[int] = set()
    for table in TABLES:
        column, at_us = table.c.timestamp, -(2**62)
        while True:
            first = session.scalar(
                select(func.min(column)).where(
                    table.c.organization_id == organization_id, column >= at_us, column < before_us
                )
            )
            if first is None:
                break
            day = int(first) // DAY_US
            found.add(day)
            at_us = (day + 1) * DAY_US
    return sorted(found)


def count_before(session: ReadSession, organization_id: str, before_us: int) -> int:
    """How many calls there are before an instant."""
    row = usage_records.c
    query = select(func.count()).select_from(usage_records)
    mine = (row.organization_id == organization_id, row.timestamp < before_us)
    return int(session.scalar(query.where(*mine)) or 0)


def counted_since_us(session: ReadSession, organization_id: str, now_us: int) -> int | None:
    """The beginning of the oldest period under way of a budget, whose calls it counts; None where
    there is no budget."""
    starts: list[int] = []
    for budget in Index(1, load(session, organization_id)).budgets.values():
        window = budget.slide.at(now_us) if budget.slide is not None else budget.counted_in(now_us)
        if window is not None:
            starts.append(window.start_us)
    return min(starts, default=None)


def put_back(session: WriteSession, organization_id: str, lines: Sequence[Line]) -> None:
    """Store rows of a closed day again; those that are there stay as they are. Raises SentAgain."""
    _refuse_sent_again(session, organization_id, lines)
    for name, table in BY_NAME.items():
        rows = [
            {**line["row"], "organization_id": organization_id}
            for line in lines
            if line["table"] == name
        ]
        if rows:
            session.execute(insert_ignore(session.kind, table, ("id",)), rows)


def _refuse_sent_again(session: ReadSession, organization_id: str, lines: Sequence[Line]) -> None:
    call = usage_records.c
    by_source: dict[str, dict[str, str]] = {}
    for line in lines:
        if line["table"] == usage_records.name:
            row = line["row"]
            by_source.setdefault(row["source"], {})[row["event_id"]] = row["id"]
    for source, ids in by_source.items():
        query = select(call.event_id, call.id).where(
            call.organization_id == organization_id,
            call.source == source,
            call.event_id.in_(sorted(ids)),
        )
        rows: Sequence[Any] = session.execute(query).all()
        for event_id, record_id in rows:
            if record_id != ids[event_id]:
                text = f"Event {event_id!r} of the archive was recorded again as {record_id}"
                raise SentAgain(f"{text}: its day stays closed.")


def reopen_day(
    session: WriteSession, organization_id: str, day: int, now_us: int
) -> Difference | None:
    """Open a day whose rows were put back, and count the budgets with them, unless they do not add
    up to its sums: then the difference, and the day stays closed."""
    hold_alone(session, organization_id)
    found = day_difference(session, organization_id, day)
    if found is None:
        reopen(session, organization_id, day)
        index = Index(1, load(session, organization_id))
        for budget_id in sorted(index.budgets):  # one narrowed meanwhile knew no calls of that day
            recount(session, index, index.budgets[budget_id], now_us)
    return found


def _of_day(table: Table, organization_id: str, day: int) -> tuple[Any, ...]:
    return (
        table.c.organization_id == organization_id,
        table.c.timestamp >= day * DAY_US,
        table.c.timestamp < (day + 1) * DAY_US,
    )
