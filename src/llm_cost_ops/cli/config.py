"""`config`: the settings in force, and where each came from."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, show_object, show_rows
from llm_cost_ops.cli.profile import Profile

config = group("The settings: show them with their sources, check them.")

COLUMNS = (
    Column("setting"),
    Column("value"),
    Column("source"),
    Column("status", optional=True),
)


@command(config, "show", shows=("config",))
def _show(
    profile: Profile,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only settings that are not at their default.")
    ] = False,
) -> int:
    """Show every setting with its value and its source; secrets are masked.

    $ cost-ops config show
    $ cost-ops config show --changed --config production.toml -o json
    """
    from llm_cost_ops.server.settings import explain

    settings = profile.settings()
    rows = [
        {"setting": one.path, "value": one.value, "source": one.source, "status": one.status}
        for one in explain(settings)
        if not changed or one.source != "default"
    ]
    tail = {"file": None if settings.file is None else str(settings.file)}
    show_rows(profile, rows, Listing(COLUMNS, tail=tail, empty="Everything is at its default."))
    return OK


@command(config, "get", shows=("config",))
def _get(
    profile: Profile, name: Annotated[str, typer.Argument(help="Its name: server.port")]
) -> int:
    """Print the value of one setting; a secret is masked.

    $ cost-ops config get server.port
    """
    from llm_cost_ops.server.settings import explain

    found = next((one for one in explain(profile.settings()) if one.path == name), None)
    if found is None:
        raise CommandError(f"there is no setting {name!r}", exit_code=ARGUMENTS)
    shown = {"setting": found.path, "value": found.value, "source": found.source}
    show_object(profile, shown, lambda _profile, row: print(row["value"]))
    return OK


@command(config, "validate", "check", shows=("config",))
def _validate(profile: Profile) -> int:
    """Check the settings: every wrong one is named with its source, and the exit code is 2.

    $ cost-ops config validate --config production.yaml
    """
    settings = profile.settings()
    read = "no settings file" if settings.file is None else str(settings.file)
    unused = [f"{name} ({source})" for name, source in sorted(settings.unused.items())]
    shown = {"ok": True, "file": read, "notes": list(settings.notes), "not_used_yet": unused}
    show_object(profile, shown)
    return OK
