"""Groups of calls as an exported table: what `GET /costs/aggregate` answers, in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import EXACT, PLACES
from llm_cost_ops.server.analytics.aggregate import Question, aggregate
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import report
from llm_cost_ops.server.exports.columns import GROUPS, Batch, Column, Exported, Kind

_MONEY = frozenset(
    {"total_cost", "sum", "cost", "amount", "calculated_cost", "list_cost", "min", "max"}
)
_NUMBERS = frozenset({"avg", "average", "mean", "stddev", "median", "cost_per_1k_tokens"})
_ALWAYS = (
    "requests", "total_tokens", "total_cost", "avg", "min", "max", "unpriced_count",
    "partially_priced_count",
)  # fmt: skip
KINDS = "tokens_by_kind"


def groups(
    database: Database, selection: Selection, question: Question, home_currency: str
) -> Exported:
    """The groups that a question asks for, read when the first row is."""
    dimensions = tuple(Column(d.key, Kind.TEXT) for d in question.dimensions)
    asked = [*question.metrics.asked, *question.metrics.names]
    asked += [name for name, _ in question.metrics.percents]
    asked += [KINDS] if question.metrics.kinds else []
    names = tuple(dict.fromkeys([*_ALWAYS, *asked]))
    columns = (
        *dimensions,
        *(
            []
            if any(each.name == "currency" for each in dimensions)
            else [Column("currency", Kind.TEXT)]
        ),
        *(Column(name, _kind(name)) for name in names),
    )
    rows = _rows(database, selection, question, home_currency, columns)
    # A call with several tags is in several groups: their sum would count it more than once.
    overlapping = any(each.tag is not None for each in question.dimensions)
    return Exported(GROUPS, columns, rows, adds_up=not overlapping)


def _kind(name: str) -> Kind:
    if name == KINDS:
        return Kind.JSON
    if name in _MONEY:
        return Kind.MONEY
    if name in _NUMBERS or (name.startswith(("p", "percentile_")) and name[-1:].isdigit()):
        return Kind.NUMBER
    if "cost_per" in name or name.startswith(("avg_", "average_")):
        return Kind.NUMBER
    return Kind.COUNT


def _rows(
    database: Database,
    selection: Selection,
    question: Question,
    home_currency: str,
    columns: Sequence[Column],
) -> Iterator[Batch]:
    with report(database) as session:
        answer = aggregate(session, selection, question, home_currency)
    if answer.rows:
        yield [[_value(column, row) for column in columns] for row in answer.rows]


def _value(column: Column, row: Mapping[str, Any]) -> Any:
    value = row.get(column.name)
    if value is None:
        return None
    if column.kind is Kind.MONEY:
        return int(Decimal(value).scaleb(PLACES, EXACT))
    if column.kind is Kind.NUMBER:
        return Decimal(value)
    if column.kind is Kind.JSON:
        return dumps(value)
    return str(value) if column.kind is Kind.TEXT else value
