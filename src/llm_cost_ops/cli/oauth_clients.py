"""`auth`: OAuth clients, programs that act for people or for themselves; `keys` makes them
commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import Run
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, Row, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Output, Profile

COLUMNS = (
    Column("client_id", "client"),
    Column("name"),
    Column("grant_types", "grants", read=lambda row: ", ".join(row["grant_types"])),
    Column("scopes", read=lambda row: ", ".join(row["scopes"])),
    Column("public"),
    Column("created_at", "created", "time"),
)
FIELDS = (
    "client_id", "organization_id", "name", "redirect_uris", "grant_types", "scopes", "public",
    "created_by", "created_at",
)  # fmt: skip
ClientId = Annotated[str, typer.Argument(help="Id of the client (cli_..).")]


def _create(
    profile: Profile,
    name: Annotated[str, typer.Option("--name", "-n", help="The program.")],
    scopes: Annotated[str, typer.Option(help="Permissions that it may ask for, with commas.")],
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option("--redirect-uri", help="Where codes are sent; may be repeated."),
    ] = None,
    service: Annotated[
        bool, typer.Option("--service", help="It acts for itself, with its own credentials.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="A page or an app, which can keep no secret.")
    ] = False,
) -> int:
    """Register a program. Standard output is its secret and nothing else; it is shown only now.

    A public client has no secret: its id is printed instead.

    $ cost-ops auth create-oauth-client --name reports --scopes read:costs --service
    $ cost-ops auth create-oauth-client --name App --scopes read:costs \
--redirect-uri https://app.example.com/callback
    """
    from llm_cost_ops.cli.connect import connected

    body: dict[str, Any] = {
        "name": name,
        "scopes": [part.strip() for part in scopes.split(",") if part.strip()],
        "redirect_uris": redirect_uri or [],
        "public": public,
    }
    if service:
        codes = ["authorization_code", "refresh_token"] if redirect_uri else []
        body["grant_types"] = [*codes, "client_credentials"]
    with connected(profile) as api:
        made = api.change("POST", "/oauth/clients", body)
    _show_made(profile, made)
    return OK


def _list(profile: Profile) -> int:
    """List the OAuth clients of the organization, without their secrets.

    $ cost-ops auth list-oauth-clients
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/oauth/clients")
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No OAuth clients.")
    show_rows(profile, rows_of(answer), listing)
    return OK


def _describe(profile: Profile, client_id: ClientId) -> int:
    """Show an OAuth client: what it may ask for, and where its codes are sent.

    $ cost-ops auth describe-oauth-client cli_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.read(path_of("oauth", "clients", client_id)))
    return OK


def _rotate(profile: Profile, client_id: ClientId) -> int:
    """Give an OAuth client another secret; the one before is refused at once. Standard output is
    the new one and nothing else. Its tokens go on.

    $ cost-ops auth rotate-oauth-client cli_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        made = api.change("POST", path_of("oauth", "clients", client_id, "rotate"))
    _show_made(profile, made)
    return OK


def _delete(profile: Profile, client_id: ClientId) -> int:
    """Remove an OAuth client; its tokens end within a second.

    $ cost-ops auth delete-oauth-client cli_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("oauth", "clients", client_id))
    profile.note(f"Removed {client_id}.")
    return OK


NAMES: Mapping[str, tuple[Run, Sequence[str]]] = {
    "create-oauth-client": (_create, ()),
    "list-oauth-clients": (_list, ()),
    "describe-oauth-client": (_describe, ("get-oauth-client",)),
    "rotate-oauth-client": (_rotate, ("rotate-oauth-client-secret",)),
    "delete-oauth-client": (_delete, ("remove-oauth-client",)),
}


def _show_made(profile: Profile, made: Row) -> None:
    """The secret alone on standard output, unless another format than the table was asked for."""
    secret = made.get("client_secret")
    if profile.format is Output.TABLE:
        print(secret or made["client_id"])
    else:
        show_object(profile, made)
    keep = "Keep the secret: it is not shown again." if secret else "It has no secret."
    profile.note(f"{made['client_id']} {made['name']!r} of {made['organization_id']}. {keep}")
