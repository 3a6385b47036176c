"""`rbac`: roles, custom ones and who has which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import (
    Column,
    Listing,
    Row,
    rows_of,
    show_object,
    show_rows,
    tail_of,
)
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.permissions import ROLES, PermissionTextError, normalise_all, role_name
from llm_cost_ops.exceptions import APIError

if TYPE_CHECKING:
    from llm_cost_ops.cli.connect import Api

rbac = group("Roles: list, create, assign, load from a file.")

COLUMNS = (
    Column("id"),
    Column("name"),
    Column("permissions", read=lambda row: ", ".join(row["permissions"])),
    Column("conditions", read=lambda row: _conditions_text(row["conditions"])),
)
FIELDS = (
    "id", "name", "description", "permissions", "conditions", "built_in", "created_at",
    "updated_at",
)  # fmt: skip
LOADED = (Column("role"), Column("result"), Column("error", optional=True))
MAX_BYTES = 2**20
RoleId = Annotated[str, typer.Argument(help="Id of the role (role_..), or its name.")]
UserId = Annotated[str, typer.Argument(help="Id of the user.")]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--condition", help="Limits it: team=ml-team, models=a,b, projects=.. or "
        "environments=..; may be repeated."
    ),
]  # fmt: skip


@command(rbac, "list-roles", "list", organization=True)
def _list(
    profile: Profile,
    user: Annotated[str | None, typer.Option(help="Only the roles of this user.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List roles, the built-in ones first.

    $ cost-ops rbac list-roles
    """
    from llm_cost_ops.cli.connect import connected, path_of

    path = "/roles" if user is None else path_of("users", user, "roles")
    with connected(profile) as api:
        answer = api.read(path, {"limit": limit})
    show_rows(
        profile, rows_of(answer), Listing(COLUMNS, FIELDS, tail_of(answer), empty="No roles.")
    )
    return OK


@command(rbac, "create-role", organization=True)
def _create(
    profile: Profile,
    name: Annotated[str, typer.Argument(help="Its name.")],
    permission: Annotated[
        list[str], typer.Option("--permission", "-p", help="As read:costs; may be repeated.")
    ],
    condition: Conditions = None,
    description: Annotated[str | None, typer.Option(help="A note.")] = None,
) -> int:
    """Make a role that can do no more than who makes it.

    $ cost-ops rbac create-role "ML Engineer" -p read:costs -p write:costs --condition team=ml-team
    """
    from llm_cost_ops.cli.connect import connected

    body = {
        "name": name,
        "description": description,
        "permissions": permission,
        "conditions": _conditions(condition or ()),
    }
    with connected(profile) as api:
        made = api.change("POST", "/roles", body)
    show_object(profile, made, _show)
    return OK


@command(rbac, "show-role", "get", organization=True)
def _get(profile: Profile, role: RoleId) -> int:
    """Show one role.

    $ cost-ops rbac show-role viewer
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("roles", role))
    show_object(profile, found, _show)
    return OK


@command(rbac, "delete-role", organization=True)
def _delete(profile: Profile, role: RoleId) -> int:
    """Remove a custom role, also from those who have it.

    $ cost-ops rbac delete-role "ML Engineer"
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("roles", role))
    profile.note(f"Removed {role}.")
    return OK


@command(rbac, "assign-role", organization=True)
def _assign(profile: Profile, user: UserId, role: RoleId) -> int:
    """Give a user a role.

    $ cost-ops rbac assign-role user-123 "ML Engineer"
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        given = api.change("POST", path_of("users", user, "roles"), {"role_id": role})
    profile.note(f"{user} has the role {given['name']}.")
    return OK


@command(rbac, "remove-role", organization=True)
def _remove(profile: Profile, user: UserId, role: RoleId) -> int:
    """Take a role from a user.

    $ cost-ops rbac remove-role user-123 "ML Engineer"
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("users", user, "roles", role))
    profile.note(f"{user} does not have the role {role}.")
    return OK


@command(rbac, "load", organization=True)
def _load(
    profile: Profile,
    path: Annotated[Path, typer.Argument(help="A YAML file with roles.")],
) -> int:
    """Make or change the custom roles of a file: roles.NAME.description, permissions, conditions.

    Built-in roles may be in it as they are, and cannot be changed. Nothing is removed. Exits with 1
    when a role is refused.

    $ cost-ops rbac load config/rbac.yaml
    """
    from llm_cost_ops.cli.connect import connected

    wanted = _read(path)
    with connected(profile) as api:
        known = {row["name"]: row for row in rows_of(api.read("/roles", {"limit": 1000}))}
        rows = [_keep(api, name, role, known.get(name)) for name, role in wanted.items()]
    show_rows(profile, rows, Listing(LOADED, tuple(column.name for column in LOADED)))
    return GENERAL if any(row["error"] for row in rows) else OK


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise CommandError(f"{path} has more than {MAX_BYTES} bytes", exit_code=ARGUMENTS)
        found: object = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise CommandError(f"{path} cannot be read: {error}", exit_code=ARGUMENTS) from None
    named: object = cast("dict[str, object]", found).get("roles") if isinstance(found, dict) else 0
    if not isinstance(named, dict):
        raise CommandError(f"{path} must hold an object named roles", exit_code=ARGUMENTS)
    wanted: dict[str, Mapping[str, Any]] = {}
    for name, role in cast("dict[object, object]", named).items():
        fields = cast("dict[str, Any]", role) if isinstance(role, dict) else {}
        if not fields or fields.keys() - {"description", "permissions", "conditions"}:
            raise CommandError(
                f"roles.{name} must have description, permissions and conditions alone",
                exit_code=ARGUMENTS,
            )
        wanted[str(name)] = fields
    return wanted


def _keep(api: Api, name: str, role: Mapping[str, Any], known: Row | None) -> Row:
    body = {
        "name": name,
        "description": role.get("description"),
        "permissions": role.get("permissions"),
        "conditions": role.get("conditions"),
    }
    try:
        if _is_built_in(name):
            return _built_in(name, role)
        if known is None:
            api.change("POST", "/roles", body)
            return {"role": name, "result": "created", "error": None}
        changed = api.change("PUT", f"/roles/{known['id']}", body)
    except APIError as error:
        return {"role": name, "result": "refused", "error": error.message}
    same = changed["updated_at"] == known["updated_at"]
    return {"role": name, "result": "unchanged" if same else "changed", "error": None}


def _is_built_in(name: str) -> bool:
    try:
        return bool(role_name(name))
    except PermissionTextError:
        return False


def _built_in(name: str, role: Mapping[str, Any]) -> Row:
    """What a file may say of a built-in role: what it is."""
    given = role.get("permissions")
    try:
        texts = cast("Iterable[str]", given) if isinstance(given, list) else ()
        same = normalise_all(texts) == ROLES[role_name(name)] and not role.get("conditions")
    except PermissionTextError:
        same = False
    if same:
        return {"role": name, "result": "built in", "error": None}
    error = "is a built-in role, which cannot be changed; give yours another name"
    return {"role": name, "result": "refused", "error": error}


def _conditions(given: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in given:
        name, _, values = text.partition("=")
        listed = [value.strip() for value in values.split(",") if value.strip()]
        if not name.strip() or not listed:
            raise CommandError(
                f"--condition {text} must be NAME=VALUE or NAME=A,B", exit_code=ARGUMENTS
            )
        found.setdefault(name.strip(), []).extend(listed)
    return found


def _conditions_text(conditions: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{name} {', '.join(values)}" for name, values in conditions.items())


def _show(_profile: Profile, role: Row) -> None:
    print(f"{role['id']}  {role['name']}" + ("  (built in)" if role["built_in"] else ""))
    if role["description"]:
        print(f"{'description':>12}  {role['description']}")
    print(f"{'permissions':>12}  {', '.join(role['permissions'])}")
    if role["conditions"]:
        print(f"{'conditions':>12}  {_conditions_text(role['conditions'])}")
