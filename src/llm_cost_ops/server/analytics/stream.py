"""All rows of a list as NDJSON, in constant memory: batches by keyset, each in a short transaction.

Rows go from the database's tuples through structs to JSON without a dict in between; they are the
rows that a page has (a test compares them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Text, literal_column, select

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import format_e10
from llm_cost_ops.core.period import Window
from llm_cost_ops.server.analytics.calls import (
    CALL,
    Calls,
    Expression,
    listed_calls,
    plain_calls,
)
from llm_cost_ops.server.analytics.pages import COLUMNS, Order, after, rest, statement_of
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.joined import JoinedRows, TooLong, joined
from llm_cost_ops.server.db.session import ReadSession, report
from llm_cost_ops.server.db.urls import DatabaseKind
from llm_cost_ops.server.ledger.imports import RELEASED
from llm_cost_ops.server.ledger.late import event_ids_of, has_late, on_time
from llm_cost_ops.server.ledger.store import apply_corrections
from llm_cost_ops.server.ledger.tables import usage_corrections
from llm_cost_ops.server.ledger.wire import COLUMN_KINDS

BATCH_ROWS = 2_000
NARROW_ROWS = 5_000
"""Rows at a time where only some columns are asked for; fewer where they are long."""
NARROW_FIRST = 500
NARROW_CHARACTERS = 4_000_000
FEWER = 8
"""By which the rows are divided when they turn out to be much longer than those before them."""
Rows = Sequence[Sequence[Any]]

_PLACE = {name: index for index, name in enumerate(COLUMNS)}
_OF_COLUMN = {
    "model": "model_name",
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "tokens_used": "total_tokens",
    "calculated_cost": "cost_e10",
    "total_cost": "cost_e10",
    "cost": "cost_e10",
    "amount": "cost_e10",
    "list_cost": "list_cost_e10",
    "provider_cost": "provider_cost_e10",
    "created_at": "timestamp",
}
"""Fields of the wire that have another name than their column."""
_TIME, _ID, _EVENT = _PLACE["timestamp"], _PLACE["id"], _PLACE["event_id"]
_RECEIVED, _USAGE = _PLACE["received_at"], _PLACE["usage"]
_COST, _LIST = _PLACE["cost_e10"], _PLACE["list_cost_e10"]
_PROVIDER_COST = _PLACE["provider_cost_e10"]
_TAGS, _METADATA = _PLACE["tags"], _PLACE["metadata"]
_KINDS = tuple((kind, _PLACE[column]) for kind, column in COLUMN_KINDS.items())
_MADE_USAGE = " || ".join(
    f"CASE {CALL.name}.{column} WHEN 0 THEN '' ELSE ',\"{kind}\":' || {CALL.name}.{column} END"
    for kind, column in COLUMN_KINDS.items()
)
_USAGE_TEXT: Expression = literal_column(
    f"coalesce({CALL.name}.usage, '{{' || substr({_MADE_USAGE}, 2) || '}}')", Text()
).label("usage")
"""What `usage_text` makes, by SQLite."""
_NO_TAGS, _NO_METADATA = msgspec.Raw(b"[]"), msgspec.Raw(b"{}")


def stream_calls(
    database: Database,
    selection: Selection,
    wanted: Order,
    fields: Sequence[str],
    limit: int | None,
) -> Iterator[bytes]:
    """NDJSON of all rows, or of the first `limit`, some thousand lines at a time."""
    return map(line_encoder(tuple(fields)), call_batches(database, selection, wanted, limit))


def call_batches(
    database: Database,
    selection: Selection,
    wanted: Order,
    limit: int | None = None,
    month: str | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[Rows]:
    """All net rows, or those of the first `limit` calls, as values in the order of COLUMNS, some
    thousand at a time and never none.

    With `columns` the values are those that `picker` takes.

    Of a `month`, which is then the window of the selection, the calls are as its books have them.

    `wanted` is an order by time. Calls that arrive behind the place reached are not in it, those
    that arrive before it are; none is there twice.
    """
    position: tuple[int, str] | None = None
    left = limit
    most = BATCH_ROWS if columns is None else min(NARROW_FIRST, NARROW_ROWS)
    while left is None or left > 0:
        size = most if left is None else min(most, left)
        try:
            with report(database) as session:
                rows, position = _batch(session, selection, wanted, position, size, month, columns)
        except TooLong:
            most = max(1, size // FEWER)
            continue
        if rows:
            yield rows
        if position is None:
            return
        left = None if left is None else left - size
        most = _rows_like(rows)


def _batch(
    session: ReadSession,
    selection: Selection,
    wanted: Order,
    position: tuple[int, str] | None,
    size: int,
    month: str | None,
    columns: Sequence[str] | None,
) -> tuple[Rows, tuple[int, str] | None]:
    """Net rows, and the position of the last one when there may be more."""
    organization_id, window = selection.organization_id, selection.window
    if position is not None:
        window = rest(window, wanted, position)
    late = month is not None and has_late(session, organization_id, month)
    calls = None if late else plain_calls(session, organization_id, window)
    corrected = calls is None
    if calls is None:
        calls = listed_calls(session.kind, organization_id, window, closed=late)
    # Corrections need whole rows, and elsewhere than on SQLite usage that was not stored does too.
    makes_usage = session.kind is DatabaseKind.SQLITE
    if columns is not None and not corrected and (makes_usage or "usage" not in columns):
        return _narrow(session, calls, selection, wanted, position, size, columns)
    statement = statement_of(calls, selection, wanted, COLUMNS)
    if position is not None:
        statement = statement.where(after(wanted, position))
    found = session.rows(statement.limit(size))
    if not found:
        return [], None
    first, last = found[0], found[-1]
    end = (int(last[_TIME]), last[_ID]) if len(found) == size else None
    rows: list[Sequence[Any]] = list(found)
    if corrected:
        rows = _net(session, organization_id, first[_TIME], last[_TIME], found, late=late)
    if late:
        rows = with_event_ids(session, organization_id, rows)
    if columns is not None:
        rows = list(map(picker(columns), rows))
    return rows, end


def _rows_like(page: Rows) -> int:
    """How many rows to read after a page: as many as take little memory if they are alike."""
    if not isinstance(page, JoinedRows):
        return BATCH_ROWS
    characters = sum(len(column.text) for column in page.columns)
    return max(1, min(NARROW_ROWS, NARROW_CHARACTERS * len(page) // characters))


def _narrow(
    session: ReadSession,
    calls: Calls,
    selection: Selection,
    wanted: Order,
    position: tuple[int, str] | None,
    size: int,
    columns: Sequence[str],
) -> tuple[Rows, tuple[int, str] | None]:
    """The same of calls that have no corrections: nothing is read but these columns."""
    asked = (*columns, "timestamp", "id")
    read = tuple(dict.fromkeys(asked))
    places = [read.index(name) for name in asked]
    instead = {"list_cost_e10": calls.column("list_cost_e10"), "usage": _USAGE_TEXT}
    statement = statement_of(calls, selection, wanted, read, instead)
    if position is not None:
        statement = statement.where(after(wanted, position))
    page = joined(session, statement, size)
    if page is not None:
        *_, times, ids = found = [page.columns[place] for place in places]
        end = (int(times.last()), ids.last()) if len(page) == size else None
        return JoinedRows(found), end
    rows = session.rows(statement.limit(size))
    if len(read) < len(asked):
        rows = list(map(itemgetter(*places), rows))
    return rows, (int(rows[-1][-2]), rows[-1][-1]) if len(rows) == size else None


def picker(columns: Sequence[str]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What takes the values of these columns from a row in COLUMNS order, and time and id behind
    them: the list cost is the cost where no other is stored, and usage is made where none is."""
    places = [_PLACE[name] for name in columns]
    get: Callable[[Sequence[Any]], Sequence[Any]] = itemgetter(*places, _TIME, _ID)
    lists = [n for n, place in enumerate(places) if place == _LIST]
    usages = [n for n, place in enumerate(places) if place == _USAGE]

    def pick(row: Sequence[Any]) -> Sequence[Any]:
        values = list(get(row))
        for place in lists:
            if values[place] is None:
                values[place] = row[_COST]
        for place in usages:
            if values[place] is None:
                values[place] = usage_text(row)
        return values

    return pick


def _net(
    session: ReadSession,
    organization_id: str,
    one_end: int,
    other_end: int,
    found: Sequence[Any],
    *,
    late: bool,
) -> list[Sequence[Any]]:
    window = Window(min(one_end, other_end), max(one_end, other_end) + 1)
    corrections = _corrections(session, organization_id, window, late=late)
    if not corrections:
        return list(found)
    rows: list[Sequence[Any]] = []
    for row in found:
        made = corrections.get(row[_ID])
        if made is None:
            rows.append(row)
        elif (net := apply_corrections(dict(zip(COLUMNS, row, strict=True)), made)) is not None:
            rows.append([net[name] for name in COLUMNS])
    return rows


def _corrections(
    session: ReadSession, organization_id: str, window: Window, *, late: bool
) -> dict[str, list[Mapping[str, Any]]]:
    """The corrections of the calls in a window by call, oldest first; where there are late ones,
    without these."""
    table = usage_corrections.c
    statement = (
        select(usage_corrections)
        .where(
            table.organization_id == organization_id,
            table.timestamp >= window.start_us,
            table.timestamp < window.end_us,
            *([on_time(usage_corrections)] if late else ()),
        )
        .order_by(table.id)
    )
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in session.execute(statement).mappings():
        found.setdefault(row["record_id"], []).append({str(k): v for k, v in row.items()})
    return found


def with_event_ids(
    session: ReadSession, organization_id: str, rows: list[Sequence[Any]]
) -> list[Sequence[Any]]:
    """The rows with the event ids that their calls had before an import was undone."""
    given_up = [row[_ID] for row in rows if row[_EVENT].startswith(RELEASED)]
    known = event_ids_of(session, organization_id, given_up) if given_up else {}
    if not known:
        return rows
    return [
        [*row[:_EVENT], known[row[_ID]], *row[_EVENT + 1 :]] if row[_ID] in known else row
        for row in rows
    ]


@lru_cache(maxsize=64)
def line_encoder(fields: tuple[str, ...]) -> Callable[[Sequence[Sequence[Any]]], bytes]:
    """What turns net rows (values in COLUMNS order) into NDJSON with these fields."""
    shape = msgspec.defstruct("CallLine", [(name, Any) for name in fields], gc=False)
    pick = itemgetter(*(_PLACE[_OF_COLUMN.get(name, name)] for name in fields))
    encode_lines = msgspec.json.Encoder().encode_lines

    def one_line(row: Sequence[Any]) -> msgspec.Struct:
        values = pick(_shown(row))
        return shape(*values) if len(fields) > 1 else shape(values)

    return lambda rows: encode_lines([one_line(row) for row in rows])


def _shown(row: Sequence[Any]) -> list[Any]:
    """The values of a row as JSON shows them."""
    values = list(row)
    usage = values[_USAGE]
    values[_USAGE] = msgspec.Raw((usage_text(row) if usage is None else usage).encode())
    cost = values[_COST] = _money(row[_COST])
    values[_LIST] = cost if row[_LIST] is None else _money(row[_LIST])
    values[_PROVIDER_COST] = _money(row[_PROVIDER_COST])
    values[_TIME] = _instant(row[_TIME])
    values[_RECEIVED] = _instant(row[_RECEIVED])
    tags, metadata = row[_TAGS], row[_METADATA]
    values[_TAGS] = _NO_TAGS if tags is None else msgspec.Raw(tags.encode())
    values[_METADATA] = _NO_METADATA if metadata is None else msgspec.Raw(metadata.encode())
    return values


def usage_text(row: Sequence[Any]) -> str:
    """The usage of a row that has none stored, from its columns, as JSON."""
    counts = [f'"{kind}":{row[place]}' for kind, place in _KINDS if row[place]]
    return f"{{{','.join(counts)}}}"


def _money(units: int | None) -> msgspec.Raw | None:
    if units is None:
        return None
    return msgspec.Raw(format_e10(units).rstrip("0").rstrip(".").encode())


def _instant(micros: int) -> str:
    second, fraction = divmod(micros, 1_000_000)
    minute, second = divmod(second, 60)
    if fraction:
        return f"{_minute(minute)}{second:02d}.{fraction:06d}Z"
    return f"{_minute(minute)}{second:02d}Z"


@lru_cache(maxsize=10_000)
def _minute(minute: int) -> str:
    return from_micros(minute * 60_000_000).strftime("%Y-%m-%dT%H:%M:")
