"""What the books of a month say: the calls of the month as they were when it was closed, and what
was recorded for earlier months when those were closed. Entries are counted by one month each, so
that the books of all months add up to the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, select

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import E10
from llm_cost_ops.core.months import window_of
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.closed import closed_of
from llm_cost_ops.server.ledger.late import has_late, on_time
from llm_cost_ops.server.ledger.rollup import DAY_US, TOKENS, Delta
from llm_cost_ops.server.ledger.store import ADDITIVE
from llm_cost_ops.server.ledger.tables import (
    late_entries,
    rollup_daily,
    usage_corrections,
    usage_records,
)

PAGE = 5_000
GoOn = Callable[[], object]
TABLES: tuple[Table, ...] = (usage_records, usage_corrections)
_WHOSE = ("provider", "model_name", "project_id", "team_id", "currency")
_READ = ("id", "timestamp", *_WHOSE, *ADDITIVE, "cost_e10", "list_cost_e10", "cost_status")
_LATE = late_entries.c
_UNPRICED = 1
"""Its place in `Delta.counts`."""


class Line(NamedTuple):
    """Sums of the books by what they are of; `corrects` is the earlier month that is corrected, ''
    for the month's own calls. Absent projects and teams are empty."""

    corrects: str
    provider: str
    model: str
    project_id: str
    team_id: str
    currency: str


Books = dict[Line, Delta]


@dataclass
class Frozen:
    """The books of a month, and the digest of its entries, None where some are archived. `unpriced`
    calls are without a price in them: the lines say only by how many that has changed, and a price
    that came for one call must not hide that another has none."""

    books: Books = field(default_factory=Books)
    digest: str | None = None
    unpriced: int = 0

    @property
    def lines(self) -> list[tuple[Line, Delta]]:
        """In order."""
        return sorted(self.books.items())


def books_of(
    session: ReadSession, organization_id: str, month: str, go_on: GoOn = lambda: None
) -> Frozen:
    """The books of a month as they are; those of a closed month do not change. Give it a snapshot.

    Of days that retention has removed the sums are told, without teams. `go_on` is called now and
    then, and raises where somebody else is to go on.
    """
    found, digest, whole = Frozen(), sha256(), True
    late = has_late(session, organization_id, month)
    closed = closed_of(session, organization_id)
    window = window_of(month)
    for day in range(window.start_us // DAY_US, window.end_us // DAY_US):
        go_on()
        if day in closed:
            whole = False
            _add_archived(session, organization_id, day, found.books)
            continue
        for table in TABLES:
            for page in _of_day(session, table, organization_id, day, late=late):
                for row in page:
                    _add(found.books, table, "", row)
                    digest.update(_entry_line("", row))
                go_on()
    found.unpriced = sum(delta.counts[_UNPRICED] for delta in found.books.values())
    late_calls: dict[str, int] = {}
    for table in TABLES:
        for page in _corrections(session, table, organization_id, month):
            for row in page:
                _add(found.books, table, row["month"], row)
                if change := _unpriced(table, row):
                    late_calls[row["of_call"]] = late_calls.get(row["of_call"], 0) + change
                digest.update(_entry_line(row["month"], row))
            go_on()
    found.unpriced += sum(change for change in late_calls.values() if change > 0)
    found.digest = digest.hexdigest() if whole else None
    return found


def _of_day(
    session: ReadSession, table: Table, organization_id: str, day: int, *, late: bool
) -> Iterator[Sequence[Mapping[str, Any]]]:
    columns = table.c
    query = _entries(table).where(
        columns.organization_id == organization_id,
        columns.timestamp < (day + 1) * DAY_US,
        *([on_time(table)] if late else ()),
    )
    query = query.order_by(columns.timestamp, columns.id).limit(PAGE)
    # One bound below: SQLite would begin at the day's with every page.
    rest: list[ColumnElement[bool]] = [columns.timestamp >= day * DAY_US]
    while True:
        rows: Sequence[Any] = session.execute(query.where(*rest)).mappings().all()
        yield rows
        if len(rows) < PAGE:
            return
        at, last = rows[-1]["timestamp"], rows[-1]["id"]
        rest = [columns.timestamp >= at, (columns.timestamp > at) | (columns.id > last)]


def _corrections(
    session: ReadSession, table: Table, organization_id: str, month: str
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Entries of earlier months that are in the books of this one."""
    query = (
        _entries(table)
        .add_columns(_LATE.month, _LATE.record_id.label("of_call"))
        .join(late_entries, _LATE.entry_id == table.c.id)
        .where(_LATE.organization_id == organization_id, _LATE.recognized == month)
        .order_by(_LATE.record_id, _LATE.entry_id)
        .limit(PAGE)
    )
    rest: list[ColumnElement[bool]] = []
    while True:
        rows: Sequence[Any] = session.execute(query.where(*rest)).mappings().all()
        yield rows
        if len(rows) < PAGE:
            return
        call, last = rows[-1]["of_call"], rows[-1]["id"]
        rest = [_LATE.record_id >= call, (_LATE.record_id > call) | (_LATE.entry_id > last)]


def corrected_of(
    session: ReadSession, organization_id: str, recognized: str
) -> Iterator[tuple[str, str, int]]:
    """What the books of a month that is not closed yet correct: month, currency, 1e-10."""
    for table in TABLES:
        for page in _corrections(session, table, organization_id, recognized):
            for row in page:
                yield row["month"], row["currency"], int(row["cost_e10"] or 0)


def _entries(table: Table) -> Select[Any]:
    extra = ("unpriced", "partially_priced") if table is usage_corrections else ()
    return select(*(table.c[name] for name in (*_READ, *extra)))


def _entry_line(corrects: str, row: Mapping[str, Any]) -> bytes:
    """An entry as the digest has it: nothing that an erasure may change."""
    values = [value if isinstance(value, str | None) else int(value)
              for value in (row[name] for name in _READ)]  # fmt: skip
    return f"{dumps([corrects, *values])}\n".encode()


def _add(books: Books, table: Table, corrects: str, row: Mapping[str, Any]) -> None:
    line = Line(
        corrects,
        row["provider"],
        row["model_name"],
        row["project_id"] or "",
        row["team_id"] or "",
        row["currency"],
    )
    delta = books.get(line)
    if delta is None:
        delta = books[line] = Delta()
    requests, cost, listed = row["requests"], row["cost_e10"], row["list_cost_e10"]
    if table is usage_corrections:
        partial = row["partially_priced"]
    else:
        partial = requests if cost is not None and row["cost_status"] != "priced" else 0
    counts = (requests, _unpriced(table, row), partial, *(row[name] for name in TOKENS))
    delta.counts = [a + int(b) for a, b in zip(delta.counts, counts, strict=True)]
    delta.cost += int(cost or 0)
    delta.list_cost += int((cost or 0) if listed is None else listed)


def _unpriced(table: Table, row: Mapping[str, Any]) -> int:
    if table is usage_corrections:
        return int(row["unpriced"])
    return int(row["requests"]) if row["cost_e10"] is None else 0


def _add_archived(session: ReadSession, organization_id: str, day: int, books: Books) -> None:
    row = rollup_daily.c
    query = select(rollup_daily).where(row.organization_id == organization_id, row.bucket == day)
    for found in session.execute(query).mappings():
        line = Line("", found["provider"], found["model_name"], found["project_id"], "",
                    found["currency"])  # fmt: skip
        delta = books.setdefault(line, Delta())
        counts = ("requests", "unpriced", "partially_priced", *TOKENS)
        delta.counts = [a + int(found[b]) for a, b in zip(delta.counts, counts, strict=True)]
        delta.cost += int(found["cost_whole"]) * E10 + int(found["cost_fraction"])
        delta.list_cost += int(found["list_whole"]) * E10 + int(found["list_fraction"])


def lines_digest(lines: Sequence[tuple[Line, Delta]]) -> str:
    """SHA-256 of the lines of a statement."""
    digest = sha256()
    for line, delta in lines:
        values = [*line, *delta.counts, delta.cost, delta.list_cost]
        digest.update(f"{dumps(values)}\n".encode())
    return digest.hexdigest()


def told_cost(*deltas: Delta) -> tuple[int | None, int | None]:
    """Cost and list cost of lines together as they are told: None where calls of one have no price
    and nothing of the others is known, because what is unknown is not zero. What takes a call
    without a price back makes no other one known."""
    cost, listed = sum(each.cost for each in deltas), sum(each.list_cost for each in deltas)
    if any(map(_is_unknown, deltas)) and not any(map(_is_known, deltas)):
        return None, listed or None
    return cost, listed


def _is_unknown(delta: Delta) -> bool:
    requests, unpriced, *_ = delta.counts
    return requests > 0 and unpriced >= requests and not delta.cost


def _is_known(delta: Delta) -> bool:
    requests, unpriced, *_ = delta.counts
    return requests > unpriced or delta.cost != 0


def told_totals(
    lines: Sequence[tuple[Line, Delta]],
) -> dict[str, tuple[Delta, int | None, int | None]]:
    """What lines come to by currency, with the cost and list cost that are told."""
    apart: dict[str, list[Delta]] = {}
    for line, delta in lines:
        apart.setdefault(line.currency, []).append(delta)
    return {name: (whole, *told_cost(*apart[name])) for name, whole in totals_of(lines).items()}


def totals_of(lines: Sequence[tuple[Line, Delta]]) -> dict[str, Delta]:
    """What lines come to, by currency."""
    found: dict[str, Delta] = {}
    for line, delta in lines:
        found.setdefault(line.currency, Delta()).merge(delta)
    return dict(sorted(found.items()))
