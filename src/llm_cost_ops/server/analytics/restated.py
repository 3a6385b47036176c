"""What the books of a month say of calls of earlier months: how each was, and is since.

Both are rows as a list has them. From one month to the next the state after is the state before, so
that the differences in all books add up to the call as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.months import month_at
from llm_cost_ops.server.analytics.calls import CALL, Calls, Net
from llm_cost_ops.server.analytics.conditions import holds
from llm_cost_ops.server.analytics.pages import COLUMNS
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.stream import BATCH_ROWS, with_event_ids
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import ReadSession, report
from llm_cost_ops.server.ledger.late import recognitions, recognized_in
from llm_cost_ops.server.ledger.store import ADDITIVE, apply_corrections, corrections_of
from llm_cost_ops.server.ledger.wire import usage_of

Row = dict[str, Any]
_AMOUNTS = ("cost_e10", "list_cost_e10")


class Restated(NamedTuple):
    """A call before and after what a month's books say of it; None is a call that is not there."""

    before: Row | None
    after: Row | None


def restated_calls(
    database: Database, selection: Selection, month: str
) -> Iterator[list[Restated]]:
    """Calls of earlier months of which something is in the books of a month, some thousand at a
    time, each lot by the time of the call. Conditions are those on the call as it was recorded."""
    after: str | None = ""
    while after is not None:
        with report(database) as session:
            ids, after = recognized_in(session, selection.organization_id, month, after, BATCH_ROWS)
            found = _restated(session, selection, month, ids)
        if found:
            yield found


def _restated(
    session: ReadSession, selection: Selection, month: str, ids: Sequence[str]
) -> list[Restated]:
    if not ids:
        return []
    organization_id = selection.organization_id
    calls = Calls(session.kind, Net.NONE, CALL, ())
    query = (
        select(*(CALL.c[name] for name in COLUMNS))
        .where(CALL.c.organization_id == organization_id, CALL.c.id.in_(ids))
        .where(*(holds(item, calls.value, session.kind) for item in selection.conditions))
        .order_by(CALL.c.timestamp, CALL.c.id)
    )
    found = with_event_ids(session, organization_id, list(session.execute(query).all()))
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in found]
    corrections = corrections_of(session, organization_id, [row["id"] for row in rows])
    entries = [row["id"] for row in rows]
    entries += [each["id"] for own in corrections.values() for each in own]
    late = recognitions(session, organization_id, entries)
    both = (
        Restated(
            _state(row, corrections.get(row["id"], ()), late, month, included=False),
            _state(row, corrections.get(row["id"], ()), late, month, included=True),
        )
        for row in rows
    )
    return [each for each in both if each.before != each.after]


def _state(
    row: Row,
    corrections: Sequence[Mapping[str, Any]],
    late: Mapping[str, str],
    month: str,
    *,
    included: bool,
) -> Row | None:
    """The call with what is in the books before a month, or of it, too."""

    def counts(entry_id: str) -> bool:
        recognized = late.get(entry_id, "")
        return recognized <= month if included else recognized < month

    if not counts(row["id"]):
        return None
    own = [each for each in corrections if counts(each["id"])]
    net = apply_corrections(dict(row), own)
    return None if net is None else {name: net[name] for name in COLUMNS}


def difference_rows(restated: Restated) -> list[Row]:
    """What a month's books add to a call, as rows: of one that was there and is there in the same
    currency the difference, else what is taken back and what is there instead. What is not a whole
    call has the month of its call in `corrects`."""
    before, after = restated
    if before is None or after is None or before["currency"] != after["currency"]:
        return [*([] if before is None else [_less(_nothing(before), before)]),
                *([] if after is None else [after])]  # fmt: skip
    return [_less(after, before)]


def _nothing(call: Row) -> Row:
    zero = dict.fromkeys(ADDITIVE, 0)
    return {**call, **zero, "usage": "{}", "cost_e10": None, "list_cost_e10": None}


def _less(call: Row, other: Row) -> Row:
    made = {**call, **{name: call[name] - other[name] for name in ADDITIVE}}
    for name in _AMOUNTS:
        one, two = _amount(call, name), _amount(other, name)
        made[name] = None if one is None and two is None else (one or 0) - (two or 0)
    usage, was = usage_of(call), usage_of(other)
    kinds = {kind: usage.get(kind, 0) - was.get(kind, 0) for kind in {**usage, **was}}
    made["usage"] = dumps({kind: amount for kind, amount in kinds.items() if amount})
    made["corrects"] = month_at(int(call["timestamp"]))
    return made


def _amount(call: Row, name: str) -> int | None:
    value = call[name]
    if value is None and name == "list_cost_e10":
        value = call["cost_e10"]
    return None if value is None else int(value)
