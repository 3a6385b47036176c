"""Days that retention has closed: their calls are archived and removed, their sums stay.

A closed day takes no calls and no corrections any more: whether a call was there before could not
be told without the rows. Its rollups are proven by the digest that was taken when it was closed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, insert, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import canonical, dumps
from llm_cost_ops.core.money import E10
from llm_cost_ops.server.db.remembered import Remembered
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.ledger.rollup import DAY_US, HOUR_US, ROLLUPS, Key
from llm_cost_ops.server.ledger.tables import MEASURES, closed_days

_ROW = closed_days.c
CLOSED_TEXT = "lies in a time whose calls the organization no longer keeps"


class DayClosed(DomainError):
    """It is about a day whose calls retention has archived."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed day: the digest of its sums and how many calls were archived."""

    day: int
    digest: str
    records: int
    archive_id: str | None


def closed_of(session: ReadSession, organization_id: str) -> dict[int, Closed]:
    """All closed days of an organization."""
    columns = (_ROW.day, _ROW.digest, _ROW.records, _ROW.archive_id)
    query = select(*columns).where(_ROW.organization_id == organization_id)
    rows: Sequence[Any] = session.execute(query).all()
    found = (Closed(int(row[0]), str(row[1]), int(row[2]), row[3]) for row in rows)
    return {each.day: each for each in found}


def _days(session: ReadSession, organization_id: str) -> frozenset[int]:
    query = select(_ROW.day).where(_ROW.organization_id == organization_id)
    return frozenset(int(day) for day in session.execute(query).scalars())


DAYS = Remembered(_days)
"""The closed days as a process knows them; `DAYS.confirm` before calls are committed."""


def until_us(session: ReadSession, organization_id: str) -> int:
    """The end of the last closed day, 0 without one."""
    query = select(func.max(_ROW.day)).where(_ROW.organization_id == organization_id)
    last = session.scalar(query)
    return 0 if last is None else (int(last) + 1) * DAY_US


def is_closed(session: ReadSession, organization_id: str, day: int) -> bool:
    """Whether a day is closed."""
    query = select(_ROW.day).where(_ROW.organization_id == organization_id, _ROW.day == day)
    return session.execute(query).first() is not None


def refuse_closed(session: ReadSession, keys: Collection[Key]) -> None:
    """Raises DayClosed for keys of rollups of closed days. The caller holds the version of the
    budgets, shared or alone."""
    by_organization: dict[str, set[int]] = {}
    for key in keys:
        by_organization.setdefault(key[0], set()).add(key[1] * HOUR_US // DAY_US)
    for organization_id, days in by_organization.items():
        query = select(_ROW.day).where(
            _ROW.organization_id == organization_id, _ROW.day.in_(sorted(days))
        )
        if session.execute(query.limit(1)).first() is not None:
            raise DayClosed(f"The call {CLOSED_TEXT}.")


def note(session: WriteSession, organization_id: str, closed: Closed, *, now_us: int) -> None:
    """Close a day. The caller holds the organization's budgets alone."""
    row = {
        "organization_id": organization_id,
        "day": closed.day,
        "digest": closed.digest,
        "records": closed.records,
        "archive_id": closed.archive_id,
        "closed_at": now_us,
    }
    session.execute(insert(closed_days), row)


def reopen(session: WriteSession, organization_id: str, day: int) -> None:
    """Take calls of the day again. The caller holds the organization's budgets alone."""
    session.execute(
        delete_rows(closed_days).where(_ROW.organization_id == organization_id, _ROW.day == day)
    )


def digest_of_sums(session: ReadSession, organization_id: str, day: int) -> str:
    """SHA-256 of all rollup rows of a day that add up to something."""
    digest = sha256()
    for name, row in _rows(session, organization_id, day):
        digest.update(canonical(dumps([name, row])).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _rows(
    session: ReadSession, organization_id: str, day: int
) -> Iterator[tuple[str, list[object]]]:
    for table, key, buckets in ROLLUPS:
        columns = [table.c[name] for name in (*key, *MEASURES, "min_cost_e10", "max_cost_e10")]
        query = select(*columns).where(
            table.c.organization_id == organization_id,
            table.c.bucket >= day * buckets,
            table.c.bucket < (day + 1) * buckets,
        )
        rows = [[_plain(value) for value in row] for row in session.execute(query)]
        for row in sorted(rows, key=lambda each: [str(value) for value in each[: len(key)]]):
            if any(row[len(key) :]):
                yield str(table.name), row


def _plain(value: Any) -> object:
    return value if value is None or isinstance(value, str) else int(value)


def totals_of(session: ReadSession, organization_id: str, day: int) -> Mapping[str, int]:
    """What the sums of a day come to, in 1e-10 by currency."""
    table = ROLLUPS[-1].table.c
    query = select(table.currency, table.cost_whole, table.cost_fraction).where(
        table.organization_id == organization_id, table.bucket == day
    )
    totals: dict[str, int] = {}
    rows: Sequence[Any] = session.execute(query).all()
    for row in rows:
        units = int(row[1]) * E10 + int(row[2])
        totals[row[0]] = totals.get(row[0], 0) + units
    return totals
