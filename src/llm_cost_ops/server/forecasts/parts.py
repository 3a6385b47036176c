"""The forecast of each value of some dimensions, beside that of all: every value by itself, so that
they need not add up to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.series import Series
from llm_cost_ops.forecasting.asks import Outcome
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts.examine import place_of
from llm_cost_ops.server.forecasts.history import Line, first_used, read_history, series_of
from llm_cost_ops.server.forecasts.terms import Terms
from llm_cost_ops.server.forecasts.totals import predictions_of, total_of

MAX_PARTS = 20
MAX_PREDICTIONS = 5_000
"""Of all values together: their horizon leaves room for fewer of them."""
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """The values that are forecast, the dearest first, and how many others cost how much."""

    lines: tuple[Line, ...] = ()
    series: tuple[Series, ...] = ()
    over: int = 0
    over_e10: int = 0


def read_parts(session: ReadSession, terms: Terms, currency: str, now_us: int) -> Parts:
    """What each value cost in a currency. Raises as `read_history` does."""
    if not terms.by:
        return Parts()
    history = read_history(session, terms.selection, terms.step, terms.by, now_us=now_us)
    lines = [line for line in history.lines if line.currency == currency and line.is_priced]
    lines.sort(key=lambda line: (-line.spent_e10, line.values))
    most = min(MAX_PARTS, max(1, MAX_PREDICTIONS // terms.horizon))
    return Parts(
        tuple(lines[:most]),
        tuple(series_of(history, line.totals, first_used(line)) for line in lines[:most]),
        len(lines[most:]),
        sum(line.spent_e10 for line in lines[most:]),
    )


def shown(parts: Parts, terms: Terms, made: Sequence[Outcome]) -> Document:
    """The fields of the answer: `groups`, and what was left out of them."""
    return {
        "groups": [
            _row(terms, line, series, each)
            for line, series, each in zip(parts.lines, parts.series, made, strict=True)
        ],
        "groups_left_out": {"count": parts.over, "total_cost": from_e10(parts.over_e10)},
    }


def _row(terms: Terms, line: Line, series: Series, made: Outcome) -> Document:
    names = tuple(dimension.key for dimension in terms.by)
    dimension, value = place_of(names, line.values)
    row: Document = {
        "dimension": dimension,
        "value": value,
        "group": dict(zip(names, line.values, strict=True)),
        "spent": from_e10(line.spent_e10),
    }
    if isinstance(made, InsufficientData):
        return {**row, "predictions": [], "error": {"code": made.code, "message": made.message}}
    document = made.document()
    return {
        **row,
        "model": document["model"],
        "predictions": predictions_of(document),
        "total": total_of(made, series, float(terms.confidence)),
        "backtest": document["backtest"],
        "history_start": series.label(0),
    }
