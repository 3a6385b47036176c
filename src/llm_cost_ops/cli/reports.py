"""`report`: reports as files, and those that were made."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.costs import (
    EndDate,
    Filters,
    Models,
    Projects,
    Providers,
    StartDate,
    Zone,
    filters_of,
    period_of,
)
from llm_cost_ops.cli.exports import fetch
from llm_cost_ops.cli.failure import GENERAL, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.cli.report_style import style
from llm_cost_ops.cli.schedules import schedule_report

report = group("Reports: make, list, cancel, download; their colours and logo.")
report.add_typer(style, name="style")

DEFAULT_PERIOD = "last-month"
COLUMNS = (
    Column("id"),
    Column("type"),
    Column("title"),
    Column("status"),
    Column("format"),
    Column("created_at", "created"),
)
FIELDS = (
    "id", "type", "title", "status", "format", "error", "created_at", "finished_at", "expires_at",
)  # fmt: skip
Id = Annotated[str, typer.Argument(help="Id of the report (rpt_..).")]
Target = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
]


@command(report, "generate", organization=True, prints=False)
def _generate(
    profile: Profile,
    file: Target,
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            help="cost_summary, usage_analysis, forecast, budget, chargeback, executive, "
            "optimization, audit or custom.",
        ),
    ] = "cost_summary",
    form: Annotated[
        str, typer.Option("-f", "--format", help="pdf, xlsx, html, markdown or json.")
    ] = "pdf",
    period: Annotated[
        str | None, typer.Option(help=f"Named period; else {DEFAULT_PERIOD}.")
    ] = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    timezone: Zone = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", help="Dimensions of the breakdown, with commas.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="With the previous period, month, year or none.")
    ] = None,
    charge_by: Annotated[
        str | None, typer.Option(help="Of chargeback: project, team, cost_center ..")
    ] = None,
    template: Annotated[str | None, typer.Option(help="Of custom: name of kept sections.")] = None,
    title: Annotated[str | None, typer.Option(help="Title; else that of the type.")] = None,
    charts: Annotated[bool, typer.Option("--charts/--no-charts", help="With charts.")] = True,
    provider: Providers = None,
    model: Models = None,
    project: Projects = None,
    filter_: Filters = None,
) -> int:
    """Make a report and write it to a file.

    $ cost-ops report generate --period last-month --output october.pdf
    $ cost-ops report generate --type chargeback --charge-by team -f xlsx --output teams.xlsx
    """
    from llm_cost_ops.cli.connect import connected, path_of

    filters = filters_of(provider, model, project, None, None, None, filter_)
    body: dict[str, Any] = {
        **period_of(period, start_date, end_date, DEFAULT_PERIOD),
        **({"filters": filters} if filters else {}),
        "type": type_,
        "format": form,
        "timezone": timezone,
        "group_by": [each.strip() for each in group_by.split(",")] if group_by else None,
        "compare": compare,
        "charge_by": charge_by,
        "template": template,
        "title": title,
        "include_charts": charts,
        "wait": True,
    }
    with connected(profile) as api:
        given = {name: value for name, value in body.items() if value is not None}
        made = api.report(given)
        if made["status"] != "completed":
            raise CommandError(made["error"] or f"the report is {made['status']}",
                               exit_code=GENERAL)  # fmt: skip
        fetch(profile, api, f"{path_of('reports', made['id'])}/download", {"format": form}, file)
    return OK


@command(report, "list", organization=True)
def _list(
    profile: Profile,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
    type_: Annotated[str | None, typer.Option("--type", help="Of this type.")] = None,
) -> int:
    """List reports, the newest first.

    $ cost-ops report list
    """
    from llm_cost_ops.cli.connect import connected

    params = {"limit": limit, **({} if type_ is None else {"type": type_})}
    with connected(profile) as api:
        answer = api.read("/reports", params)
    listing = Listing(COLUMNS, FIELDS, tail_of(answer), empty="No reports.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(report, "get", "show", organization=True)
def _get(profile: Profile, report_id: Id) -> int:
    """Show where a report stands.

    $ cost-ops report get rpt_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.read(path_of("reports", report_id))
    show_object(profile, found)
    return OK


@command(report, "cancel", organization=True)
def _cancel(profile: Profile, report_id: Id) -> int:
    """Take back a report that is not made yet.

    $ cost-ops report cancel rpt_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        found = api.change("POST", f"{path_of('reports', report_id)}/cancel")
    show_object(profile, found)
    return OK


@command(report, "download", organization=True, prints=False)
def _download(
    profile: Profile,
    report_id: Id,
    file: Target,
    form: Annotated[
        str | None, typer.Option("-f", "--format", help="pdf, xlsx, html, markdown or json.")
    ] = None,
) -> int:
    """Write a report that was made to a file, in its own format or another one.

    $ cost-ops report download rpt_01K9ZW3D1M0000000000000000 -f html --output october.html
    """
    from llm_cost_ops.cli.connect import connected, path_of

    params = {} if form is None else {"format": form}
    with connected(profile) as api:
        fetch(profile, api, f"{path_of('reports', report_id)}/download", params, file)
    return OK


command(report, "schedule", organization=True)(schedule_report)
