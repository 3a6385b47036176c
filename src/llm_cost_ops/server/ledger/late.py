"""What is recorded for a month that is closed: it keeps the date of its call, and is in the books
of the next month that is open.

Whoever closes a month holds the organization's budgets alone, and whoever records holds their
version shared from the moment of this look until the commit. So every entry is either committed
before the closing, or knows of it: no clock and no sequence decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    bindparam,
    exists,
    func,
    insert,
    select,
    union_all,
    update,
)

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.months import month_at, window_of
from llm_cost_ops.server.db.remembered import Remembered
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.tables import (
    late_entries,
    periods,
    usage_corrections,
    usage_records,
)

BEFORE_ALL = -(2**62)
_LATE, _CORRECTION, _CALL = late_entries.c, usage_corrections.c, usage_records.c
_CHUNK = 500


class MonthClosed(DomainError):
    """It would change what a closed month says."""

    code = "CONFLICT"


def closed_until(session: ReadSession, organization_id: str) -> int:
    """The end of the last closed month in microseconds, `BEFORE_ALL` without one. What is recorded
    for a time before it is late, and its month the one in whose books that is."""
    query = select(func.max(periods.c.month)).where(periods.c.organization_id == organization_id)
    last = session.scalar(query)
    return BEFORE_ALL if last is None else window_of(last).end_us


_UNTIL = Remembered(closed_until)


def note_late_calls(
    session: WriteSession, created: Sequence[Entry], versions: Mapping[str, int]
) -> None:
    """Note which of the calls that the transaction has appended are late. It holds the `versions`
    of the budgets of their organizations."""
    for organization_id, version in versions.items():
        until = _UNTIL.at(session, organization_id, version)
        if until != BEFORE_ALL:
            _note(
                session,
                until,
                (
                    (each.id, organization_id, each.id, each.timestamp)
                    for each in created
                    if each.organization_id == organization_id
                ),
            )


def note_late_corrections(
    session: WriteSession, rows: Iterable[Mapping[str, Any]], versions: Mapping[str, int]
) -> None:
    """The same for corrections."""
    by_organization: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_organization.setdefault(row["organization_id"], []).append(row)
    for organization_id, own in by_organization.items():
        until = _UNTIL.at(session, organization_id, versions[organization_id])
        if until != BEFORE_ALL:
            _note(
                session,
                until,
                ((row["id"], organization_id, row["record_id"], row["timestamp"]) for row in own),
            )


def _note(session: WriteSession, until: int, found: Iterable[tuple[str, str, str, int]]) -> None:
    recognized = month_at(until)
    rows = [
        {
            "entry_id": entry_id,
            "organization_id": organization_id,
            "record_id": record_id,
            "month": month_at(timestamp),
            "recognized": recognized,
            "event_id": None,
        }
        for entry_id, organization_id, record_id, timestamp in found
        if timestamp < until
    ]
    if rows:
        session.execute(insert(late_entries), rows)


def refuse_relabelling(
    session: ReadSession, organization_id: str, record_id: str, timestamp: int
) -> None:
    """The labels of a call that is in the books of a closed month are what that month's exports
    say. The caller holds the version of the budgets. Raises MonthClosed."""
    until = closed_until(session, organization_id)
    if timestamp >= until:
        return
    query = select(_LATE.recognized).where(
        _LATE.entry_id == record_id, _LATE.organization_id == organization_id
    )
    recognized = session.scalar(query) or month_at(timestamp)
    if recognized < month_at(until):
        raise MonthClosed(f"The call is in the books of {recognized}, which are closed.")


def keep_event_ids(
    session: WriteSession, organization_id: str, rows: Mapping[str, Mapping[str, Any]]
) -> None:
    """Note the event ids that calls of closed months give up: exports of those still say them. Of
    `rows` by id, which were taken back before."""
    until = closed_until(session, organization_id)
    given = [
        {"its_record": record_id, "its_event": row["event_id"]}
        for record_id, row in rows.items()
        if row["timestamp"] < until
    ]
    if not given:
        return
    voids = select(_CORRECTION.id).where(
        _CORRECTION.record_id == bindparam("its_record"), _CORRECTION.kind == "void"
    )
    statement = (
        update(late_entries)
        .where(_LATE.organization_id == organization_id, _LATE.entry_id.in_(voids))
        .values(event_id=bindparam("its_event"))
    )
    session.connection.execute(statement, given)


def event_ids_of(
    session: ReadSession, organization_id: str, record_ids: Sequence[str]
) -> dict[str, str]:
    """The event ids that calls had before they gave them up, as far as they are noted."""
    found: dict[str, str] = {}
    for start in range(0, len(record_ids), _CHUNK):
        query = (
            select(_CORRECTION.record_id, _LATE.event_id)
            .join(late_entries, _LATE.entry_id == _CORRECTION.id)
            .where(
                _CORRECTION.organization_id == organization_id,
                _CORRECTION.record_id.in_(record_ids[start : start + _CHUNK]),
                _LATE.event_id.is_not(None),
            )
        )
        rows: Sequence[Any] = session.execute(query).all()
        found.update((row[0], row[1]) for row in rows)
    return found


def has_late(session: ReadSession, organization_id: str, month: str) -> bool:
    """Whether something was recorded for a month after it was closed."""
    query = select(_LATE.entry_id).where(
        _LATE.organization_id == organization_id, _LATE.month == month
    )
    return session.execute(query.limit(1)).first() is not None


def on_time(table: FromClause) -> ColumnElement[bool]:
    """That a call or correction was recorded before its month was closed."""
    return ~exists().where(_LATE.entry_id == table.c.id).correlate(table)


def recognized_in(
    session: ReadSession, organization_id: str, month: str, after: str, limit: int
) -> tuple[list[str], str | None]:
    """The next calls, by id, of earlier months of which something is in the books of a month; and
    where to go on, None at the end."""
    query = (
        select(_LATE.record_id)
        .where(
            _LATE.organization_id == organization_id,
            _LATE.recognized == month,
            _LATE.record_id > after,
        )
        .distinct()
        .order_by(_LATE.record_id)
        .limit(limit)
    )
    ids = list(session.execute(query).scalars())
    return ids, ids[-1] if len(ids) == limit else None


def months_corrected(
    session: ReadSession, organization_id: str, recognized: str, *, later: bool = False
) -> list[str]:
    """The months of which something is in the books of a month, or with `later` of that month or a
    later one."""
    compared = _LATE.recognized >= recognized if later else _LATE.recognized == recognized
    query = select(_LATE.month).where(_LATE.organization_id == organization_id, compared)
    return sorted(session.execute(query.distinct()).scalars())


def months_recognizing(session: ReadSession, organization_id: str) -> list[str]:
    """The months in whose books something of an earlier one is."""
    query = select(_LATE.recognized).where(_LATE.organization_id == organization_id)
    return sorted(session.execute(query.distinct()).scalars())


def unpriced_late(session: ReadSession, organization_id: str, recognized: str) -> int:
    """How many calls of earlier months are in the books of a month without a price. A price that
    came for one call takes nothing from another."""
    mine = (_LATE.organization_id == organization_id, _LATE.recognized == recognized)
    calls = select(_LATE.record_id, _CALL.requests.label("change")).join(
        usage_records, _CALL.id == _LATE.entry_id
    )
    corrections = select(_LATE.record_id, _CORRECTION.unpriced.label("change")).join(
        usage_corrections, _CORRECTION.id == _LATE.entry_id
    )
    changes = union_all(
        calls.where(*mine, _CALL.cost_e10.is_(None)),
        corrections.where(*mine, _CORRECTION.unpriced != 0),
    ).subquery()
    per_call = select(func.sum(changes.c.change).label("change")).group_by(changes.c.record_id)
    change = per_call.subquery().c.change
    return int(session.scalar(select(func.sum(change)).where(change > 0)) or 0)


def recognitions(
    session: ReadSession, organization_id: str, entry_ids: Sequence[str]
) -> dict[str, str]:
    """Of late ones among the entries, the month in whose books they are."""
    found: dict[str, str] = {}
    for start in range(0, len(entry_ids), _CHUNK):
        query = select(_LATE.entry_id, _LATE.recognized).where(
            _LATE.organization_id == organization_id,
            _LATE.entry_id.in_(entry_ids[start : start + _CHUNK]),
        )
        rows: Sequence[Any] = session.execute(query).all()
        found.update((row[0], row[1]) for row in rows)
    return found


def late_months(
    session: ReadSession, organization_id: str, first: str, last: str
) -> list[tuple[str, str]]:
    """For which closed months something was recorded late, and in the books of which it is: where
    one of both is among the months from the first to the last."""
    query = select(_LATE.month, _LATE.recognized).where(
        _LATE.organization_id == organization_id,
        _LATE.month.between(first, last) | _LATE.recognized.between(first, last),
    )
    rows: Sequence[Any] = session.execute(query.distinct()).all()
    return sorted((row[0], row[1]) for row in rows)
