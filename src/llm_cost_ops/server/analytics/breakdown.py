"""The total of a selection broken down by dimensions: each on its own, or all together."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.analytics.aggregate import Question, Row, aggregate
from llm_cost_ops.server.analytics.currencies import by_currency, settled
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.analytics.groups import Groups, read_groups
from llm_cost_ops.server.analytics.selection import Grouping, Selection
from llm_cost_ops.server.analytics.summary import period_of, totals_of
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession

_SHARE = Decimal("0.000001")
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


def breakdown(
    session: ReadSession, selection: Selection, question: Question, home_currency: str
) -> list[Row]:
    """For each dimension on its own its groups: `dimension`, `value`, `share` of the total cost of
    their currency (0 to 1), and metrics; dearest first unless another order is asked for."""
    totals = by_currency(overall(session, selection, home_currency))
    rows: list[Row] = []
    for dimension in question.dimensions:
        order = question.order or (("total_cost", True),)
        asked = Question((dimension,), question.metrics, order, question.limit)
        found = aggregate(session, selection, asked, home_currency).rows
        rows += [_told(row, (dimension,), totals) for row in found]
    return rows


def grouped_summary(
    session: ReadSession, selection: Selection, question: Question, home_currency: str
) -> dict[str, object]:
    """Totals and a `breakdown` by all dimensions together."""
    groups = overall(session, selection, home_currency)
    totals = by_currency(groups)
    rows: list[Row] = []
    if question.dimensions:
        found = aggregate(session, selection, question, home_currency).rows
        rows = [_told(row, question.dimensions, totals) for row in found]
    return {
        **totals_of(groups, home_currency),
        **period_of(selection),
        "group_by": [dimension.key for dimension in question.dimensions],
        "breakdown": rows,
    }


def overall(session: ReadSession, selection: Selection, home_currency: str) -> Groups:
    """The totals of a selection as one group per currency."""
    groups = read_groups(session, selection, Grouping((), {}))
    return settled(groups, home_currency, by_currency=False)


def _told(row: Row, by: Sequence[Dimension], totals: dict[str, Totals]) -> Row:
    whole = totals.get(str(row["currency"]))
    values = [row[dimension.key] for dimension in by]
    return {
        "dimension": ",".join(dimension.key for dimension in by),
        "value": values[0] if len(by) == 1 else ",".join(str(value) for value in values),
        **row,
        "share": None if whole is None else share(row["total_cost"], whole.cost),
    }


def share(cost: object, whole_e10: int) -> Decimal | None:
    """The part of a whole with six places; None for an unknown cost or a whole of nothing."""
    if not isinstance(cost, Decimal) or whole_e10 == 0:
        return None
    return _WIDE.divide(cost, from_e10(whole_e10)).quantize(_SHARE, context=_WIDE)
