"""`retention`: how long an organization keeps what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows
from llm_cost_ops.cli.profile import Profile

retention = group("Retention: how long what is kept, and removing what is older.")

COLUMNS = (
    Column("kept"),
    Column("days", read=lambda row: "for ever" if row["days"] is None else str(row["days"])),
    Column("archive"),
    Column("due"),
)


@command(retention, "show", "list", organization=True)
def _show(profile: Profile) -> int:
    """Show each policy, and how many rows are older now.

    $ cost-ops retention show
    """
    return _shown(profile)


def _shown(profile: Profile) -> int:
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read("/retention")
    show_rows(profile, rows_of(answer), Listing(COLUMNS, empty="Nothing."))
    return OK


@command(retention, "set", organization=True)
def _set(
    profile: Profile,
    kept: Annotated[str, typer.Argument(help="What: `retention show` lists.")],
    days: Annotated[int | None, typer.Option(help="For so many days.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="For ever.")] = False,
    no_archive: Annotated[
        bool, typer.Option("--no-archive", help="Remove without an archive.")
    ] = False,
) -> int:
    """Keep something for a number of days, or for ever.

    $ cost-ops retention set alerts --days 400
    $ cost-ops retention set forecasts --forever
    """
    from llm_cost_ops.cli.connect import connected, path_of

    if (days is None) != forever:
        raise CommandError("name either --days or --forever", exit_code=ARGUMENTS)
    body = {"days": days, "archive": not no_archive}
    with connected(profile) as api:
        made = api.change("PUT", path_of("retention", kept), body)
    show_object(profile, made)
    return OK


@command(retention, "run", organization=True, shows=("config", "database_url"))
def _run(
    profile: Profile,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be removed.")
    ] = False,
) -> int:
    """Archive and remove what is older than its policy; a worker does the same each night.

    $ cost-ops retention run --dry-run
    """
    if dry_run:
        return _shown(profile)
    profile.refuse_remote("retention run")
    rows = _done(profile)
    columns = (Column("kept"), Column("removed"), Column("archives"), Column("failed"))
    show_rows(profile, rows, Listing(columns, empty="Nothing has a policy."))
    return GENERAL if any(row["failed"] for row in rows) else OK


@command(retention, "restore", organization=True, shows=("config", "database_url"))
def _restore(
    profile: Profile,
    archive: Annotated[str, typer.Argument(help="Id of an archive of calls (arc_..).")],
) -> int:
    """Put the calls of an archived day back into the ledger; sums stay as they are.

    $ cost-ops retention restore arc_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
    from llm_cost_ops.server.clock import SystemClock
    from llm_cost_ops.server.db.session import write_retrying
    from llm_cost_ops.server.privacy.restore import restore

    profile.refuse_remote("retention restore")
    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        organization = chosen_organization(database, profile.organization)
        done = restore(
            database,
            organization.id,
            archive,
            settings.retention.archive_directory,
            SystemClock().micros(),
            lambda work: write_retrying(database, work),
        )
    show_object(profile, {"day": done.day, "rows": done.rows})
    return OK


def _done(profile: Profile) -> list[dict[str, Any]]:
    from llm_cost_ops.cli.ledger_home import chosen_organization, open_ledger
    from llm_cost_ops.server.clock import SystemClock
    from llm_cost_ops.server.db.session import write_retrying
    from llm_cost_ops.server.privacy.retention import run

    settings = profile.settings()
    with open_ledger(profile, settings) as database:
        organization = chosen_organization(database, profile.organization)
        found = run(
            database,
            organization.id,
            settings,
            SystemClock().micros(),
            lambda work: write_retrying(database, work),
        )
        return [
            {
                "kept": one.kept,
                "removed": one.removed,
                "archives": ", ".join(one.archives),
                "failed": one.failed,
            }
            for one in found
        ]
