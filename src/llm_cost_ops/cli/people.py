"""`org`, `users` and `teams`: organizations and who belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

org = group("Organizations: create, list, show, update, add and remove users.")
users = group("Users: create, list, show, disable, enable, import.")
teams = group("Teams: create, list, show, remove.")

ORG_COLUMNS = tuple(Column(name) for name in ("id", "name", "slug", "currency", "time_zone"))
ORG_FIELDS = (
    "id", "name", "slug", "currency", "time_zone", "fiscal_year_start_month",
    "data_retention_days", "created_at",
)  # fmt: skip
USER_COLUMNS = (
    Column("id"),
    Column("email", optional=True),
    Column("name"),
    Column("roles", read=lambda row: ", ".join(row["roles"])),
    Column("state", read=lambda row: "active" if row["is_active"] else "disabled"),
)
USER_FIELDS = (
    "id", "kind", "email", "name", "first_name", "last_name", "external_id", "is_active",
    "created_at", "updated_at", "disabled_at",
)  # fmt: skip
TEAM_COLUMNS = (Column("id"), Column("name"), Column("parent_id", "below", optional=True))
TEAM_FIELDS = ("id", "name", "description", "parent_id", "budget_id", "created_at", "updated_at")
RESULT_COLUMNS = (
    Column("line"),
    Column("email"),
    Column("status"),
    Column("field", optional=True),
    Column("message", optional=True),
)
RESULT_FIELDS = ("line", "email", "status", "user_id", "code", "message", "field")
Limit = Annotated[int, typer.Option(help="At most this many.")]
UserId = Annotated[str, typer.Argument(help="Id of the user.")]
TeamId = Annotated[str, typer.Argument(help="Id of the team.")]
Role = Annotated[str | None, typer.Option(help="A role, such as viewer or admin.")]
Name = Annotated[str | None, typer.Option(help="Name.")]


@command(org, "create")
def _create_organization(
    profile: Profile,
    name: Annotated[str, typer.Option(help="Name.")],
    slug: Annotated[str | None, typer.Option(help="Short name in addresses.")] = None,
    currency: Annotated[str | None, typer.Option(help="Such as USD.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None,
    admin_email: Annotated[str | None, typer.Option(help="Who administers it.")] = None,
) -> int:
    """Make another organization; the oldest one of the installation may.

    $ cost-ops org create --name "Acme Corp" --admin-email ann@example.com
    """
    body = _given(
        name=name, slug=slug, currency=currency, time_zone=time_zone, admin_email=admin_email
    )
    return _changed(profile, "POST", "/organizations", body)


@command(org, "list", organization=True)
def _list_organizations(profile: Profile) -> int:
    """List the organizations that the caller belongs to.

    $ cost-ops org list
    """
    listing = Listing(ORG_COLUMNS, ORG_FIELDS, empty="No organizations.")
    return _listed(profile, "/organizations", {}, listing)


@command(org, "show", "get", organization=True)
def _show_organization(profile: Profile) -> int:
    """Show the organization.

    $ cost-ops org show
    """
    return _one(profile, "organizations", "current")


@command(org, "update", organization=True)
def _update_organization(
    profile: Profile,
    name: Name = None,
    slug: Annotated[str | None, typer.Option(help="Short name in addresses.")] = None,
    currency: Annotated[str | None, typer.Option(help="Such as USD.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None,
    fiscal_year_start_month: Annotated[
        int | None, typer.Option(help="Month in which the fiscal year begins, 1 to 12.")
    ] = None,
    data_retention_days: Annotated[
        int | None, typer.Option(help="Days for which data is to be kept.")
    ] = None,
) -> int:
    """Change the organization; what is not named stays.

    $ cost-ops org update --time-zone Europe/Berlin --fiscal-year-start-month 4
    """
    body = _given(
        name=name,
        slug=slug,
        currency=currency,
        time_zone=time_zone,
        fiscal_year_start_month=fiscal_year_start_month,
        data_retention_days=data_retention_days,
    )
    return _changed(profile, "PATCH", f"/organizations/{_own(profile)}", body)


@command(org, "add-user", organization=True)
def _add_user(
    profile: Profile,
    email: Annotated[str, typer.Argument(help="E-mail address.")],
    role: Annotated[str, typer.Option(help="A role, such as viewer or admin.")],
) -> int:
    """Make the person with this address a user with this role.

    $ cost-ops org add-user ann@example.com --role developer
    """
    body = {"user_email": email, "role": role}
    return _changed(profile, "POST", f"/organizations/{_own(profile)}/users", body)


@command(org, "remove-user", organization=True)
def _remove_user(profile: Profile, user_id: UserId) -> int:
    """Take a user out of the organization; recorded calls keep the id.

    $ cost-ops org remove-user usr_01K9ZW3D1M0000000000000000
    """
    return _changed(profile, "DELETE", _path("users", user_id))


@command(users, "create", "add", organization=True)
def _create_user(
    profile: Profile,
    email: Annotated[str, typer.Argument(help="E-mail address.")],
    name: Name = None,
    role: Role = None,
    team: Annotated[
        list[str] | None, typer.Option("--team", help="Id or name; may be repeated.")
    ] = None,
    welcome: Annotated[bool, typer.Option(help="Mail a link to choose a password.")] = False,
) -> int:
    """Make a person a user.

    $ cost-ops users create ann@example.com --name "Ann Lee" --role analyst
    """
    body = _given(email=email, name=name, role=role, teams=team or None)
    return _changed(profile, "POST", "/users", {**body, "send_welcome_email": welcome})


@command(users, "list", organization=True)
def _list_users(
    profile: Profile,
    role: Role = None,
    search: Annotated[str | None, typer.Option(help="Part of a name or address.")] = None,
    kind: Annotated[str, typer.Option(help="person, service, seen or all.")] = "person",
    limit: Limit = 100,
) -> int:
    """List users.

    $ cost-ops users list --role admin
    """
    asked = _given(role=role, search=search, kind=kind, limit=limit)
    return _listed(profile, "/users", asked, Listing(USER_COLUMNS, USER_FIELDS, empty="No users."))


@command(users, "show", "get", organization=True)
def _show_user(profile: Profile, user_id: UserId) -> int:
    """Show one user.

    $ cost-ops users show usr_01K9ZW3D1M0000000000000000
    """
    return _one(profile, "users", user_id)


@command(users, "disable", organization=True)
def _disable_user(profile: Profile, user_id: UserId) -> int:
    """End every credential of a user at once.

    $ cost-ops users disable usr_01K9ZW3D1M0000000000000000
    """
    return _changed(profile, "POST", _path("users", user_id, "disable"))


@command(users, "enable", organization=True)
def _enable_user(profile: Profile, user_id: UserId) -> int:
    """Let a user in again; revoked keys stay revoked.

    $ cost-ops users enable usr_01K9ZW3D1M0000000000000000
    """
    return _changed(profile, "POST", _path("users", user_id, "enable"))


@command(users, "import", organization=True)
def _import_users(
    profile: Profile,
    file: Annotated[Path, typer.Argument(help="CSV with the columns email, name, role, teams.")],
    dry_run: Annotated[bool, typer.Option(help="Only try.")] = False,
    welcome: Annotated[bool, typer.Option(help="Mail each a link to choose a password.")] = False,
) -> int:
    """Make users of the rows of a CSV file and list what became of each; 1 when any failed.

    $ cost-ops users import users.csv --dry-run
    """
    from llm_cost_ops.cli.connect import connected

    text = file.read_text(encoding="utf-8")
    body = {"csv": text, "dry_run": dry_run, "send_welcome_email": welcome}
    with connected(profile) as api:
        report = api.change("POST", "/users/import", body)
    listing = Listing(RESULT_COLUMNS, RESULT_FIELDS, empty="No rows.")
    show_rows(profile, report["results"], listing)
    return 1 if report["failed"] else OK


@command(teams, "create", "add", organization=True)
def _create_team(
    profile: Profile,
    name: Annotated[str, typer.Argument(help="Name.")],
    parent: Annotated[str | None, typer.Option(help="Id of the team above.")] = None,
    budget: Annotated[str | None, typer.Option(help="Amount of a monthly budget.")] = None,
    member: Annotated[
        list[str] | None, typer.Option("--member", help="Address or id; may be repeated.")
    ] = None,
) -> int:
    """Make a team.

    $ cost-ops teams create "ML Team" --budget 15000 --member ann@example.com
    """
    body = _given(name=name, parent_id=parent, budget=budget, members=member or None)
    return _changed(profile, "POST", "/teams", body)


@command(teams, "list", organization=True)
def _list_teams(profile: Profile, limit: Limit = 100) -> int:
    """List teams.

    $ cost-ops teams list
    """
    listing = Listing(TEAM_COLUMNS, TEAM_FIELDS, empty="No teams.")
    return _listed(profile, "/teams", {"limit": limit}, listing)


@command(teams, "show", "get", organization=True)
def _show_team(profile: Profile, team_id: TeamId) -> int:
    """Show one team.

    $ cost-ops teams show team_01K9ZW3D1M0000000000000000
    """
    return _one(profile, "teams", team_id)


@command(teams, "delete", "remove", organization=True)
def _delete_team(profile: Profile, team_id: TeamId) -> int:
    """Remove a team that has none below it.

    $ cost-ops teams delete team_01K9ZW3D1M0000000000000000
    """
    return _changed(profile, "DELETE", _path("teams", team_id))


def _own(profile: Profile) -> str:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        return str(api.read("/organizations/current")["id"])


def _path(*parts: str) -> str:
    from llm_cost_ops.cli.connect import path_of

    return path_of(*parts)


def _one(profile: Profile, *parts: str) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        found = api.read(_path(*parts))
    show_object(profile, found)
    return OK


def _changed(
    profile: Profile, method: str, path: str, body: Mapping[str, Any] | None = None
) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.change(method, path, body)
    if answer is not None:
        show_object(profile, answer)
    return OK


def _listed(profile: Profile, path: str, asked: Mapping[str, Any], listing: Listing) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read(path, asked)
    show_rows(profile, rows_of(answer), replace(listing, tail=tail_of(answer)))
    return OK


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
