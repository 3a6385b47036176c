"""A forecast of what an organization spends: read from the ledger, then made without a database.

Reading is one thing and forecasting another, so that no connection is held while models are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.money import E10, from_e10
from llm_cost_ops.core.series import Series, month_after, steps_from, trimmed
from llm_cost_ops.forecasting.asks import Ask, Outcome
from llm_cost_ops.forecasting.forecast import Forecast, number
from llm_cost_ops.forecasting.sums import sums_of
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.forecasts import drivers
from llm_cost_ops.server.forecasts.apart import outcomes_of, required
from llm_cost_ops.server.forecasts.history import (
    History,
    Line,
    first_used,
    read_history,
    series_of,
)
from llm_cost_ops.server.forecasts.parts import Parts, read_parts
from llm_cost_ops.server.forecasts.parts import shown as parts_shown
from llm_cost_ops.server.forecasts.terms import Terms
from llm_cost_ops.server.forecasts.totals import predictions_of, total_of

SHOWN_HISTORY = 400
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """What a forecast is made of: the cost by step, and beside it requests and tokens, and the last
    period. `left_out` is what was not taken, and why."""

    terms: Terms
    currency: str
    series: Series
    requests: Series
    tokens: Series
    last: drivers.LastPeriod
    unpriced: int
    left_out: tuple[Mapping[str, Any], ...]
    parts: Parts = field(default_factory=Parts)


def read_past(session: ReadSession, terms: Terms, home_currency: str, now_us: int) -> Past:
    """What was spent before the forecast. Raises InsufficientData (FORECAST_001)."""
    history = read_history(session, terms.selection, terms.step, now_us=now_us)
    line, others = _chosen(history, terms.currency or home_currency, named=bool(terms.currency))
    known = {index: totals for index, totals in line.totals.items() if totals.requests}
    first = first_used(line)
    last = drivers.last_period(
        session,
        terms.selection,
        line.currency,
        history.made.edges[first:],
        terms.horizon,
    )
    cost = series_of(history, line.totals, first)
    return Past(
        terms,
        line.currency,
        cost,
        _counted(cost, history, known, first, lambda t: t.requests - t.unpriced),
        _counted(cost, history, known, first, lambda t: t.total_tokens),
        last,
        sum(totals.unpriced for totals in line.totals.values()),
        (*_partial(history, line.currency), *_others(others)),
        read_parts(session, terms, line.currency, now_us),
    )


def _chosen(history: History, currency: str, *, named: bool) -> tuple[Line, list[Line]]:
    """The line of a currency, or of the only one that there is, with calls without a price; and the
    lines of other currencies. Raises InsufficientData without any."""
    priced = [line for line in history.lines if line.is_priced]
    found = next((line for line in priced if line.currency == currency), None)
    if found is None and len(priced) == 1 and not named:
        found = priced[0]
    if found is None:
        told = f" in {currency}" if priced else ""
        raise InsufficientData(f"Insufficient data: nothing was spent{told} in this period")
    totals = {index: replace(each) for index, each in found.totals.items()}
    others: list[Line] = []
    for line in history.lines:
        if line.currency == found.currency:
            continue
        if line in priced:
            others.append(line)
            continue
        for index, each in line.totals.items():  # calls without a price are in no currency
            totals.setdefault(index, Totals()).add(each)
    return Line(found.values, found.currency, totals), others


def _counted(
    cost: Series,
    history: History,
    totals: Mapping[int, Totals],
    first: int,
    count: Callable[[Totals], int],
) -> Series:
    """A count in the place of the cost, unknown where the cost is."""
    counts = {i: Totals(requests=1, cost=count(t) * E10) for i, t in totals.items()}
    made = series_of(history, counts, first)
    known = zip(made.values, cost.values, strict=True)
    return replace(made, values=tuple(v if c is not None else None for v, c in known))


def _partial(history: History, currency: str) -> list[Mapping[str, Any]]:
    return [
        {
            "date": label,
            "reason": reason,
            "cost": from_e10(sums[currency].cost if currency in sums else 0),
        }
        for label, reason, sums in history.partial
    ]


def _others(lines: Sequence[Line]) -> list[Mapping[str, Any]]:
    return [
        {
            "currency": line.currency,
            "reason": "another currency",
            "cost": from_e10(line.spent_e10),
        }
        for line in lines
    ]


def make_forecast(past: Past) -> Document:
    """The forecast as it is stored and answered.

    Raises InsufficientData (FORECAST_001), ForecastUnavailable (FORECAST_002), SeriesError.
    """
    terms = past.terms
    made, others, parts = _runs(past)
    document = made.document()
    document["predictions"] = predictions_of(document)
    ago = _year_ago(past.series, terms.horizon)
    for row, before in zip(document["predictions"], ago or (), strict=False):
        row["year_ago"] = before
    total = total_of(made, past.series, float(terms.confidence))
    predicted: Decimal = total["predicted_cost"]
    shown: Document = {
        "requested_model": terms.model,
        **document,
        "horizon": terms.horizon,
        "confidence_level": terms.confidence,
        "currency": past.currency,
        "timezone": terms.selection.zone.key,
        "total": total,
        "metrics": _metrics(made),
        "year_over_year": _year_over_year(ago, predicted),
        "unpriced_requests": past.unpriced,
        "left_out": list(past.left_out),
        "history_start": past.series.label(0),
        "history_end": past.series.label(len(past.series) - 1),
    }
    if terms.drivers:
        shown["drivers"] = _drivers(past, predicted, others)
    if terms.by:
        shown |= parts_shown(past.parts, terms, parts)
    if terms.history:
        shown["history"] = _history(past.series)
    return shown


def _runs(past: Past) -> tuple[Forecast, list[Forecast], list[Outcome]]:
    """The forecast of the cost; where its drivers are asked for and can be told, those of the
    requests and the tokens; and those of the parts. Raises InsufficientData for the cost."""
    terms = past.terms
    counts: list[Series] = []
    if terms.drivers and past.last.is_comparable:
        counts = [past.requests, past.tokens]
    confidence = float(terms.confidence)
    made, *others = outcomes_of(
        [
            Ask(each, terms.horizon, terms.model, confidence, terms.holidays)
            for each in (past.series, *counts, *past.parts.series)
        ]
    )
    return required(made), [required(each) for each in others[: len(counts)]], others[len(counts) :]


def _metrics(made: Forecast) -> Document:
    errors = [error for row in made.errors for error in row]
    test = made.backtest
    return {
        "mae": number(sum(abs(error) for error in errors) / len(errors)),
        "rmse": number((sum(error * error for error in errors) / len(errors)) ** 0.5),
        "mape": number(test.mape),
        "mase": number(test.mase),
        "smape": number(test.smape),
    }


def _drivers(past: Past, predicted: Decimal, others: Sequence[Forecast]) -> Document:
    ahead = [Fraction(sums_of(each).middle[-1]) for each in others]
    counts = (ahead[0], ahead[1]) if ahead else None
    return drivers.split(past.last, round(Fraction(predicted) * E10), counts)


def _year_ago(series: Series, horizon: int) -> list[Decimal] | None:
    """The values of the same dates a year before the forecast; None where one is not known."""
    found: list[Decimal] = []
    for step in range(horizon):
        moment = series.moment(len(series) + step)
        place = steps_from(series.start, month_after(moment, -12, moment.day), series.step)
        value = series.values[place] if 0 <= place < len(series) else None
        if value is None:
            return None
        found.append(value)
    return found


def _year_over_year(ago: Sequence[Decimal] | None, predicted: Decimal) -> Document | None:
    if not ago:
        return None
    before = sum(ago, Decimal())
    change = predicted - before
    return {
        "last_year_cost": before,
        "change": change,
        "ratio": number(float(predicted / before)) if before else None,
    }


def _history(series: Series) -> list[Document]:
    kept = trimmed(series)
    first = max(0, len(kept) - SHOWN_HISTORY)
    return [
        {"date": kept.label(index), "value": kept.values[index]}
        for index in range(first, len(kept))
    ]
