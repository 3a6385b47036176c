"""`rates`: the exchange rates of the organization, by day."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

rates = group("Exchange rates that the organization gives: none is guessed.")

FIELDS = (
    "id", "from_currency", "to_currency", "date", "rate", "source", "created_by", "created_at",
)  # fmt: skip
COLUMNS = (
    Column("id"),
    Column("from_currency", "from"),
    Column("to_currency", "to"),
    Column("date"),
    Column("rate"),
    Column("source"),
)
From = Annotated[str, typer.Argument(help="Currency that a rate is of, such as USD.")]
To = Annotated[str, typer.Argument(help="Currency that it is told in, such as EUR.")]
Day = Annotated[str, typer.Argument(help="Day: 2026-10-31.")]
RateId = Annotated[str, typer.Argument(help="Id of a rate (fxr_..).")]


@command(rates, "list", organization=True)
def _list(
    profile: Profile,
    from_currency: Annotated[str | None, typer.Option("--from", help="Rates of this.")] = None,
    to_currency: Annotated[str | None, typer.Option("--to", help="Rates in this.")] = None,
    start_date: Annotated[str | None, typer.Option(help="From this day on.")] = None,
    end_date: Annotated[str | None, typer.Option(help="Up to this day.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List rates in the order in which they were given.

    $ cost-ops rates list --from USD --to EUR
    """
    from llm_cost_ops.cli.connect import connected

    asked = {
        "from_currency": from_currency, "to_currency": to_currency, "start_date": start_date,
        "end_date": end_date, "limit": limit,
    }  # fmt: skip
    with connected(profile) as api:
        answer = api.read("/exchange-rates", {k: v for k, v in asked.items() if v is not None})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No exchange rates.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(rates, "add", organization=True)
def _add(
    profile: Profile,
    from_currency: From,
    to_currency: To,
    date: Day,
    rate: Annotated[str, typer.Argument(help="What one unit was worth, such as 0.9213.")],
    source: Annotated[str, typer.Option("--source", "-s", help="Who says so.")],
) -> int:
    """Give the rate of a day. It counts from that day on, until the next one.

    $ cost-ops rates add USD EUR 2026-10-31 0.9213 --source ECB
    """
    from llm_cost_ops.cli.connect import connected

    body = {
        "from_currency": from_currency, "to_currency": to_currency, "date": date, "rate": rate,
        "source": source,
    }  # fmt: skip
    with connected(profile) as api:
        show_object(profile, api.change("POST", "/exchange-rates", body))
    return OK


@command(rates, "import", organization=True)
def _import(
    profile: Profile,
    file: Annotated[
        typer.FileText, typer.Argument(help="CSV with the columns below; - for standard input.")
    ],
) -> int:
    """Give the rates of a file, all or none: from_currency, to_currency, date, rate, source.

    $ cost-ops rates import rates.csv
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.change("POST", "/exchange-rates/import", {"csv": file.read()})
    show_object(profile, answer, _show_import)
    return OK


@command(rates, "convert", organization=True)
def _convert(
    profile: Profile,
    amount: Annotated[str, typer.Argument(help="The amount.")],
    from_currency: From,
    to_currency: To,
    date: Day,
) -> int:
    """An amount in another currency, at the last rate on or before a day; exit with 1 without one.

    $ cost-ops rates convert 12.50 USD EUR 2026-11-05
    """
    from llm_cost_ops.cli.connect import connected

    asked = {
        "amount": amount, "from_currency": from_currency, "to_currency": to_currency, "date": date,
    }  # fmt: skip
    with connected(profile) as api:
        answer = api.read("/exchange-rates/convert", asked)
    show_object(profile, answer, _show_converted)
    return GENERAL if answer["converted"] is None else OK


@command(rates, "delete", organization=True)
def _delete(profile: Profile, rate: RateId) -> int:
    """Take a rate back.

    $ cost-ops rates delete fxr_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("exchange-rates", rate))
    profile.note(f"Deleted {rate}.")
    return OK


def _show_import(_profile: Profile, answer: Any) -> None:
    print(f"{answer['created']:,} rates given, {answer['unchanged']:,} known already.")


def _show_converted(_profile: Profile, answer: Any) -> None:
    one, other = answer["from_currency"], answer["to_currency"]
    if answer["converted"] is None:
        print(f"No rate from {one} to {other} on or before {answer['date']}.")
        return
    print(f"{other} {answer['converted']}")
    if answer["rate"] is not None:
        print(f"1 {one} = {answer['rate']} {other} on {answer['rate_date']}, {answer['source']}")
