"""What came for months after their closing, summed: of the calls of a selection alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, and_, case, or_, select
from sqlalchemy import literal_column as literal

from llm_cost_ops.core.period import Window
from llm_cost_ops.server.analytics.calls import CALL, Calls, Net
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.dialects import exact_sum, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.late import late_months
from llm_cost_ops.server.ledger.tables import late_entries, usage_corrections

_LATE, _CORRECTION = late_entries.c, usage_corrections.c


class Place(NamedTuple):
    """The month of calls, the later one whose books have them, and whether the window does."""

    month: str
    books: str
    inside: bool


@dataclass
class Belated:
    """Amounts in units of 1e-10 by currency, and how many of the late calls have no price."""

    amounts: dict[str, int] = field(default_factory=dict[str, int])
    unpriced: int = 0

    def add(self, currency: str, cost_e10: int, unpriced: int) -> None:
        self.amounts[currency] = self.amounts.get(currency, 0) + cost_e10
        self.unpriced += unpriced


def belated(
    session: ReadSession, selection: Selection, first: str, last: str
) -> dict[Place, Belated]:
    """What came late for or into the months from the first to the last, of calls that meet the
    conditions of the selection; these are on the call as it is now, as in every read."""
    # Almost always there is none, and then one look at an index has told.
    if not late_months(session, selection.organization_id, first, last):
        return {}
    found: dict[Place, Belated] = {}
    for query in _queries(session.kind, selection, first, last):
        for row in session.execute(query).mappings():
            place = Place(row["month"], row["books"], bool(row["inside"]))
            cost, unpriced = read_sum(row, "cost") or 0, read_sum(row, "unpriced") or 0
            found.setdefault(place, Belated()).add(row["currency"], cost, unpriced)
    return found


def _queries(
    kind: DatabaseKind, selection: Selection, first: str, last: str
) -> Iterator[Select[Any]]:
    """The sums of late calls and of late corrections."""
    calls = Calls(kind, Net.PER_ROW, CALL, ())
    without = case((calls.column("cost_e10").is_(None), calls.column("requests")), else_=0)
    where: list[ColumnElement[bool]] = [
        _LATE.organization_id == selection.organization_id,
        or_(_LATE.month.between(first, last), _LATE.recognized.between(first, last)),
        *(holds(item, calls.value, kind) for item in selection.conditions),
    ]
    of_calls = late_entries.join(CALL, CALL.c.id == _LATE.entry_id)
    of_corrections = late_entries.join(usage_corrections, _CORRECTION.id == _LATE.entry_id).join(
        CALL, CALL.c.id == _LATE.record_id
    )
    inside = _is_inside(selection.window)
    zero: ColumnElement[Any] = literal("0", BigInteger())
    sources: tuple[tuple[FromClause, Any, Any], ...] = (
        (of_calls, CALL.c, without),
        (of_corrections, _CORRECTION, zero),
    )
    for tables, entry, unpriced in sources:
        by = (_LATE.month, _LATE.recognized, inside, entry.currency)
        names = ("month", "books", "inside", "currency")
        yield (
            select(*(each.label(name) for each, name in zip(by, names, strict=True)))
            .add_columns(*exact_sum(kind, entry.cost_e10, "cost"))
            .add_columns(*exact_sum(kind, unpriced, "unpriced"))
            .select_from(tables)
            .where(*where)
            .group_by(*by)
        )


def _is_inside(window: Window) -> ColumnElement[int]:
    """1 for a call in the window, else 0; without parameters, so that it can be grouped by."""
    start, end = (literal(str(edge), BigInteger()) for edge in (window.start_us, window.end_us))
    within = and_(CALL.c.timestamp >= start, CALL.c.timestamp < end)
    return case((within, literal("1", BigInteger())), else_=literal("0", BigInteger()))
