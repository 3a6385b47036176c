"""`query` and `summary`: calls, groups of calls and totals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, Row, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Output, Profile

if TYPE_CHECKING:
    from llm_cost_ops.cli.connect import Api

StartDate = Annotated[
    str | None, typer.Option("--start-date", help="First day, or instant (ISO 8601).")
]
EndDate = Annotated[
    str | None, typer.Option("--end-date", help="Last day (included), or instant (excluded).")
]
Zone = Annotated[
    str | None, typer.Option("--timezone", help="IANA zone of days; else the organization's.")
]
Providers = Annotated[
    list[str] | None, typer.Option("-p", "--provider", help="Of these providers; repeatable.")
]
Models = Annotated[
    list[str] | None, typer.Option("-m", "--model", help="Of these models; repeatable.")
]
Projects = Annotated[list[str] | None, typer.Option("--project", help="Of these projects.")]
Users = Annotated[list[str] | None, typer.Option("--user", help="Of these users.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="With all of these tags.")]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="KEY=VALUE of the metadata; repeatable.")
]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", help="FIELD=VALUE for any other field (team_id, feature ..)."),
]

DEFAULT_RANGE = "last-24-hours"
DEFAULT_PERIOD = "last-30-days"
MAX_BREAKDOWN = 20

CALL_COLUMNS = (
    Column("timestamp", "time", "time"),
    Column("provider"),
    Column("model"),
    Column("prompt_tokens", "input", "count"),
    Column("completion_tokens", "output", "count"),
    Column("total_cost", "cost", "money"),
    Column("currency"),
    Column("project_id", "project", optional=True),
    Column("user_id", "user", optional=True),
    Column("id"),
)
CALL_FIELDS = (
    "id", "event_id", "source", "timestamp", "provider", "model", "prompt_tokens",
    "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "total_cost", "currency", "cost_status", "project_id", "team_id", "user_id", "api_key_id",
    "environment", "feature", "service_tier", "processing", "region", "status", "latency_ms",
    "price_version", "import_id", "tags", "metadata",
)  # fmt: skip
GROUP_ALWAYS = ("requests", "tokens", "total_cost", "currency", "unpriced_count")
_IN_GROUPS = frozenset({*GROUP_ALWAYS, "sum", "count", "cost", "total_tokens"})


@single("query", organization=True)
def query(
    profile: Profile,
    range_: Annotated[
        str | None,
        typer.Option("--range", help=f"Named period, e.g. last-7-days; else {DEFAULT_RANGE}."),
    ] = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    provider: Providers = None,
    model: Models = None,
    project: Projects = None,
    user: Users = None,
    tag: Tags = None,
    metadata: Metadata = None,
    filter_: Filters = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by", help="Dimensions with commas: provider,model,day,tag,metadata.x"
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Further metrics of groups: avg,min,max,p95,tokens_by_kind .."),
    ] = None,
    timezone: Zone = None,
    fields: Annotated[
        str | None, typer.Option(help="Fields of calls to show, with commas.")
    ] = None,
    order_by: Annotated[
        str | None, typer.Option("--order-by", help="Fields with commas, - before for descending.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many rows.")] = 100,
    every: Annotated[bool, typer.Option("--all", help="All rows, however many.")] = False,
) -> int:
    """List calls, the newest first, or with --group-by add them up.

    Periods: last-hour, last-24-hours, last-N-days, today, yesterday, this-week, last-week,
    this-month, last-month, this-quarter, this-year, all-time ..

    $ cost-ops query --range last-7-days --provider openai
    $ cost-ops query --group-by provider,model --metrics avg,p95 --order-by -total_cost
    $ cost-ops query --group-by day --start-date 2026-11-01 --timezone Europe/Berlin
    $ cost-ops query --range all-time --all -o csv > calls.csv
    """
    from llm_cost_ops.cli.connect import connected

    if limit < 1:
        raise CommandError("--limit must be at least 1", exit_code=ARGUMENTS)
    params = {
        **period_of(range_, start_date, end_date, DEFAULT_RANGE),
        **filters_of(provider, model, project, user, tag, metadata, filter_),
        "timezone": timezone,
        "order_by": order_by,
    }
    most = None if every else limit
    with connected(profile) as api:
        if group_by is None:
            if metrics is not None:
                raise CommandError("--metrics needs --group-by", exit_code=ARGUMENTS)
            _list(profile, api, {**params, "fields": fields}, most)
        else:
            _groups(profile, api, {**params, "group_by": group_by, "metrics": metrics}, most)
    return OK


@single("summary", organization=True)
def summary(
    profile: Profile,
    period: Annotated[
        str | None, typer.Option(help=f"Named period; else {DEFAULT_PERIOD}.")
    ] = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    breakdown: Annotated[
        str | None, typer.Option(help="Also by these dimensions, dearest first: provider,model")
    ] = None,
    provider: Providers = None,
    model: Models = None,
    project: Projects = None,
    user: Users = None,
    tag: Tags = None,
    metadata: Metadata = None,
    filter_: Filters = None,
    timezone: Zone = None,
) -> int:
    """Totals of a period: cost, requests, tokens, and what has no price; the dearest models.

    $ cost-ops summary
    $ cost-ops summary --period this-month --breakdown project,provider
    $ cost-ops summary --start-date 2026-11-01 --end-date 2026-11-15 -o json
    """
    from llm_cost_ops.cli.connect import connected

    params = {
        **period_of(period, start_date, end_date, DEFAULT_PERIOD),
        **filters_of(provider, model, project, user, tag, metadata, filter_),
        "timezone": timezone,
    }
    with connected(profile) as api:
        found: dict[str, Any] = dict(api.read("/costs/summary", params))
        if breakdown is not None:
            groups = {**params, "group_by": breakdown, "order_by": "-total_cost"}
            found["breakdown"] = rows_of(api.read("/costs/aggregate", groups))
    if breakdown is not None and profile.format in (Output.CSV, Output.JSONL):
        show_rows(profile, found["breakdown"], Listing(()))
    else:
        show_object(profile, found, _show_summary(breakdown))
    return OK


def period_of(
    name: str | None, start_date: str | None, end_date: str | None, default: str
) -> dict[str, str | None]:
    if start_date is None and end_date is None:
        return {"period": name or default}
    if name is not None:
        raise CommandError("give a named period or dates, not both", exit_code=ARGUMENTS)
    return {"start_date": start_date, "end_date": end_date}


def filters_of(
    provider: Sequence[str] | None,
    model: Sequence[str] | None,
    project: Sequence[str] | None,
    user: Sequence[str] | None,
    tag: Sequence[str] | None,
    metadata: Sequence[str] | None,
    others: Sequence[str] | None,
) -> dict[str, list[str]]:
    named = {
        "provider": provider, "model": model, "project_id": project, "user_id": user, "tag": tag,
    }  # fmt: skip
    found = {name: list(values) for name, values in named.items() if values}
    for prefix, entries in (("metadata.", metadata), ("", others)):
        for entry in entries or ():
            name, equals, value = entry.partition("=")
            if not equals or not name:
                raise CommandError(f"{entry!r} is not NAME=VALUE", exit_code=ARGUMENTS)
            found.setdefault(prefix + name, []).append(value)
    return found


def _list(profile: Profile, api: Api, params: Mapping[str, Any], limit: int | None) -> None:
    asked = {**params, "order_by": params["order_by"] or "-timestamp"}
    walk = api.walk("/costs", asked, limit)
    named = [name.strip() for name in (params["fields"] or "").split(",") if name.strip()]
    columns = [Column(name) for name in named] or CALL_COLUMNS
    listing = Listing(columns, named or CALL_FIELDS, notes=None if named else _call_totals)
    if profile.format is Output.JSON:
        rows = list(walk)
        tail = {"has_more": walk.has_more, "next_cursor": walk.next_cursor}
        show_rows(profile, rows, Listing(columns, tail=tail))
    else:
        show_rows(profile, walk, listing)
    if walk.has_more:
        profile.note(f"There are more than {limit:,}: raise --limit, or --all.")


def _call_totals(rows: Sequence[Row]) -> Iterator[str]:
    from llm_cost_ops.cli.totals import total_lines

    yield f"{len(rows):,} calls"
    yield from total_lines(rows)


def _groups(profile: Profile, api: Api, params: Mapping[str, Any], limit: int | None) -> None:
    answer = api.read("/costs/aggregate", {**params, "limit": limit})
    dimensions = [name.strip() for name in params["group_by"].split(",") if name.strip()]
    asked = [name.strip() for name in (params["metrics"] or "").split(",") if name.strip()]
    listing = Listing(
        group_columns(dimensions, asked),
        tail=tail_of(answer),
        notes=lambda _rows: _group_totals(answer),
    )
    show_rows(profile, rows_of(answer), listing)
    if answer.get("has_more"):
        profile.note(f"There are more than {limit:,} groups: raise --limit, or --all.")


def group_columns(dimensions: Sequence[str], asked: Sequence[str] = ()) -> list[Column]:
    """Columns of groups: dimensions, the usual metrics, and those asked for."""
    return [
        *(Column(name) for name in dimensions if name != "currency"),
        Column("requests", kind="count"),
        Column("tokens", kind="count"),
        *(Column(name, kind="number") for name in asked if name not in _IN_GROUPS),
        Column("total_cost", "cost", "money"),
        Column("currency"),
        Column("unpriced", kind="count", optional=True, read=_nonzero("unpriced_count")),
        Column("partial", kind="count", optional=True, read=_nonzero("partially_priced_count")),
    ]


def _nonzero(name: str) -> Callable[[Row], Any]:
    def count(row: Row) -> Any:
        return row.get(name) or None

    return count


def _group_totals(answer: Mapping[str, Any]) -> Iterator[str]:
    from llm_cost_ops.cli.totals import total_lines

    totals = answer.get("totals")
    if totals:
        yield f"{sum(total['requests'] for total in totals):,} calls"
        yield from total_lines(totals, counted="requests")


def _show_summary(breakdown: str | None) -> Callable[[Profile, Row], None]:
    def draw(profile: Profile, found: Row) -> None:
        from llm_cost_ops.cli.summaries import print_summary

        print_summary(profile, found, breakdown)

    return draw
