"""`imports`: what was imported, and taking it back."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, show_object, show_rows
from llm_cost_ops.cli.profile import Profile

imports = group("Imports: list them, look at one, take one back.")

ImportId = Annotated[str, typer.Argument(help="Id of the import (imp_..).")]
COLUMNS = (
    Column("id"),
    Column("created_at", "created", "time"),
    Column("name"),
    Column("format"),
    Column("status"),
    Column("created", "calls", "count"),
    Column("duplicate", "duplicates", "count"),
    Column("corrected", kind="count"),
    Column("failed", kind="count"),
    Column("undone_at", "undone", "time", optional=True),
)
FIELDS = (
    "id", "name", "format", "status", "created", "duplicate", "corrected", "failed", "created_by",
    "created_at", "undone_at",
)  # fmt: skip


@command(imports, "list", organization=True)
def _list(
    profile: Profile,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List imports, the newest first.

    $ cost-ops imports list
    $ cost-ops imports list --limit 5 -o json
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        rows = api.walk("/imports", {}, limit)
        kept = list(rows)
    tail = {"has_more": rows.has_more, "next_cursor": rows.next_cursor}
    show_rows(profile, kept, Listing(COLUMNS, FIELDS, tail, empty="No imports yet."))
    return OK


@command(imports, "show", organization=True)
def _show(profile: Profile, import_id: ImportId) -> int:
    """Show one import with its counts.

    $ cost-ops imports show imp_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.read(path_of("imports", import_id)))
    return OK


@command(imports, "undo", organization=True)
def _undo(profile: Profile, import_id: ImportId) -> int:
    """Take back every call of an import by reversing entries; the file can then be imported again.

    Corrections that the import made to calls of other imports stay.

    $ cost-ops imports undo imp_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.change("POST", path_of("imports", import_id, "undo")))
    return OK
