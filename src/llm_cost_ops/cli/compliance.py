"""`compliance`: which controls of a profile are met, by the settings and the database as they
are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, Row, show_object, show_rows
from llm_cost_ops.cli.profile import Output, Profile

if TYPE_CHECKING:
    from llm_cost_ops.server.admin.compliance.control import Facts
    from llm_cost_ops.server.settings import Settings

_FIELDS = ("id", "title", "state", "required", "detail", "source", "fix")
_COLUMNS = (
    Column("id"),
    Column("state"),
    Column("required", read=lambda row: "yes" if row["required"] else ""),
    Column("title"),
    Column("detail"),
)

compliance = group("Controls of security: which are met, and how to meet the others.")


@command(compliance, "check", shows=("database_url",))
def _check(
    profile: Profile,
    wanted: Annotated[
        str,
        typer.Option("--profile", help="Which controls are required: baseline, soc2 or hipaa."),
    ] = "baseline",
) -> int:
    """Judge each control by the settings and the database of this installation.

    A control is met, not met, not applicable or unknown; `fix` says how to meet it. The exit code
    is 1 when one that the profile requires is not met. Run it with the settings of the server.

    $ cost-ops compliance check
    $ cost-ops compliance check --profile soc2 -o json
    """
    from llm_cost_ops.server.admin.compliance.control import PROFILES, Evidence, report
    from llm_cost_ops.server.admin.compliance.controls import CONTROLS

    profile.refuse_remote("compliance check")
    if wanted not in PROFILES:
        raise CommandError(f"--profile must be one of: {', '.join(PROFILES)}", exit_code=ARGUMENTS)
    settings = profile.settings()
    found = report(CONTROLS, wanted, Evidence(settings, _facts(profile, settings)))
    _show(profile, found)
    return OK if found["met"] else GENERAL


def _facts(profile: Profile, settings: Settings) -> Facts:
    """What the database tells; nothing when it does not answer."""
    from llm_cost_ops.cli.ledger_home import log_quietly
    from llm_cost_ops.server.admin.compliance.control import Facts
    from llm_cost_ops.server.admin.compliance.facts import gather
    from llm_cost_ops.server.clock import SystemClock
    from llm_cost_ops.server.db.engine import open_maintenance_database
    from llm_cost_ops.server.db.errors import DatabaseConfiguration

    log_quietly(profile)
    try:
        database = open_maintenance_database(settings.database)
    except DatabaseConfiguration:
        return Facts()
    try:
        return gather(database, SystemClock().micros())
    finally:
        database.dispose()


def _show(profile: Profile, found: dict[str, Any]) -> None:
    """The controls as rows; as JSON or YAML the whole answer, for programs."""
    if profile.format in (Output.JSON, Output.YAML):
        show_object(profile, found)
        return
    show_rows(profile, found["controls"], Listing(_COLUMNS, _FIELDS, notes=_fixes))


def _fixes(rows: Sequence[Row]) -> Iterable[str]:
    """How to meet what is required and not met."""
    for row in rows:
        if row["required"] and row["state"] != "met" and "fix" in row:
            yield f"{row['id']}: {row['fix']}"
