"""`charges`: what providers charge that is no call, and what is left of commitments."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

charges = group("Charges that are no calls: commitments, other purchases, and credits.")

FIELDS = (
    "id", "kind", "provider", "name", "currency", "amount", "start_date", "end_date",
    "billing_period", "type", "granted", "drawn", "remaining", "status", "quantity", "unit",
    "frequency", "virtual_currency", "virtual_units", "contract_id", "invoice_id",
    "invoice_issuer", "created_by", "created_at",
)  # fmt: skip
COLUMNS = (
    Column("id"),
    Column("kind"),
    Column("provider"),
    Column("name"),
    Column("start_date", "start"),
    Column("end_date", "end", optional=True),
    Column("currency"),
    Column("amount", kind="number"),
    Column("granted", kind="number", optional=True),
    Column("remaining", kind="number", optional=True),
    Column("status", optional=True),
)
ChargeId = Annotated[str, typer.Argument(help="Id of a charge (chg_..).")]


@command(charges, "list", organization=True)
def _list(
    profile: Profile,
    kind: Annotated[str | None, typer.Option(help="commitment, purchase or credit alone.")] = None,
    provider: Annotated[str | None, typer.Option(help="Of this provider.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List charges, and what is left of commitments now.

    $ cost-ops charges list --kind commitment
    """
    from llm_cost_ops.cli.connect import connected

    asked = {"kind": kind, "provider": provider, "limit": limit}
    with connected(profile) as api:
        answer = api.read("/charges", {k: v for k, v in asked.items() if v is not None})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No charges.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(charges, "add", organization=True)
def _add(
    profile: Profile,
    kind: Annotated[str, typer.Argument(help="commitment, purchase or credit.")],
    provider: Annotated[str, typer.Argument(help="Who sells, such as openai.")],
    name: Annotated[str, typer.Argument(help="What it is, in the words of exports.")],
    amount: Annotated[str, typer.Argument(help="What was paid, or what a credit gives.")],
    start_date: Annotated[str, typer.Option("--start", help="First day: 2026-10-01, in UTC.")],
    currency: Annotated[str, typer.Option(help="Of the amount.")] = "USD",
    end_date: Annotated[str | None, typer.Option("--end", help="Last day.")] = None,
    granted: Annotated[
        str | None, typer.Option(help="What calls may draw, if it is not the amount.")
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="The provider's word for a commitment.")
    ] = None,
    quantity: Annotated[str | None, typer.Option(help="How much of it was bought.")] = None,
    unit: Annotated[str | None, typer.Option(help="What the quantity counts: Seats.")] = None,
    frequency: Annotated[str | None, typer.Option(help="one_time or recurring.")] = None,
    virtual_currency: Annotated[
        str | None, typer.Option(help="In which the provider counts: Credits.")
    ] = None,
    virtual_units: Annotated[
        str | None, typer.Option(help="How many of them are worth one unit of the currency.")
    ] = None,
    contract: Annotated[str | None, typer.Option(help="Id of the contract.")] = None,
    invoice: Annotated[str | None, typer.Option(help="Id of the invoice.")] = None,
    issuer: Annotated[
        str | None, typer.Option(help="Who sends the invoice, if another: a marketplace.")
    ] = None,
) -> int:
    """Enter a commitment that calls draw from, another purchase, or a credit.

    $ cost-ops charges add commitment openai "Credits of autumn" 900 --granted 1000
    --start 2026-10-01 --end 2027-09-30
    """
    from llm_cost_ops.cli.connect import connected

    body = {
        "kind": kind, "provider": provider, "name": name, "amount": amount, "currency": currency,
        "start_date": start_date, "end_date": end_date, "granted": granted, "type": type_,
        "quantity": quantity, "unit": unit, "frequency": frequency,
        "virtual_currency": virtual_currency, "virtual_units": virtual_units,
        "contract_id": contract, "invoice_id": invoice, "invoice_issuer": issuer,
    }  # fmt: skip
    with connected(profile) as api:
        sent = {key: value for key, value in body.items() if value is not None}
        show_object(profile, api.change("POST", "/charges", sent))
    return OK


@command(charges, "show", organization=True)
def _show(profile: Profile, charge: ChargeId) -> int:
    """Show a charge, and what is left of a commitment now.

    $ cost-ops charges show chg_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.read(path_of("charges", charge)))
    return OK


@command(charges, "delete", organization=True)
def _delete(profile: Profile, charge: ChargeId) -> int:
    """Take a charge back that is in no closed month.

    $ cost-ops charges delete chg_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("charges", charge))
    profile.note(f"Deleted {charge}.")
    return OK
