"""`auth`: SCIM tokens, which identity providers use; `keys` makes them commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import Run
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, Row, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Output, Profile

COLUMNS = (
    Column("id"),
    Column("name"),
    Column("token", read=lambda row: f"{row['prefix']}..{row['last_four']}"),
    Column("assigns_roles", "assigns roles"),
    Column("state", read=lambda row: _state(row)),
    Column("created_at", "created", "time"),
    Column("expires_at", "expires", "time", optional=True),
    Column("last_used_at", "last used", "time", optional=True),
)
FIELDS = (
    "id", "organization_id", "name", "prefix", "last_four", "assigns_roles", "is_active",
    "created_by", "created_at", "expires_at", "revoked_at", "last_used_at",
)  # fmt: skip


def _create(
    profile: Profile,
    name: Annotated[str, typer.Option("--name", "-n", help="The identity provider.")],
    assigns_roles: Annotated[
        bool, typer.Option("--assigns-roles", help="It may give people roles, also admin.")
    ] = False,
    expires: Annotated[
        str | None, typer.Option(help="Last instant of its validity; for ever when left out.")
    ] = None,
) -> int:
    """Make a SCIM token. Standard output is the token and nothing else; it is shown only now.

    The identity provider sends it to /scim/v2 of the server. It opens nothing else.

    $ cost-ops auth create-scim-token --name Okta
    $ cost-ops auth create-scim-token --name Entra --expires 2027-12-31T00:00:00Z
    """
    from llm_cost_ops.cli.connect import connected

    body: dict[str, Any] = {"name": name, "assigns_roles": assigns_roles, "expires_at": expires}
    with connected(profile) as api:
        made = api.change("POST", "/scim-tokens", body)
    _show_made(profile, made)
    return OK


def _list(
    profile: Profile, limit: Annotated[int, typer.Option(help="At most this many.")] = 100
) -> int:
    """List the SCIM tokens of the organization, revoked ones too, without their secrets.

    $ cost-ops auth list-scim-tokens
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/scim-tokens", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No SCIM tokens.")
    show_rows(profile, rows_of(answer), listing)
    return OK


def _revoke(
    profile: Profile,
    token_id: Annotated[str | None, typer.Argument(help="Id of the token (sct_..).")] = None,
    id: Annotated[str | None, typer.Option("--id", help="The same.")] = None,
) -> int:
    """Revoke a SCIM token; every server refuses it at once. A second time changes nothing.

    $ cost-ops auth revoke-scim-token --id sct_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    wanted = id or token_id
    if wanted is None or (id and token_id and id != token_id):
        raise CommandError("name one token: --id TOKEN_ID", exit_code=ARGUMENTS)
    with connected(profile) as api:
        api.change("DELETE", path_of("scim-tokens", wanted))
    profile.note(f"Revoked {wanted}.")
    return OK


NAMES: Mapping[str, tuple[Run, Sequence[str]]] = {
    "create-scim-token": (_create, ()),
    "list-scim-tokens": (_list, ()),
    "revoke-scim-token": (_revoke, ("delete-scim-token",)),
}


def _show_made(profile: Profile, made: Row) -> None:
    """The token alone on standard output, unless another format than the table was asked for."""
    if profile.format is Output.TABLE:
        print(made["token"])
    else:
        show_object(profile, made)
    profile.note(
        f"{made['id']} {made['name']!r} of {made['organization_id']}. "
        "Keep the token: it is not shown again."
    )


def _state(row: Row) -> str:
    if row["is_active"]:
        return "active"
    return "revoked" if row["revoked_at"] else "expired"
