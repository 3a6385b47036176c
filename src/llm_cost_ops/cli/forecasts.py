"""`cost-ops forecast`: what comes after the end of a series, or of what the ledger holds, and how
far it can be trusted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.anomalies import anomalies
from llm_cost_ops.cli.budget_forecasts import budget
from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.costs import EndDate, Filters, StartDate, Zone
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.ledger_series import asked_of, refuse_beside_series, series_from
from llm_cost_ops.cli.output import Column, Listing, pretty, show_rows
from llm_cost_ops.cli.profile import Output, Profile
from llm_cost_ops.cli.seriesfile import (
    AsOf,
    Gaps,
    GapsAre,
    SeriesFile,
    StepLength,
    named_as_typed,
    number_of,
    rounded,
    series_of,
)
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import plain

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
    start_date: StartDate = None,
    end_date: EndDate = None,
    timezone: Zone = None,
    filter_: Filters = None,
    holiday: Annotated[
        list[str] | None, typer.Option(help="A date that is no ordinary day; repeatable.")
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", help="Dimensions with commas; each value is forecast, too."),
    ] = None,
) -> int:
    """Forecast what the ledger's calls cost, or any series of dates and values from a file.

    Without --series the forecast is of the local database or the server, by days, and is kept
    there; --filter, --start-date, --end-date and --timezone say of what. With --series nothing but
    the file is needed.

    `auto` combines the models that forecast the series' own past best. The intervals come from
    their errors there; `backtest` tells those errors and how many values the intervals would have
    held. The exit code is 1 with FORECAST_001 when the series is shorter than 7 days, or than 7
    weeks or months.

    $ cost-ops forecast generate --horizon 30
    $ cost-ops forecast generate --filter project_id=search --interval week --model linear
    $ cost-ops forecast generate --group-by project --model linear -o csv
    $ cost-ops forecast generate --series daily.csv --horizon 30
    $ cost-ops forecast generate --series hourly.csv --interval day --model linear -o csv
    """
    of = asked_of(interval, start_date, end_date, timezone, filter_, group_by)
    if series is None:
        with named_as_typed("confidence"):
            share = _share(confidence)
        how = {"horizon": horizon, "model": model, "confidence_level": Decimal(str(share))}
        _of_ledger(profile, {**how, **of, **({"holidays": holiday} if holiday else {})})
        return OK
    refuse_beside_series({name: value for name, value in of.items() if name != "interval"})
    from llm_cost_ops.core.instant import parse_day
    from llm_cost_ops.forecasting.holidays import generate_with as forecast

    with named_as_typed("horizon", "interval", "confidence", "as_of", "holiday"):
        share = _share(confidence)
        days = frozenset(parse_day(day, "holiday") for day in holiday or ())
        past = series_of(series, interval, gaps, as_of)
        made = forecast(past, horizon, days, model=model, confidence=share)
    _show(profile, made.document(), past, made)
    return OK


def _of_ledger(profile: Profile, asked: dict[str, Any]) -> None:
    from llm_cost_ops.cli.connect import connected
    from llm_cost_ops.forecasting.forecast import Backtest, Forecast, Prediction

    plotted = profile.format is Output.TABLE
    with connected(profile) as api:
        answer = dict(api.change("POST", "/forecasts", {**asked, "include_history": plotted}))
    past = series_from(answer.pop("history", []), answer["frequency"]) if plotted else None
    ahead = tuple(
        Prediction(row["date"], *(float(row[name]) for name in FIELDS[1:]))
        for row in answer["predictions"]
    )
    untested = Backtest(None, 0.0, 0.0, 0, 0)
    drawn = Forecast(answer["model"], answer["frequency"], 0.0, ahead, untested, 0, 0)
    _show(profile, answer, past, drawn)


def _share(text: str) -> float:
    from llm_cost_ops.forecasting.forecast import check_confidence

    try:
        share = float(number_of(text, "confidence"))
    except DomainError:
        share = -1.0  # no number is out of range as well, and the range is what to tell
    check_confidence(share)
    return share


forecast = group("Forecasts and anomalies of costs, or of any dated series.", generate)
command(forecast, "generate", organization=True)(generate)
command(forecast, "anomalies", organization=True)(anomalies)
command(forecast, "budget", organization=True)(budget)


def _show(profile: Profile, document: dict[str, Any], past: Series | None, made: Forecast) -> None:
    if profile.format is Output.JSON:
        sys.stdout.write(pretty(document) + "\n")
        return
    rows: list[dict[str, Any]] = document["predictions"]
    if past is not None and profile.format is Output.TABLE:
        from llm_cost_ops.cli.plots import plot

        print(plot(past, made))
    columns = [Column("date", kind="time")]
    columns += [Column(name, kind="number", read=rounded(name)) for name in FIELDS[1:]]
    fields = FIELDS
    if "groups" in document and profile.format is not Output.TABLE:
        fields = ("group", *FIELDS)
        rows = [
            {**row, "group": name}
            for name, of in (("all", document), *((g["value"], g) for g in document["groups"]))
            for row in of["predictions"]
        ]
    show_rows(profile, rows, Listing(columns, fields, notes=lambda _: _notes(document)))


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
    for part in document.get("groups", ()):
        yield _part(part, document["currency"])
    if document.get("groups") and document["groups_left_out"]["count"]:
        yield f"And {document['groups_left_out']['count']} more, which cost less."
    if document.get("drivers"):
        yield _because(document["drivers"], document["currency"])
    for each in document.get("left_out", ()):
        what = each.get("date") or each["currency"]
        yield f"Left out: {what} ({each['reason']}, {plain(Decimal(str(each['cost'])))})."


def _part(part: dict[str, Any], currency: str) -> str:
    """What one value adds up to, or why nothing can be said of it."""
    if "error" in part:
        return f"{part['value']}: {part['error']['message']}."
    low, middle, high = (
        f"{Decimal(str(part['total'][name])):,.2f}"
        for name in ("lower_bound", "predicted_cost", "upper_bound")
    )
    return f"{part['value']}: {middle} {currency} in all, between {low} and {high}."


def _because(drivers: dict[str, Any], currency: str) -> str:
    """The change from the last period in words."""
    parts = ", ".join(
        f"{each['name'].replace('_', ' ')} {Decimal(str(each['amount'])):+.2f}"
        for each in drivers["parts"]
    )
    change = Decimal(str(drivers["change"]))
    return f"Against the last period {change:+.2f} {currency}: {parts}."
