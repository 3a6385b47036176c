"""`credentials`: API credentials of providers that the server keeps sealed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

credentials = group("API credentials of providers: kept sealed, never shown.")

FIELDS = ("id", "provider", "name", "masked", "created_by", "created_at", "rotated_at")
COLUMNS = (
    Column("id"),
    Column("provider"),
    Column("name"),
    Column("masked", "secret"),
    Column("created_at", "created", "time"),
    Column("rotated_at", "rotated", "time", optional=True),
)
CredentialId = Annotated[str, typer.Argument(help="Id of a credential (prc_..).")]


@command(credentials, "list", organization=True)
def _list(
    profile: Profile, limit: Annotated[int, typer.Option(help="At most this many.")] = 100
) -> int:
    """List what is kept, without the secrets.

    $ cost-ops credentials list
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/provider-credentials", {"limit": limit})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No credentials.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(credentials, "put", organization=True)
def _put(
    profile: Profile,
    provider: Annotated[str, typer.Argument(help="The provider, such as openai.")],
    name: Annotated[str, typer.Option("--name", "-n", help="Which of several.")] = "default",
) -> int:
    """Keep a credential. It is asked for, or read from standard input: arguments can be seen by
    everybody on the machine.

    $ cost-ops credentials put openai < openai.key
    """
    from llm_cost_ops.cli.connect import connected

    body = {"provider": provider, "name": name, "secret": _secret()}
    with connected(profile) as api:
        show_object(profile, api.change("POST", "/provider-credentials", body))
    return OK


@command(credentials, "rotate", organization=True)
def _rotate(profile: Profile, credential: CredentialId) -> int:
    """Put another secret in the place of the one that is kept.

    $ cost-ops credentials rotate prc_01K9ZW3D1M0000000000000000 < openai.key
    """
    from llm_cost_ops.cli.connect import connected, path_of

    path = path_of("provider-credentials", credential, "rotate")
    with connected(profile) as api:
        show_object(profile, api.change("POST", path, {"secret": _secret()}))
    return OK


@command(credentials, "delete", organization=True)
def _delete(profile: Profile, credential: CredentialId) -> int:
    """Forget a credential; revoke it at the provider, too.

    $ cost-ops credentials delete prc_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("provider-credentials", credential))
    profile.note(f"Forgot {credential}.")
    return OK


def _secret() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Secret", hide_input=True, err=True))
    given = sys.stdin.read().strip()
    if not given:
        raise CommandError("give the secret on standard input", exit_code=ARGUMENTS)
    return given
