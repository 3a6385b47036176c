"""`cost-ops forecast budget`: when a budget will be exceeded, and how likely."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.costs import Filters, Zone
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.ledger_series import asked_of
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Profile


def budget(
    profile: Profile,
    budget_id: Annotated[
        str | None, typer.Option("--id", help="A budget; the organization's when left out.")
    ] = None,
    amount: Annotated[
        str | None, typer.Option(help="Instead: a budget that is only thought of.")
    ] = None,
    period: Annotated[str, typer.Option(help="Its period: daily, weekly, monthly ..")] = "monthly",
    filter_: Filters = None,
    timezone: Zone = None,
    model: Annotated[
        str,
        typer.Option(help="exponential_smoothing, linear, moving_average, or auto with the extra."),
    ] = "exponential_smoothing",
    confidence: Annotated[
        str, typer.Option(metavar="SHARE", help="Share of outcomes inside the interval.")
    ] = "0.95",
) -> int:
    """When a budget will be exceeded: what its period ends with, and how likely that is too much.

    Looks at the organization's own budget in its current period, at another with --id, or with
    --amount at one that does not exist.

    $ cost-ops forecast budget --amount 1000
    $ cost-ops forecast budget --amount 50 --period weekly --filter project_id=search -o json
    """
    from llm_cost_ops.cli.connect import connected

    if budget_id is not None and amount is not None:
        raise CommandError("give --id or --amount, not both", exit_code=ARGUMENTS)
    asked: dict[str, Any] = {"model": model, "confidence_level": confidence}
    if amount is not None:
        of = asked_of(None, None, None, timezone, filter_)
        asked |= {"amount": amount, "period": period}
        asked |= {"scope" if name == "filters" else name: value for name, value in of.items()}
    elif filter_ or timezone:
        raise CommandError("--filter and --timezone go with --amount", exit_code=ARGUMENTS)
    with connected(profile) as api:
        if amount is None:
            asked["budget_id"] = budget_id or _current(api.read("/budgets/current"))
        found = api.ask("/forecasts/budget", asked)
    show_object(profile, found, _show)
    return OK


def _current(found: Mapping[str, Any]) -> str:
    if found["id"] is None:
        raise CommandError(
            f"several budgets are in force, give --id: {', '.join(found['budget_ids'])}",
            exit_code=ARGUMENTS,
        )
    return str(found["id"])


def _show(_profile: Profile, row: Mapping[str, Any]) -> None:
    currency = row["currency"]
    print(f"{row['budget_id'] or 'not stored'}  {row['name']}  until {row['period_end']}")
    for name, label in (("amount", "limit"), ("spent", "spent"), ("projected_spend", "projected")):
        print(f"{label:>12}  {_money(row[name])} {currency}")
    if row["lower_bound"] is not None:
        low, high = _money(row["lower_bound"]), _money(row["upper_bound"])
        share = Decimal(str(row["confidence_level"])) * 100
        print(f"{'between':>12}  {low} and {high} ({share.normalize():f} %)")
    chance = row["breach_probability"]
    told = "unknown" if chance is None else f"{Decimal(str(chance)):.1%}"
    print(f"{'exceeded':>12}  probability {told}{_when(row)}")
    print(f"{'risk':>12}  {row['risk_level']} ({row['status'].replace('_', ' ')})")
    print(f"{'by':>12}  {row['model']}, {row['based_on_days']} days")


def _when(row: Mapping[str, Any]) -> str:
    parts = [
        f"{word} {row[name]}"
        for word, name in (
            ("likely on", "breach_date"),
            ("not before", "breach_date_earliest"),
            ("at the latest", "breach_date_latest"),
        )
        if row[name]
    ]
    return f", {', '.join(parts)}" if parts else ""


def _money(value: Any) -> str:
    return f"{Decimal(str(value)):,.2f}"
