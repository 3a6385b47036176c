"""What will be spent: a forecast of the cost from the period on, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_micros, to_micros
from llm_cost_ops.core.money import EXACT, PLACES, plain
from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Figure,
    Figures,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.forecasts.make import make_forecast, read_past
from llm_cost_ops.server.forecasts.terms import Terms
from llm_cost_ops.server.reports.blocks import Made, Options, titled
from llm_cost_ops.server.reports.material import Material

SHOWN = 90
"""Steps of the past in the chart."""
Row = Mapping[str, Any]
_TOTALS = (
    ("Expected", "predicted_cost"),
    ("At least", "lower_bound"),
    ("At most", "upper_bound"),
)


def forecast(material: Material, options: Options) -> Made:
    """Reads the past; the forecast is made when no connection is held."""
    title = titled(options, "Forecast")
    terms = material.wanted.terms
    if terms is None:
        return Section(title, (Text("There is nothing to forecast."),))
    try:
        past = read_past(material.session, terms, material.currency, to_micros(material.at.now))
    except DomainError as error:
        return Section(title, (Text(f"No forecast: {error.message}."),))
    query = _query(material, terms)

    def made() -> Section:
        try:
            document = make_forecast(past)
        except DomainError as error:
            return Section(title, (Text(f"No forecast: {error.message}."),))
        return Section(title, _blocks(document, query))

    return made


def _query(material: Material, terms: Terms) -> str:
    window = terms.selection.window
    more: dict[str, str] = {
        "horizon": str(terms.horizon),
        "forecast_model": terms.model,
        "confidence_level": str(terms.confidence),
        "interval": terms.step,
        "include_history": "true",
    }
    if terms.currency is not None:
        more["currency"] = terms.currency
    start = window.start_us > ALL_TIME.start_us
    bounds = {"start_date": format_micros(window.start_us)} if start else {}
    if window.end_us < ALL_TIME.end_us:
        bounds["end_date"] = format_micros(window.end_us)
    return material.query("/forecasts", None, **{**more, **bounds})


def _blocks(found: Row, query: str) -> tuple[Block, ...]:
    currency = str(found["currency"])
    total: Row = found["total"]
    figures = Figures(
        tuple(
            Figure(label, "money", _e10(total[name]), currency, None, query)
            for label, name in _TOTALS
        )
    )
    text = Text(
        f"The sum of the next {found['horizon']} {found['frequency']}s, by the model "
        f"{str(found['model']).replace('_', ' ')} of what was spent from "
        f"{found['history_start']} to {found['history_end']}. If things go on as before, "
        f"{plain(found['confidence_level'] * 100)} of 100 outcomes lie between “at least” and "
        "“at most”."
    )
    blocks: list[Block] = [figures, text, _band(found, currency, query)]
    if found["unpriced_requests"]:
        blocks.append(
            Text(f"Not in it: {calls(found['unpriced_requests'])} of the past without a price.")
        )
    blocks.append(_table(found, currency, query))
    return tuple(blocks)


def _band(found: Row, currency: str, query: str) -> Chart:
    past = cast("list[Row]", found["history"])[-SHOWN:]
    ahead = cast("list[Row]", found["predictions"])
    labels = tuple(str(row["date"]) for row in (*past, *ahead))

    def beyond(name: str) -> tuple[Cell, ...]:
        return (*([None] * len(past)), *(_e10(row[name]) for row in ahead))

    actual = (*(_e10(row["value"]) for row in past), *([None] * len(ahead)))
    return Chart(
        "band",
        "Cost, past and expected",
        f"Expected from {ahead[0]['date']} to {ahead[-1]['date']} with an interval.",
        labels,
        (
            Series("actual", actual),
            Series("forecast", beyond("value")),
            Series("low", beyond("lower_bound")),
            Series("high", beyond("upper_bound")),
        ),
        currency=currency,
        query=query,
    )


def _table(found: Row, currency: str, query: str) -> Table:
    return Table(
        "Expected cost",
        (
            Column("Date"),
            *(Column(name, "money", currency) for name in ("Expected", "At least", "At most")),
        ),
        tuple(
            (str(row["date"]), *(_e10(row[n]) for n in ("value", "lower_bound", "upper_bound")))
            for row in cast("list[Row]", found["predictions"])
        ),
        query=query,
    )


def _e10(value: Decimal | int | None) -> int | None:
    """An estimate in units of 1e-10."""
    if value is None:
        return None
    return int(Decimal(value).scaleb(PLACES, EXACT).to_integral_value(context=EXACT))
