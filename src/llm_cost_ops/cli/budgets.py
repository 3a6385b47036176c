"""`budgets`: limits and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

budgets = group("Budgets: list, create, look at, check.")

COLUMNS = (
    Column("id"),
    Column("name"),
    Column("period"),
    Column("enforcement"),
    *(
        Column(name, read=lambda row, name=name: _known(row[name]))
        for name in ("limit", "spent", "reserved", "remaining")
    ),
    Column("currency"),
    Column("utilization", "used", read=lambda row: _percent(row["utilization"])),
    Column("status"),
)
FIELDS = (
    "id", "name", "period", "enforcement", "currency", "amount", "limit", "spent", "reserved",
    "remaining", "utilization", "request_limit", "requests", "token_limit", "tokens", "scope",
    "period_start", "period_end", "status",
)  # fmt: skip


@command(budgets, "list", organization=True)
def _list(
    profile: Profile,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List budgets with what is spent, held and left in the current period of each.

    $ cost-ops budgets list
    $ cost-ops budgets list -o csv
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/budgets", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No budgets.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(budgets, "create", "add", organization=True)
def _create(
    profile: Profile,
    name: Annotated[str, typer.Option("--name", "-n", help="What it is called.")],
    amount: Annotated[str | None, typer.Option(help="Money of one period.")] = None,
    period: Annotated[
        str, typer.Option(help="hourly, daily, weekly, monthly, quarterly, annual or custom.")
    ] = "monthly",
    enforcement: Annotated[str, typer.Option(help="soft, throttle or hard.")] = "soft",
    currency: Annotated[str | None, typer.Option(help="The organization's when left out.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="DIMENSION=VALUE such as team_id=search; may be repeated."),
    ] = None,
    thresholds: Annotated[
        str | None, typer.Option(help="Fractions or percentages, with commas: 50,80,100.")
    ] = None,
    request_limit: Annotated[int | None, typer.Option(help="Calls of one period.")] = None,
    token_limit: Annotated[int | None, typer.Option(help="Tokens of one period.")] = None,
    start_date: Annotated[str | None, typer.Option(help="First day.")] = None,
    end_date: Annotated[str | None, typer.Option(help="Last day.")] = None,
    rolling: Annotated[bool, typer.Option(help="The period always ends now.")] = False,
    parent: Annotated[str | None, typer.Option(help="Id of the budget that it is below.")] = None,
) -> int:
    """Make a budget. It begins with what its current period has spent already.

    $ cost-ops budgets create --name all --amount 1000
    $ cost-ops budgets create --name search --amount 50 --period daily --enforcement hard \\
        --scope team_id=search
    """
    from llm_cost_ops.cli.connect import connected

    given: dict[str, Any] = {
        "name": name,
        "amount": amount,
        "period": period,
        "enforcement": enforcement,
        "currency": currency,
        "scope": _scope(scope or []),
        "alert_thresholds": None if thresholds is None else thresholds.split(","),
        "request_limit": request_limit,
        "token_limit": token_limit,
        "start_date": start_date,
        "end_date": end_date,
        "rolling": rolling or None,
        "parent_id": parent,
    }
    body = {field: value for field, value in given.items() if value is not None}
    with connected(profile) as api:
        made = api.change("POST", "/budgets", body)
    show_object(profile, made, _show)
    return OK


@command(budgets, "get", "status", organization=True)
def _get(
    profile: Profile,
    budget_id: Annotated[str, typer.Argument(help="Id of the budget (bud_..).")],
) -> int:
    """Show one budget with its burn rate and the end that its period is heading for.

    $ cost-ops budgets get bud_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("budgets", budget_id, "status"))
    show_object(profile, found, _show)
    return OK


@command(budgets, "delete", "remove", organization=True)
def _delete(
    profile: Profile,
    budget_id: Annotated[str, typer.Argument(help="Id of the budget (bud_..).")],
) -> int:
    """Remove a budget; recorded calls stay as they are.

    $ cost-ops budgets delete bud_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("budgets", budget_id))
    profile.note(f"Removed {budget_id}.")
    return OK


@command(budgets, "check", organization=True)
def _check(
    profile: Profile,
    threshold: Annotated[
        str | None,
        typer.Option(help="Exit with 1 above this amount; the budget's own limit when left out."),
    ] = None,
    budget_id: Annotated[
        str | None, typer.Option("--id", help="A budget; the organization's when left out.")
    ] = None,
) -> int:
    """Exit with 1 when a budget is exceeded: for continuous integration.

    Looks at the organization's own budget in its current period; without one at all that are below
    no other: the amounts together against --threshold, else each against its own limit.

    $ cost-ops budgets check
    $ cost-ops budgets check --threshold 1000
    """
    from llm_cost_ops.cli.connect import connected, path_of
    from llm_cost_ops.core.money import parse_decimal

    bound = None if threshold is None else parse_decimal(threshold, "threshold")
    path = "/budgets/current" if budget_id is None else path_of("budgets", budget_id)
    with connected(profile) as api:
        found = api.read(path)
    spent = Decimal(str(found["spent"] or 0))
    exceeded = found["status"] == "exceeded" if bound is None else spent > bound
    shown = {**found, "threshold": bound, "exceeded": exceeded}
    show_object(profile, shown, _show_check)
    return GENERAL if exceeded else OK


def _scope(given: list[str]) -> dict[str, Any] | None:
    """`team_id=a`, `tags=b`, `metadata.key=c`; a dimension that comes twice has both values."""
    found: dict[str, Any] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise CommandError("--scope is DIMENSION=VALUE", exit_code=ARGUMENTS)
        found.setdefault(name, []).append(value)
    return found or None


def _show(_profile: Profile, row: Mapping[str, Any]) -> None:
    print(f"{row['id']}  {row['name']}  ({row['period']}, {row['enforcement']})")
    _print_standing(row)
    for name, label in (("burn_rate", "a day"), ("projected_spend", "projected")):
        if row.get(name) is not None:
            print(f"{label:>12}  {_money(row, name)}")
    projection: Mapping[str, Any] = row.get("projection") or {}
    if projection.get("breach_date"):
        chance = projection.get("breach_probability")
        likely = "" if chance is None else f", probability {chance}"
        print(f"{'reached':>12}  {projection['breach_date']}{likely}")


def _print_standing(row: Mapping[str, Any]) -> None:
    for name in ("limit", "spent", "reserved", "remaining"):
        if row.get(name) is not None:
            print(f"{name:>12}  {_money(row, name)}")
    if row.get("utilization") is not None:
        print(f"{'used':>12}  {_percent(row['utilization'])}")


def _show_check(_profile: Profile, row: Mapping[str, Any]) -> None:
    bound = row["limit"] if row["threshold"] is None else row["threshold"]
    sign, word = (">", "exceeded") if row["exceeded"] else ("of", "OK")
    if row["threshold"] is None and row.get("exceeded_budget_ids"):
        print(f"Budgets exceeded: {', '.join(row['exceeded_budget_ids'])}")
        return
    limit = "" if bound is None else f" {sign} {_plain(bound)}"
    print(f"Budget {word}: {row['name']}: {_plain(row['spent'] or 0)}{limit} {row['currency']}")


def _money(row: Mapping[str, Any], name: str) -> str:
    return f"{_plain(row[name])} {row['currency']}"


def _plain(value: Any) -> str:
    from llm_cost_ops.core.money import plain

    return plain(Decimal(str(value)))


def _known(value: Any) -> str:
    return "-" if value is None else _plain(value)


def _percent(value: Any) -> str:
    return "-" if value is None else f"{Decimal(str(value)) * 100:.1f} %"
