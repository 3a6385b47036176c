"""`jobs`: what is to be done in the background, and what could not be done."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, show_object, show_rows
from llm_cost_ops.cli.profile import Profile

jobs = group("Background jobs of the local database: list them, run dead ones again.")

JobId = Annotated[str, typer.Argument(help="Id of the job (job_..).")]
JobIds = Annotated[list[str] | None, typer.Argument(help="Ids of the jobs (job_..).")]
KindName = Annotated[str | None, typer.Option("--kind", help="Jobs of this kind alone.")]
AllDead = Annotated[bool, typer.Option("--all-dead", help="All dead jobs instead of some ids.")]
COLUMNS = (
    Column("id"),
    Column("kind"),
    Column("state"),
    Column("attempts", kind="count"),
    Column("run_at", "due", "time"),
    Column("organization_id", "organization", optional=True),
    Column("holder", optional=True),
    Column("last_error", "error", optional=True),
)
FIELDS = (
    "id", "organization_id", "kind", "state", "priority", "attempts", "max_attempts", "run_at",
    "lane", "holder", "leased_until", "last_error", "created_at", "finished_at",
)  # fmt: skip


@command(jobs, "list", organization=True, shows=("database_url",))
def _list(
    profile: Profile,
    state: Annotated[
        str | None, typer.Option(help="ready, running, done, dead or discarded.")
    ] = None,
    kind: KindName = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List jobs, the newest first.

    $ cost-ops jobs list --state dead
    $ cost-ops jobs list --kind queue.retention --limit 5 -o json
    """
    from llm_cost_ops.cli.job_desk import listed

    rows = listed(profile, state=state, kind=kind, limit=limit)
    show_rows(profile, rows, Listing(COLUMNS, FIELDS, empty="No such jobs."))
    return OK


@command(jobs, "show", organization=True, shows=("database_url",))
def _show(profile: Profile, job_id: JobId) -> int:
    """Show one job with its payload and its last error.

    $ cost-ops jobs show job_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.job_desk import shown

    show_object(profile, shown(profile, job_id))
    return OK


@command(jobs, "replay", organization=True, shows=("database_url",))
def _replay(
    profile: Profile, job_ids: JobIds = None, all_dead: AllDead = False, kind: KindName = None
) -> int:
    """Run dead or discarded jobs again, with all their attempts before them.

    $ cost-ops jobs replay job_01K9ZW3D1M0000000000000000
    $ cost-ops jobs replay --all-dead --kind queue.retention
    """
    from llm_cost_ops.cli.job_desk import replayed

    rows = replayed(profile, job_ids or [], all_dead=all_dead, kind=kind)
    show_rows(profile, rows, Listing(COLUMNS, FIELDS, empty="No such jobs."))
    return OK


@command(jobs, "discard", organization=True, shows=("database_url",))
def _discard(
    profile: Profile, job_ids: JobIds = None, all_dead: AllDead = False, kind: KindName = None
) -> int:
    """Give dead or waiting jobs up; they can be replayed until they are removed.

    $ cost-ops jobs discard job_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.job_desk import discarded

    rows = discarded(profile, job_ids or [], all_dead=all_dead, kind=kind)
    show_rows(profile, rows, Listing(COLUMNS, FIELDS, empty="No such jobs."))
    return OK
