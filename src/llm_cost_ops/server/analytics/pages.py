"""Lists of calls, one row per call, net of its corrections: pages of any documented family.

A cursor is the place of a row in the order: (timestamp, id), and before them the values of the
fields that are ordered by. Rows that arrive meanwhile neither repeat nor hide others. Without an
order the oldest come first: then page and offset, too, stay where they are while newer calls
arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import Select, and_, or_, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.analytics.calls import CALL, Calls, Expression, listed_calls
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.fields import Field, Shape, find_field
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.http.pagination import PageRequest, encode_cursor, page_request
from llm_cost_ops.server.ledger.store import net_of_corrections
from llm_cost_ops.server.ledger.tables import usage_records
from llm_cost_ops.server.ledger.wire import call_row

_NOT_SHOWN = frozenset({"raw_usage", "payload_digest", "recorded_by", "volume"})
COLUMNS = tuple(column.name for column in usage_records.columns if column.name not in _NOT_SHOWN)
ROW_FIELDS = tuple(call_row({**dict.fromkeys(COLUMNS), "timestamp": 0, "received_at": 0}))
"""The fields of a row on the wire."""


class ListError(DomainError):
    """An order or a field that a list does not have."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list: by time when `by` is empty."""

    by: tuple[tuple[Field, bool], ...] = ()
    newest_first: bool = False

    @property
    def kinds(self) -> tuple[type[int] | type[str], ...]:
        """The types of a cursor's values."""
        of_fields = (str if field.shape is Shape.TEXT else int for field, _ in self.by)
        return (*of_fields, int, str)


def order(asked: Sequence[tuple[str, bool]]) -> Order:
    """Fields with their direction; the first that is a time or an id ends the order.

    Raises ListError.
    """
    by: list[tuple[Field, bool]] = []
    for name, descending in asked:
        field = find_field(name)
        if field is None or field.shape in (Shape.TAGS, Shape.METADATA):
            raise ListError(f"{name[:64]!r} is not a field to order by", field="order_by")
        if field.name == "timestamp":
            return Order(tuple(by), descending)
        by.append((field, descending))
    return Order(tuple(by))


def projection(names: Sequence[str]) -> tuple[str, ...]:
    """The fields to show: those named, else all. Raises ListError."""
    for name in names:
        if name not in ROW_FIELDS:
            raise ListError(f"must be among: {', '.join(ROW_FIELDS)}", field="fields")
    return tuple(dict.fromkeys(names)) or ROW_FIELDS


def page_of(
    paging: Mapping[str, str], subject: str, wanted: Order, *, default: int, most: int
) -> PageRequest:
    """The page that the parameters ask for. Raises Problem 422."""
    request = page_request(paging, subject, wanted.kinds, default=default)
    return replace(request, limit=min(request.limit, most))


def list_calls(
    session: ReadSession,
    selection: Selection,
    wanted: Order,
    page: PageRequest,
    fields: Sequence[str],
    subject: str,
) -> tuple[list[dict[str, object]], str | None]:
    """The rows of a page, and the cursor of what follows them."""
    window = selection.window
    if page.position is not None and not wanted.by:
        window = rest(window, wanted, page.position)
    calls = listed_calls(session.kind, selection.organization_id, window)
    statement = statement_of(calls, selection, wanted, COLUMNS)
    ordered_by = [calls.value(field) for field, _ in wanted.by]
    statement = statement.add_columns(
        *(value.label(f"order_{place}") for place, value in enumerate(ordered_by))
    )
    if page.position is None:
        statement = statement.offset(page.offset)
    else:
        statement = statement.where(_follows(wanted, ordered_by, page.position))
    found = session.execute(statement.limit(page.limit + 1)).mappings().all()
    rows = {row["id"]: dict(row) for row in found[: page.limit]}
    net = net_of_corrections(session, selection.organization_id, rows)
    shown = [_projected(call_row(row), fields) for row in net.values()]
    if len(found) <= page.limit:
        return shown, None
    last = found[page.limit - 1]
    return shown, encode_cursor(subject, _position(wanted, last))


def statement_of(
    calls: Calls,
    selection: Selection,
    wanted: Order,
    columns: Sequence[str],
    instead: Mapping[str, Expression] = MappingProxyType({}),
) -> Select[Any]:
    """The calls of a selection in order, with these columns as they are stored, or with what is
    given `instead` of one."""
    conditions = [holds(item, calls.value, calls.kind) for item in selection.conditions]
    statement = select(*(instead.get(name, CALL.c[name]) for name in columns))
    statement = statement.select_from(calls.tables).where(*calls.where, *conditions)
    order: list[Expression] = []
    for field, descending in wanted.by:
        value = calls.value(field)
        order += [value.is_(None), value.desc() if descending else value.asc()]
    ends = (CALL.c.timestamp, CALL.c.id)
    order += [end.desc() if wanted.newest_first else end.asc() for end in ends]
    return statement.order_by(*order)


def rest(window: Window, wanted: Order, position: Sequence[object]) -> Window:
    """The part of a window that holds what follows a position in the order by time.

    A database that is given two bounds of one side may look its index up by either (SQLite does by
    the first): with the window's own each page would read again what all pages before it read.
    """
    time = cast("int", position[0])
    if wanted.newest_first:
        return Window(window.start_us, min(window.end_us, time + 1))
    return Window(max(window.start_us, time), window.end_us)


def after(wanted: Order, position: Sequence[object]) -> Expression:
    """Rows that follow a position in the order by time."""
    time, last_id = position[0], position[1]
    timestamp, row_id = CALL.c.timestamp, CALL.c.id
    if wanted.newest_first:
        return and_(timestamp <= time, or_(timestamp < time, row_id < last_id))
    return and_(timestamp >= time, or_(timestamp > time, row_id > last_id))


def _position(wanted: Order, row: Mapping[Any, Any]) -> tuple[int | str | None, ...]:
    """Where a row is in the order."""
    values: list[int | str | None] = []
    for place, (field, _) in enumerate(wanted.by):
        value = row[f"order_{place}"]
        if value is not None and field.shape is not Shape.TEXT:
            value = int(value)  # a sum of integers may be a decimal
        values.append(value)
    return (*values, int(row["timestamp"]), row["id"])


def _follows(
    wanted: Order, ordered_by: Sequence[Expression], position: Sequence[object]
) -> Expression:
    """Rows that follow a position. Absent values come last, as `statement_of` orders them."""
    found = after(wanted, position[len(ordered_by) :])
    places = zip(ordered_by, wanted.by, position, strict=False)
    for value, (_, descending), given in reversed(list(places)):
        if given is None:
            found = and_(value.is_(None), found)
        else:
            beyond = value < given if descending else value > given
            found = or_(value.is_(None), beyond, and_(value == given, found))
    return found


def _projected(row: dict[str, object], fields: Sequence[str]) -> dict[str, object]:
    return row if len(fields) == len(ROW_FIELDS) else {name: row[name] for name in fields}
