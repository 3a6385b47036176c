"""`cost-ops forecast`: what comes after the end of a series, and how far it can be trusted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.anomalies import anomalies
from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, pretty, show_rows
from llm_cost_ops.cli.profile import Output, Profile
from llm_cost_ops.cli.seriesfile import (
    AsOf,
    Gaps,
    GapsAre,
    SeriesFile,
    StepLength,
    named_as_typed,
    named_file,
    number_of,
    rounded,
    series_of,
)
from llm_cost_ops.core.errors import DomainError

if TYPE_CHECKING:
    from llm_cost_ops.core.series import Series
    from llm_cost_ops.forecasting.forecast import Forecast


class Model(StrEnum):
    """Models by name."""

    AUTO = "auto"
    LINEAR = "linear"
    MOVING_AVERAGE = "moving_average"
    EXPONENTIAL_SMOOTHING = "exponential_smoothing"


FIELDS = ("date", "value", "lower_bound", "upper_bound")


def generate(
    profile: Profile,
    series: SeriesFile = None,
    horizon: Annotated[int, typer.Option(help="How many steps ahead, 1 to 1000.")] = 30,
    interval: StepLength = None,
    model: Annotated[
        Model, typer.Option(help="auto needs the extra `forecast`, the others need nothing.")
    ] = Model.AUTO,
    confidence: Annotated[
        str,
        typer.Option(metavar="SHARE", help="Share of outcomes inside the interval, 0.5 to 0.99."),
    ] = "0.95",
    gaps: GapsAre = Gaps.MISSING,
    as_of: AsOf = None,
) -> int:
    """Forecast a series of dates and values, without a server or a database.

    `auto` combines the models that forecast the series' own past best. The intervals come from
    their errors there; `backtest` tells those errors and how many values the intervals would have
    held. The exit code is 1 with FORECAST_001 when the series is shorter than 7 days, or than 7
    weeks or months.

    $ cost-ops forecast generate --series daily.csv --horizon 30
    $ cost-ops forecast generate --series hourly.csv --interval day --model linear -o csv
    $ cost-ops query --group-by day --order-by day --range last-90-days -o csv > days.csv
    $ cost-ops forecast generate --series days.csv --interval day --gaps zero -o json
    """
    file = named_file(series, "forecasts")
    from llm_cost_ops.forecasting.forecast import generate as forecast

    with named_as_typed("horizon", "interval", "confidence", "as_of"):
        share = _share(confidence)
        past = series_of(file, interval, gaps, as_of)
        made = forecast(past, horizon, model=model, confidence=share)
    _show(profile, past, made)
    return OK


def _share(text: str) -> float:
    from llm_cost_ops.forecasting.forecast import check_confidence

    try:
        share = float(number_of(text, "confidence"))
    except DomainError:
        share = -1.0  # no number is out of range as well, and the range is what to tell
    check_confidence(share)
    return share


forecast = group("Forecasts of costs, or of any series of dates and values.", generate)
command(forecast, "generate")(generate)
command(forecast, "anomalies")(anomalies)


def _show(profile: Profile, past: Series, made: Forecast) -> None:
    document = made.document()
    if profile.format is Output.JSON:
        sys.stdout.write(pretty(document) + "\n")
        return
    rows: list[dict[str, Any]] = document["predictions"]
    if profile.format is Output.TABLE:
        from llm_cost_ops.cli.plots import plot

        print(plot(past, made))
    columns = [Column("date", kind="time")]
    columns += [Column(name, kind="number", read=rounded(name)) for name in FIELDS[1:]]
    show_rows(profile, rows, Listing(columns, FIELDS, notes=lambda _: _notes(document)))


def _notes(document: dict[str, Any]) -> Iterator[str]:
    test = document["backtest"]
    yield f"Model: {document['model']}, by {document['frequency']}."
    told = [f"sMAPE {test['smape']:.3f}"]
    if test["mase"] is not None:
        told.insert(0, f"MASE {test['mase']:.3f}")
    told.append(f"{test['coverage']:.1%} of the values inside the interval")
    yield (
        f"Back-test, {test['origins']} times {test['horizon']} steps of the past: "
        f"{', '.join(told)}."
    )
    share = document["interval"]["confidence"]
    yield f"Interval: {share:.3%} by the errors of the back-test.".replace(".000%", "%")
    if document["missing"]:
        yield f"{document['missing']} steps of the series have no value."
