"""`auth`: make, list, change, rotate and revoke API keys; its other commands stand beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from llm_cost_ops.cli import login, oauth_clients, scim_tokens, signing_keys
from llm_cost_ops.cli.command import Run, command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, Row, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Output, Profile

auth = group(
    "Sign in and out; API keys: make, list, change, rotate, revoke; SCIM tokens, OAuth clients."
)
api_key = group("API keys: create, list, describe, update, rotate, revoke.")
auth.add_typer(api_key, name="api-key", hidden=True)

EVERYTHING = "*"
COLUMNS = (
    Column("id"),
    Column("name"),
    Column("key", read=lambda row: f"{row['prefix']}..{row['last_four']}"),
    Column("scopes", read=lambda row: ", ".join(row["scopes"])),
    Column("state", read=lambda row: _state(row)),
    Column("created_at", "created", "time"),
    Column("expires_at", "expires", "time", optional=True),
    Column("last_used_at", "last used", "time", optional=True),
    Column("user_id", "user", optional=True),
    Column("replaced_by", "replaced by", optional=True),
)
FIELDS = (
    "id", "organization_id", "name", "prefix", "last_four", "scopes", "is_active", "created_by",
    "created_at", "expires_at", "revoked_at", "last_used_at", "environment", "allowed_networks",
    "user_id", "replaced_by",
)  # fmt: skip


Expires = Annotated[
    str | None,
    typer.Option(help="Last day (UTC) or instant of its validity; for ever when left out."),
]
Networks = Annotated[
    str | None,
    typer.Option(
        "--networks",
        "--allowed-networks",
        "--allowed-ips",
        help="Addresses or networks (CIDR) it is accepted from, with commas; all when left out.",
    ),
]
User = Annotated[str | None, typer.Option("--user", "--user-id", help="User whose key it is.")]
KeyArgument = Annotated[str | None, typer.Argument(help="Id of the key (key_..).")]
KeyOption = Annotated[str | None, typer.Option("--id", "--key", "--key-id", help="The same.")]


def _create(
    profile: Profile,
    name: Annotated[str, typer.Option("--name", "-n", help="What the key is for.")],
    scopes: Annotated[
        str | None,
        typer.Option(help="Permissions or roles, with commas; everything when left out."),
    ] = None,
    expires: Expires = None,
    environment: Annotated[
        str | None,
        typer.Option("--environment", "--env", help="live, test or staging: names its prefix."),
    ] = None,
    networks: Networks = None,
    user: User = None,
) -> int:
    """Make an API key. Standard output is the key and nothing else; it is shown only now.

    Scopes are permissions such as read:costs and write:costs, or the roles admin, manager, analyst,
    developer, viewer, billing, auditor.

    $ key=$(cost-ops auth create-api-key --name laptop)
    $ cost-ops auth create-api-key --name ci --scopes write:costs --expires 2027-12-31
    $ cost-ops auth create-api-key --name probe --env test --networks 203.0.113.0/24
    """
    body: dict[str, Any] = {
        "name": name,
        "scopes": _scopes(scopes),
        "expires_at": None if expires is None else _last_instant(expires),
        "environment": environment,
        "allowed_networks": None if networks is None else _parts(networks),
        "user_id": user,
    }
    if profile.remote:
        made = _make_on_server(profile, body)
    else:
        from llm_cost_ops.cli.issuing import make_key

        made = make_key(profile, body)
    _show_made(profile, made)
    return OK


def _list(
    profile: Profile,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
    user: User = None,
) -> int:
    """List the keys of the organization, revoked ones too, without their secrets.

    $ cost-ops auth list-api-keys
    $ cost-ops auth list-api-keys --organization acme -o csv
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/auth/api-keys", {"limit": limit, "user_id": user})
    show_rows(profile, rows_of(answer), Listing(COLUMNS, FIELDS, tail_of(answer), empty="No keys."))
    return OK


def _describe(profile: Profile, key_id: KeyArgument = None, id: KeyOption = None) -> int:
    """Show a key: its scopes, where it is accepted from, when it was last used; not its secret.

    $ cost-ops auth describe-key --id key_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    wanted = _one(key_id, id)
    with connected(profile) as api:
        show_object(profile, api.read(path_of("auth", "api-keys", wanted)))
    return OK


def _update(
    profile: Profile,
    key_id: KeyArgument = None,
    id: KeyOption = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="What the key is for.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help="Permissions it keeps, with commas; none can be added.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Last day (UTC) or instant of its validity; only sooner.")
    ] = None,
    networks: Networks = None,
) -> int:
    """Rename a key, take scopes from it, let it end sooner, or change where it is accepted from.

    $ cost-ops auth update-key key_01K9ZW3D1M0000000000000000 --scopes read:costs
    """
    from llm_cost_ops.cli.connect import connected, path_of

    wanted = _one(key_id, id)
    body: dict[str, Any] = {
        "name": name,
        "scopes": None if scopes is None else _scopes(scopes),
        "expires_at": None if expires is None else _last_instant(expires),
        "allowed_networks": None if networks is None else _parts(networks),
    }
    body = {field: value for field, value in body.items() if value is not None}
    if not body:
        raise CommandError("name what to change, such as --name", exit_code=ARGUMENTS)
    with connected(profile) as api:
        show_object(profile, api.change("PATCH", path_of("auth", "api-keys", wanted), body))
    return OK


def _rotate(
    profile: Profile,
    key_id: KeyArgument = None,
    id: KeyOption = None,
    overlap_seconds: Annotated[
        int | None,
        typer.Option(
            "--overlap-seconds", "--overlap", help="How long both are accepted; a day by itself."
        ),
    ] = None,
) -> int:
    """Make the key that follows this one. Standard output is the new key and nothing else.

    $ key=$(cost-ops auth rotate-key --id key_01K9ZW3D1M0000000000000000 --overlap-seconds 3600)
    """
    from llm_cost_ops.cli.connect import connected, path_of

    wanted = _one(key_id, id)
    body = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
    with connected(profile) as api:
        made = api.change("POST", path_of("auth", "api-keys", wanted, "rotate"), body)
    _show_made(profile, made)
    return OK


def _revoke(profile: Profile, key_id: KeyArgument = None, id: KeyOption = None) -> int:
    """Revoke a key; every server refuses it within a second. A second time changes nothing.

    $ cost-ops auth revoke-api-key --id key_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    wanted = _one(key_id, id)
    with connected(profile) as api:
        api.change("DELETE", path_of("auth", "api-keys", wanted))
    profile.note(f"Revoked {wanted}.")
    return OK


def _audit_log(
    profile: Profile,
    key: Annotated[str | None, typer.Option("--key", help="Id of the key (key_..).")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """What was done with a key, the newest first; see also `audit list`.

    $ cost-ops auth audit-log --key key_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.audit import show_entries

    return show_entries(profile, {} if key is None else {"actor": key}, limit)


def _one(key_id: str | None, id: str | None) -> str:
    wanted = id or key_id
    if wanted is None or (id and key_id and id != key_id):
        raise CommandError("name one key: --id KEY_ID", exit_code=ARGUMENTS)
    return wanted


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_NAMES: dict[str, tuple[Run, str, Sequence[str]]] = {
    "create-api-key": (_create, "create", ("create", "create-key")),
    "list-api-keys": (_list, "list", ("list", "list-keys")),
    "describe-api-key": (_describe, "describe", ("describe", "describe-key", "get-key")),
    "update-api-key": (_update, "update", ("update", "update-key")),
    "rotate-api-key": (_rotate, "rotate", ("rotate", "rotate-key")),
    "revoke-api-key": (
        _revoke, "revoke", ("revoke", "revoke-key", "delete-key", "delete-api-key")
    ),
}  # fmt: skip
for _name, (_run, _short, _aliases) in _NAMES.items():
    command(auth, _name, *_aliases, organization=True)(_run)
    command(api_key, _short, organization=True)(_run)
command(auth, "audit-log", organization=True)(_audit_log)
for _name, (_run, _aliases) in (*scim_tokens.NAMES.items(), *oauth_clients.NAMES.items()):
    command(auth, _name, *_aliases, organization=True)(_run)
for _name, (_run, _aliases) in signing_keys.NAMES.items():
    command(auth, _name, *_aliases, shows=("config", "database_url"))(_run)
for _name, (_run, _aliases, _organization) in login.NAMES.items():
    command(auth, _name, *_aliases, organization=_organization, shows=("api_url",))(_run)


def _scopes(text: str | None) -> list[str]:
    """Canonical permissions of the names given. Raises PermissionTextError."""
    from llm_cost_ops.core.permissions import ROLES, normalise_all, role_name

    if text is None:
        return [EVERYTHING]
    found: set[str] = set()
    for part in (part.strip() for part in text.split(",")):
        if ":" in part or part == EVERYTHING:
            found |= normalise_all([part])
        elif part:
            found |= ROLES[role_name(part)]
    if not found:
        raise CommandError("--scopes names no permission", exit_code=ARGUMENTS)
    return sorted(found)


def _last_instant(text: str) -> str:
    """A bare date is valid to the end of its day."""
    from datetime import timedelta

    from llm_cost_ops.core.instant import format_instant, is_bare_date, parse_instant

    instant = parse_instant(text, "expires")
    return format_instant(instant + timedelta(days=1) if is_bare_date(text) else instant)


def _make_on_server(profile: Profile, body: dict[str, Any]) -> dict[str, Any]:
    from llm_cost_ops.cli.connect import connected

    given = {field: value for field, value in body.items() if value is not None}
    with connected(profile) as api:
        return api.change("POST", "/auth/api-keys", given)


def _show_made(profile: Profile, made: Row) -> None:
    """The key alone on standard output, unless another format than the table was asked for."""
    if profile.format is Output.TABLE:
        print(made["key"])
    else:
        show_object(profile, made)
    until = f", until {made['expires_at']}" if made["expires_at"] else ""
    profile.note(
        f"{made['id']} {made['name']!r} of {made['organization_id']}: "
        f"{', '.join(made['scopes'])}{until}. Keep the key: it is not shown again."
    )


def _state(row: Row) -> str:
    if row["is_active"]:
        return "active"
    return "revoked" if row["revoked_at"] else "expired"
