"""`exports`: files that a worker makes, and that are kept for some days."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.costs import (
    EndDate,
    Filters,
    Metadata,
    Models,
    Projects,
    Providers,
    StartDate,
    Tags,
    Users,
    Zone,
)
from llm_cost_ops.cli.exports import (
    BillingPeriod,
    Bom,
    Compression,
    DecimalMark,
    Delimiter,
    Fields,
    FocusFile,
    FocusGrain,
    FocusVersion,
    Format,
    GroupBy,
    Metrics,
    Period,
    Totals,
    Type,
    fetch,
    query_of,
)
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
    form: Format = "csv",
    type_: Type = "costs",
    start_date: StartDate = None,
    end_date: EndDate = None,
    period: Period = None,
    billing_period: BillingPeriod = None,
    fields: Fields = None,
    group_by: GroupBy = None,
    metrics: Metrics = None,
    provider: Providers = None,
    model: Models = None,
    project: Projects = None,
    user: Users = None,
    tag: Tags = None,
    metadata: Metadata = None,
    filter_: Filters = None,
    timezone: Zone = None,
    focus_version: FocusVersion = None,
    focus_file: FocusFile = None,
    focus_grain: FocusGrain = None,
    compress: Compression = None,
    delimiter: Delimiter = None,
    decimal: DecimalMark = None,
    bom: Bom = False,
    totals: Totals = False,
) -> int:
    """Order a file, which a worker makes.

    $ cost-ops exports order -f parquet --period last-month
    $ cost-ops exports order --group-by project,model --period last-month
    """
    from llm_cost_ops.cli.connect import connected

    body = query_of(locals())
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
    file: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
    ],
) -> int:
    """Fetch the file of an export that is made.

    $ cost-ops exports download exp_01K9ZW3D1M0000000000000000 --output costs.csv
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        fetch(profile, api, path_of("export", export, "download"), {}, file)
    return OK
