"""`exports`: files that a worker makes, and that are kept for some days."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.failure import OK
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

exports = group("Exports that a worker makes: order them, look how far they are, fetch them.")

PATH = "/export"
FIELDS = (
    "id", "status", "type", "format", "progress", "size_bytes", "sha256", "totals", "reason",
    "query", "file_name", "created_by", "created_at", "started_at", "finished_at", "expires_at",
)  # fmt: skip
COLUMNS = (
    Column("id"),
    Column("status"),
    Column("type"),
    Column("format"),
    Column("size_bytes", "bytes", "count"),
    Column("created_at", "ordered", "time"),
    Column("expires_at", "kept until", "time", optional=True),
    Column("reason", optional=True),
)
ExportId = Annotated[str, typer.Argument(help="Id of an export (exp_..).")]


@command(exports, "list", organization=True)
def _list(
    profile: Profile,
    status: Annotated[
        str | None,
        typer.Option(help="pending, processing, completed, failed, cancelled or expired."),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List exports, the newest first.

    $ cost-ops exports list --status completed
    """
    from llm_cost_ops.cli.connect import connected

    with connected(profile) as api:
        answer = api.read(PATH, {"limit": limit, "status": status})
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No exports.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(exports, "order", organization=True)
def _order(
    profile: Profile,
    form: Annotated[str, typer.Option("-f", "--format", help="As `export` takes it.")] = "csv",
    type_: Annotated[
        str, typer.Option("--type", help="costs, usage, aggregates, audit, pricing or budgets.")
    ] = "costs",
    period: Annotated[str | None, typer.Option(help="Named period; else all calls.")] = None,
    fields: Annotated[str | None, typer.Option(help="The columns, with commas.")] = None,
    compress: Annotated[str | None, typer.Option("--compress", help="gzip or zstd.")] = None,
) -> int:
    """Order a file, which a worker makes.

    $ cost-ops exports order -f parquet --period last-month
    """
    from llm_cost_ops.cli.connect import connected

    body = {"format": form, "type": type_, "period": period, "include_fields": fields,
            "compression": compress}  # fmt: skip
    with connected(profile) as api:
        show_object(profile, api.change("POST", PATH, body))
    return OK


@command(exports, "get", organization=True)
def _get(profile: Profile, export: ExportId) -> int:
    """Show one export and how far it is.

    $ cost-ops exports get exp_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.read(path_of("export", export), {}))
    return OK


@command(exports, "cancel", organization=True)
def _cancel(profile: Profile, export: ExportId) -> int:
    """Cancel an export that is not made yet, or remove the file of one that is.

    $ cost-ops exports cancel exp_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        api.change("DELETE", path_of("export", export))
    profile.note(f"Cancelled {export}.")
    return OK


@command(exports, "download", organization=True, prints=False)
def _download(
    profile: Profile,
    export: ExportId,
    file: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Where to.")],
) -> int:
    """Fetch the file of an export that is made.

    $ cost-ops exports download exp_01K9ZW3D1M0000000000000000 --output costs.csv
    """
    from llm_cost_ops.cli.connect import connected, path_of
    from llm_cost_ops.cli.exports import replacing

    with connected(profile) as api, replacing(profile, Path(file)) as target:
        api.download(path_of("export", export, "download"), {}, target)
    profile.note(f"{target.size:,} bytes written to {file}.")
    return OK
