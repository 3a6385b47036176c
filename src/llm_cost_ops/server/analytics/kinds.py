"""Quantities by usage kind: from the columns of calls that need no more, else from their `usage`.

Reads every call of the selection: rollups hold only the kinds that have a column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import ColumnElement, Text
from sqlalchemy import cast as sql_cast

from llm_cost_ops.core.usage import Quantity
from llm_cost_ops.server.analytics.calls import Expression
from llm_cost_ops.server.analytics.grouped import Grouped, Key, grouped, key_of
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.sources import calls_source
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.dialects import exact_sum, read_sum
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.ledger.wire import COLUMN_KINDS

BATCH_ROWS = 5_000


def kinds_of(totals: Totals) -> dict[str, Quantity]:
    """The kinds that have a column of their own, zero kinds left out."""
    found: dict[str, Quantity] = {
        kind: totals.of_kind(column) for kind, column in COLUMN_KINDS.items()
    }
    return {kind: quantity for kind, quantity in found.items() if quantity}


def read_kinds(
    session: ReadSession, selection: Selection, grouping: Grouping
) -> dict[Key, dict[str, Quantity]]:
    """Inclusive quantities of every kind per group, zero kinds left out, in order of kind."""
    source = calls_source(session, selection)
    usage = source.usage
    if usage is None:
        raise LookupError("usage")
    made = grouped(source, grouping)
    found: dict[Key, dict[str, Quantity]] = {}
    _add_columns(session, made, usage, source.sums, grouping, found)
    _add_usages(session, made, usage, grouping, found)
    return {
        key: {kind: quantity for kind, quantity in sorted(kinds.items()) if quantity}
        for key, kinds in found.items()
    }


def _add_columns(
    session: ReadSession,
    made: Grouped,
    usage: Expression,
    columns: Mapping[str, Expression],
    grouping: Grouping,
    found: dict[Key, dict[str, Quantity]],
) -> None:
    plain = replace(made, where=(*made.where, usage.is_(None)))

    def aggregates(of: Mapping[str, Any]) -> list[ColumnElement[Any]]:
        names = COLUMN_KINDS.values()
        return [c for name in names for c in exact_sum(session.kind, of[name], name)]

    named = {name: columns[name] for name in COLUMN_KINDS.values()}
    for row in session.execute(plain.totals(named, aggregates)).mappings():
        read = cast("Mapping[str, Any]", row)
        counts = {kind: read_sum(read, name) or 0 for kind, name in COLUMN_KINDS.items()}
        _add(found, key_of([*row.values()], grouping), counts)


def _add_usages(
    session: ReadSession,
    made: Grouped,
    usage: Expression,
    grouping: Grouping,
    found: dict[Key, dict[str, Quantity]],
) -> None:
    detailed = replace(made, where=(*made.where, usage.is_not(None)))
    statement = detailed.rows({"usage_text": sql_cast(usage, Text())})
    width = len(detailed.columns)
    for row in session.execute(statement.execution_options(yield_per=BATCH_ROWS)):
        quantities = json.loads(row[width], parse_float=Decimal)
        _add(found, key_of(row, grouping), quantities)


def _add(
    found: dict[Key, dict[str, Quantity]], key: Key, quantities: Mapping[str, Quantity]
) -> None:
    known = found.setdefault(key, {})
    for kind, quantity in quantities.items():
        known[kind] = known.get(kind, 0) + quantity
