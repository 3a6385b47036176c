"""`pricing adjustments` and `pricing deployments`: negotiated discounts, and own model names."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

adjustments = group("Negotiated discounts, applied in order to the prices they name.")
deployments = group("Names of your deployments, and the model behind each.")

ADJUSTMENT_COLUMNS = (
    Column("position", kind="count"),
    Column("label"),
    Column("factor", kind="number"),
    Column("provider", optional=True),
    Column("model", optional=True),
    Column("kinds", optional=True, read=lambda row: ", ".join(row.get("kinds") or [])),
    Column("effective_date", "from", "time"),
    Column("end_date", "until", "time", optional=True),
    Column("id"),
)
DEPLOYMENT_COLUMNS = (
    Column("provider"),
    Column("deployment"),
    Column("model"),
    Column("region", optional=True),
)


@command(adjustments, "list", organization=True)
def _list_adjustments(profile: Profile) -> int:
    """List the discounts in the order in which they apply.

    $ cost-ops pricing adjustments list
    """
    return _show(profile, "/pricing/adjustments", ADJUSTMENT_COLUMNS, "No discounts.")


@command(adjustments, "add", organization=True)
def _add_adjustment(
    profile: Profile,
    label: Annotated[str, typer.Option(help="What the discount is called.")],
    percent: Annotated[str | None, typer.Option(help="Percent off the price.")] = None,
    factor: Annotated[str | None, typer.Option(help="Or what the price is multiplied by.")] = None,
    provider: Annotated[str | None, typer.Option("-p", "--provider", help="Provider.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Model.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Usage kind; repeatable. All when left out.")
    ] = None,
    position: Annotated[int | None, typer.Option(help="Place in the order; else last.")] = None,
    effective_date: Annotated[str | None, typer.Option(help="From then on; else now.")] = None,
    end_date: Annotated[
        str | None, typer.Option(help="Last day (included), or instant (excluded).")
    ] = None,
) -> int:
    """Add a discount: it lowers the cost of calls from its date on, their list cost stays.

    $ cost-ops pricing adjustments add --label 'OpenAI contract' --percent 12.5 -p openai
    """
    from llm_cost_ops.cli.connect import connected

    body: dict[str, Any] = {
        "label": label,
        "discount_percent": percent,
        "factor": factor,
        "provider": provider,
        "model": model,
        "kinds": kind or None,
        "position": position,
        "effective_date": effective_date,
        "end_date": end_date,
    }
    if (percent is None) == (factor is None):
        raise CommandError("give --percent or --factor", exit_code=ARGUMENTS)
    with connected(profile) as api:
        show_object(profile, api.change("POST", "/pricing/adjustments", body))
    return OK


@command(adjustments, "remove", "delete", organization=True)
def _remove_adjustment(
    profile: Profile, adjustment_id: Annotated[str, typer.Argument(help="Id (adj_..).")]
) -> int:
    """Take a discount out of force from now on; what it priced stays priced.

    $ cost-ops pricing adjustments remove adj_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("pricing", "adjustments", adjustment_id))
    profile.note(f"Removed {adjustment_id}.")
    return OK


@command(deployments, "list", organization=True)
def _list_deployments(profile: Profile) -> int:
    """List deployments and their models.

    $ cost-ops pricing deployments list
    """
    return _show(profile, "/pricing/deployments", DEPLOYMENT_COLUMNS, "No deployments.")


@command(deployments, "set", organization=True)
def _set_deployment(
    profile: Profile,
    deployment: Annotated[str, typer.Argument(help="Its name, as calls report it.")],
    model: Annotated[str, typer.Option("-m", "--model", help="The model it runs.")],
    provider: Annotated[str, typer.Option("-p", "--provider", help="Provider.")] = "azure",
    region: Annotated[str | None, typer.Option(help="The region it runs in.")] = None,
) -> int:
    """Say which model a deployment runs, so that its calls can be priced.

    $ cost-ops pricing deployments set chat-prod --model gpt-4o
    """
    from llm_cost_ops.cli.connect import connected

    body = {"provider": provider, "deployment": deployment, "model": model, "region": region}
    with connected(profile) as api:
        show_object(profile, api.change("PUT", "/pricing/deployments", body))
    return OK


@command(deployments, "remove", "delete", organization=True)
def _remove_deployment(
    profile: Profile,
    deployment: Annotated[str, typer.Argument(help="Its name.")],
    provider: Annotated[str, typer.Option("-p", "--provider", help="Provider.")] = "azure",
) -> int:
    """Forget a deployment.

    $ cost-ops pricing deployments remove chat-prod
    """
    from llm_cost_ops.cli.connect import connected

    body = {"provider": provider, "deployment": deployment}
    with connected(profile) as api:
        api.change("PUT", "/pricing/deployments", body)
    profile.note(f"Removed {provider}/{deployment}.")
    return OK


def _show(profile: Profile, path: str, columns: tuple[Column, ...], empty: str) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read(path)
    show_rows(profile, rows_of(answer), Listing(columns, tail=tail_of(answer), empty=empty))
    return OK
