"""`cost-ops forecast anomalies`: the points of a series, or of what the ledger holds, that are not
as they should have been."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.costs import EndDate, Filters, StartDate, Zone
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.ledger_series import asked_of, refuse_beside_series
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile
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

if TYPE_CHECKING:
    from llm_cost_ops.anomalies import Anomaly
    from llm_cost_ops.core.series import Series


class Method(StrEnum):
    """Ways to find anomalies."""

    AUTO = "auto"
    ZSCORE = "zscore"
    IQR = "iqr"
    MAD = "mad"
    SEASONAL = "seasonal"


class Sensitivity(StrEnum):
    """How readily points are flagged."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


NUMBERS = ("actual_cost", "expected_cost", "lower", "upper")
FIELDS = ("date", *NUMBERS, "severity", "score")


def anomalies(
    profile: Profile,
    series: SeriesFile = None,
    method: Annotated[
        Method, typer.Option(help="auto and seasonal know hours of the day and days of the week.")
    ] = Method.AUTO,
    threshold: Annotated[
        str | None,
        typer.Option(help="Multiple of the method's unit: 3 zscore, 1.5 iqr, 3.5 mad, 5 others."),
    ] = None,
    sensitivity: Annotated[
        Sensitivity, typer.Option(help="high flags more; a given threshold stands.")
    ] = Sensitivity.MEDIUM,
    min_amount: Annotated[
        str, typer.Option(help="Pass over points that differ from the expected value by less.")
    ] = "0",
    interval: StepLength = None,
    gaps: GapsAre = Gaps.MISSING,
    as_of: AsOf = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    timezone: Zone = None,
    filter_: Filters = None,
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", help="Dimensions with commas; each value is judged by itself."),
    ] = None,
) -> int:
    """Find anomalies in what the ledger's calls cost, or in any series of dates and values.

    Without --series the local database or the server is asked: the last 30 days, or 7 days of
    hours, or the dates that are given. With --series nothing but the file is needed.

    Only flagged points are printed, in order. `auto` and `seasonal` judge each point by those
    before it: the first two days of hours, or three weeks of days, are learnt from, and a note on
    standard error says how many were judged. The other methods judge by the whole series.

    $ cost-ops forecast anomalies --group-by model --interval hour
    $ cost-ops forecast anomalies --series daily.csv
    $ cost-ops forecast anomalies --series hourly.csv --sensitivity high --min-amount 5 -o json
    $ cost-ops forecast anomalies --series daily.csv --method zscore --threshold 3 -o csv
    """
    of = asked_of(interval, start_date, end_date, timezone, filter_, group_by)
    if series is None:
        how = {"method": method, "sensitivity": sensitivity, "min_amount": min_amount}
        _of_ledger(
            profile, {**how, **of, **({} if threshold is None else {"threshold": threshold})}
        )
        return OK
    refuse_beside_series({name: value for name, value in of.items() if name != "interval"})
    from llm_cost_ops.anomalies import Options, detect, learning

    with named_as_typed("threshold", "min_amount", "interval", "as_of"):
        options = Options(
            method=method,
            threshold=None if threshold is None else float(number_of(threshold, "threshold")),
            sensitivity=sensitivity,
            min_amount=number_of(min_amount, "min_amount"),
        )
        read = series_of(series, interval, gaps, as_of)
        found = detect(read, options)
    _show(profile, found, read, learning(read.step, method))
    return OK


def _of_ledger(profile: Profile, asked: dict[str, Any]) -> None:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.ask("/forecasts/anomalies", asked)
    columns = [
        Column("date", kind="time"),
        *([Column("value", asked["group_by"])] if "group_by" in asked else []),
        *_columns(),
        Column("currency"),
    ]
    rows = rows_of(answer)
    fields = ("date", "dimension", "value", "currency", *FIELDS[1:])
    listing = Listing(columns, fields, tail_of(answer), empty="No anomaly found.")
    show_rows(profile, rows, listing)


def _columns() -> list[Column]:
    return [
        Column("actual_cost", "actual", "number"),
        *(Column(name, name.removesuffix("_cost"), "number", read=rounded(name))
          for name in NUMBERS[1:]),
        Column("severity"),
        Column("score", kind="number"),
    ]  # fmt: skip


def _show(profile: Profile, found: list[Anomaly], read: Series, learnt: int) -> None:
    """The flagged points, and on standard error how many points were judged."""
    columns = [Column("date", kind="time"), *_columns()]
    known = len(read) - len(read.missing())
    listing = Listing(columns, FIELDS, empty=_none_found(read.step, known, learnt))
    show_rows(profile, [asdict(anomaly) for anomaly in found], listing)
    if not learnt:
        return
    rest = max(0, known - learnt)
    judged = f"{rest or 'nothing'} {'were' if rest > 1 else 'was'}"
    profile.note(
        f"{_counted(known, read.step)}; the first {learnt} are learnt from: {judged} judged"
    )


def _none_found(step: str, known: int, learnt: int) -> str:
    """What a table without a row says; it claims no more than was judged."""
    if not learnt:
        return "No anomaly found."
    if known <= learnt:
        return "Nothing was judged."
    return f"No anomaly found in the last {_counted(known - learnt, step)}."


def _counted(count: int, step: str) -> str:
    return f"{count} {step}{'' if count == 1 else 's'}"
