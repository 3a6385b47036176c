"""`bi`: read-only views of one organization for tools that read by SQL."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Profile

bi = group(
    "Views for SQL tools (Metabase, Power BI, Tableau ..), with a role that reads them alone."
)

Role = Annotated[
    str | None, typer.Option("--role", help="Name of role and schema, bi_...; else made of the id.")
]


@command(bi, "install", organization=True, shows=("database_url",))
def _install(
    profile: Profile,
    role: Role = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password; else one is made.")
    ] = False,
) -> int:
    """Make the views and the role of the organization, or make them anew with another password.

    Needs DATABASE_URL of a user who may create roles and schemas (databases on MySQL). On SQLite,
    which has no roles, the views alone.

    $ cost-ops bi install
    $ cost-ops bi install --organization acme --role bi_acme --password-stdin < bi.password
    """
    from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
    from llm_cost_ops.server.audit.actor import Actor
    from llm_cost_ops.server.bi.install import install
    from llm_cost_ops.server.clock import SystemClock

    profile.refuse_remote("bi install")
    given = _password() if password_stdin else None
    with open_ledger(profile, profile.settings()) as database:
        own = chosen_organization(database, profile.organization)
        actor = Actor(own.id, None, None, SystemClock().micros())
        password = given or secrets.token_urlsafe(24)
        made = install(database, actor, name=role, password=password)
    answer: dict[str, Any] = {
        "organization": own.id, "schema": made.schema, "role": made.role, "views": made.views,
    }  # fmt: skip
    if made.role is not None and given is None:
        answer["password"] = password
    show_object(profile, answer)
    return OK


@command(bi, "remove", organization=True, shows=("database_url",))
def _remove(profile: Profile, role: Role = None) -> int:
    """Drop the views and the role; what is not of them is refused.

    $ cost-ops bi remove
    """
    from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
    from llm_cost_ops.server.audit.actor import Actor
    from llm_cost_ops.server.bi.install import remove
    from llm_cost_ops.server.clock import SystemClock

    profile.refuse_remote("bi remove")
    with open_ledger(profile, profile.settings()) as database:
        own = chosen_organization(database, profile.organization)
        remove(database, Actor(own.id, None, None, SystemClock().micros()), name=role)
    profile.note("Removed the views.")
    return OK


def _password() -> str:
    given = sys.stdin.readline().strip()
    if not given:
        raise CommandError("give the password on standard input", exit_code=ARGUMENTS)
    return given
