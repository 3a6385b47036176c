"""`pricing`: the price book and an organization's own prices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import command, group
from llm_cost_ops.cli.contracts import adjustments, deployments
from llm_cost_ops.cli.failure import ARGUMENTS, OK, CommandError
from llm_cost_ops.cli.output import Column, Listing, Row, rows_of, show_object, show_rows, tail_of
from llm_cost_ops.cli.profile import Profile

pricing = group("Prices: the packaged book, your own prices, discounts, re-rating.")
pricing.add_typer(adjustments, name="adjustments")
pricing.add_typer(deployments, name="deployments")

Provider = Annotated[str | None, typer.Option("-p", "--provider", help="Provider.")]
Model = Annotated[str | None, typer.Option("-m", "--model", help="Model.")]
PriceId = Annotated[str, typer.Argument(help="Id of the price.")]
PerMillion = Annotated[str | None, typer.Option(help="Price of a million.")]
Effective = Annotated[
    str | None, typer.Option(help="In force from this day or instant on (ISO 8601).")
]
Ends = Annotated[
    str | None, typer.Option("--end-date", help="Last day (included), or instant (excluded).")
]
Terms = Annotated[
    str | None,
    typer.Option(
        "--structure",
        help="JSON of another structure: per_request, tiered, formula; see the API reference.",
    ),
]
Kinds = Annotated[
    str | None, typer.Option("--prices", help='JSON of prices by kind: {"input_tokens": {..}}.')
]

COLUMNS = (
    Column("provider"),
    Column("model"),
    Column("region", optional=True),
    Column("terms", optional=True, read=lambda row: _terms(row)),
    Column("input_price_per_million", "input/1M", "number"),
    Column("output_price_per_million", "output/1M", "number"),
    Column("cached_input_price_per_million", "cached/1M", "number"),
    Column("other", optional=True, read=lambda row: _others(row)),
    Column("currency"),
    Column("effective_date", "from", "time", optional=True),
    Column("end_date", "until", "time", optional=True),
    Column("source"),
    Column("id"),
)
VERSIONS = (
    Column("version", kind="count"),
    *(column for column in COLUMNS if column.kind in ("number", "time")),
    Column("recorded_at", "recorded", "time"),
)
UNPRICED_COLUMNS = (
    Column("provider"),
    Column("model"),
    Column("unpriced_count", "unpriced", "count"),
    Column("partially_priced_count", "partial", "count"),
    Column("total_tokens", "tokens", "count"),
    Column("first_hour", "first", "time"),
    Column("last_hour", "last", "time"),
)
_SHORT = {
    "input_price": "input_price_per_million",
    "output_price": "output_price_per_million",
    "cached_price": "cached_input_price_per_million",
    "cache_write_price": "cache_write_price_per_million",
    "reasoning_price": "reasoning_price_per_million",
}


@command(pricing, "list", organization=True)
def _list(
    profile: Profile,
    provider: Provider = None,
    model: Model = None,
    active_only: Annotated[
        bool, typer.Option("--active-only/--all", help="Only those in force, or all.")
    ] = True,
    date: Annotated[str | None, typer.Option(help="In force then, instead of now.")] = None,
    source: Annotated[
        str | None, typer.Option(help="organization, operator or public (the price book).")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """List prices: your organization's first, then the packaged book.

    $ cost-ops pricing list --provider anthropic
    $ cost-ops pricing list --source organization --all -o csv
    """
    from llm_cost_ops.cli.connect import connected

    asked = {
        "provider": provider,
        "model": model,
        "active_only": active_only,
        "date": date,
        "source": source,
    }
    with connected(profile) as api:
        walk = api.walk("/pricing", asked, limit)
        rows = list(walk)
    tail = {"has_more": walk.has_more, "next_cursor": walk.next_cursor}
    show_rows(profile, rows, Listing(COLUMNS, tail=tail, empty="No price found."))
    if walk.has_more:
        profile.note(f"There are more than {limit:,}: raise --limit, or name a provider.")
    return OK


@command(pricing, "get", organization=True)
def _get(
    profile: Profile,
    price_id: Annotated[str | None, typer.Argument(help="Id of the price.")] = None,
    provider: Provider = None,
    model: Model = None,
    date: Annotated[str | None, typer.Option(help="In force then, instead of now.")] = None,
) -> int:
    """Show one price with its versions, or the prices of a model at a time.

    $ cost-ops pricing get price_01K9ZW3D1M0000000000000000
    $ cost-ops pricing get --provider openai --model gpt-4o --date 2026-01-15
    """
    from llm_cost_ops.cli.connect import connected, path_of

    if (price_id is None) == (provider is None or model is None):
        raise CommandError(
            "name a price by its id, or by --provider and --model", exit_code=ARGUMENTS
        )
    with connected(profile) as api:
        if price_id is not None:
            show_object(profile, api.read(path_of("pricing", price_id)), _print_price)
            return OK
        asked = {"provider": provider, "model": model, "date": date, "active_only": True}
        answer = api.read("/pricing", asked)
    if not rows_of(answer):
        when = f" on {date}" if date else ""
        raise CommandError(f"Pricing table not found for {provider}/{model}{when}", code="COST_001")
    show_rows(profile, rows_of(answer), Listing(COLUMNS, tail=tail_of(answer)))
    return OK


def _print_price(profile: Profile, price: Row) -> None:
    """The price in force, and below it what it was."""
    from llm_cost_ops.cli.tables import print_fields, print_listing

    print_fields(profile, {name: price[name] for name in price if name != "versions"})
    print_listing(profile, price.get("versions") or [], Listing(VERSIONS, empty="No versions."))


@command(pricing, "add", organization=True)
def _add(
    profile: Profile,
    provider: Annotated[str, typer.Option("-p", "--provider", help="Provider.")],
    model: Annotated[str, typer.Option("-m", "--model", help="Model.")],
    input_price: PerMillion = None,
    output_price: PerMillion = None,
    cached_price: PerMillion = None,
    cache_write_price: PerMillion = None,
    reasoning_price: PerMillion = None,
    effective_date: Effective = None,
    end_date: Ends = None,
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
    region: Annotated[str | None, typer.Option(help="Only for calls of this region.")] = None,
    service_tier: Annotated[str | None, typer.Option(help="Only for this service tier.")] = None,
    processing: Annotated[str | None, typer.Option(help="realtime or batch.")] = None,
    structure: Terms = None,
    prices: Kinds = None,
) -> int:
    """Set a price of your own, per million tokens; today on unless --effective-date is given.

    Calls that waited for this price are priced at once; others are re-rated by `pricing rerate`.

    $ cost-ops pricing add -p custom -m my-llama --input-price 0.20 --output-price 0.60
    $ cost-ops pricing add -p openai -m gpt-4o --input-price 2.1 --effective-date 2026-12-01
    $ cost-ops pricing add -p custom -m ocr --prices '{"requests": {"price": "0.01", "per": 1}}'
    """
    from llm_cost_ops.cli.connect import connected
    from llm_cost_ops.client.clock import utc_now

    given = dict(locals())
    body = {
        "provider": provider,
        "model": model,
        "currency": currency,
        "effective_date": effective_date or utc_now().date().isoformat(),
        "end_date": end_date,
        "region": region,
        "service_tier": service_tier,
        "processing": processing,
        **_price_parts(given),
    }
    if "pricing_structure" not in body and "prices" not in body:
        raise CommandError("give --input-price and --output-price", exit_code=ARGUMENTS)
    with connected(profile) as api:
        show_object(profile, api.change("POST", "/pricing", body))
    return OK


@command(pricing, "update", organization=True)
def _update(
    profile: Profile,
    price_id: PriceId,
    input_price: PerMillion = None,
    output_price: PerMillion = None,
    cached_price: PerMillion = None,
    cache_write_price: PerMillion = None,
    reasoning_price: PerMillion = None,
    effective_date: Effective = None,
    end_date: Ends = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217 code.")] = None,
    structure: Terms = None,
    prices: Kinds = None,
) -> int:
    """Make a new version of a price of your own; what is not named stays.

    Without --effective-date it replaces the last version for its whole validity.

    $ cost-ops pricing update price_01K9ZW3D1M0000000000000000 --input-price 0.18
    $ cost-ops pricing update price_01K9ZW3D1M0000000000000000 --effective-date 2027-01-01
    """
    from llm_cost_ops.cli.connect import connected, path_of

    given = dict(locals())
    names = ("effective_date", "end_date", "currency")
    body = {name: given[name] for name in names if given[name] is not None}
    body |= _price_parts(given)
    if not body:
        raise CommandError("name what changes, such as --input-price", exit_code=ARGUMENTS)
    with connected(profile) as api:
        show_object(profile, api.change("PUT", path_of("pricing", price_id), body))
    return OK


@command(pricing, "delete", organization=True)
def _delete(profile: Profile, price_id: PriceId) -> int:
    """End a price of your own now; what it priced stays priced.

    $ cost-ops pricing delete price_01K9ZW3D1M0000000000000000
    """
    from llm_cost_ops.cli.connect import connected, path_of

    with connected(profile) as api:
        show_object(profile, api.change("DELETE", path_of("pricing", price_id)))
    return OK


@command(pricing, "import", organization=True)
def _import(
    profile: Profile,
    file: Annotated[str, typer.Argument(help="CSV, JSON, JSON lines or YAML; - is stdin.")],
    effective_date: Effective = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
) -> int:
    """Set prices of your own from a file. Importing it again changes nothing.

    Columns or keys: provider, model, input_price, output_price, cached_price (per million),
    effective_date, end_date, currency, region, service_tier, processing; or the fields of
    POST /api/v1/pricing. A price that is there with other terms gets a new version.

    $ cost-ops pricing import prices.csv
    $ cost-ops pricing import contract.yaml --effective-date 2026-12-01 --dry-run
    """
    from llm_cost_ops.cli.price_files import import_prices

    return import_prices(profile, file, effective_date, dry_run=dry_run)


@command(pricing, "unpriced", organization=True)
def _unpriced(
    profile: Profile,
    start_date: Annotated[str | None, typer.Option(help="First day.")] = None,
    end_date: Annotated[str | None, typer.Option(help="Last day, included.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 100,
) -> int:
    """Models whose calls wait for a price, most calls first.

    $ cost-ops pricing unpriced
    """
    from llm_cost_ops.cli.connect import connected

    asked = {"start_date": start_date, "end_date": end_date, "limit": limit}
    with connected(profile) as api:
        answer = api.read("/pricing/unpriced", asked)
    listing = Listing(UNPRICED_COLUMNS, tail=tail_of(answer), empty="Every call has its price.")
    show_rows(profile, rows_of(answer), listing)
    return OK


@command(pricing, "rerate", organization=True)
def _rerate(
    profile: Profile,
    start_date: Annotated[str, typer.Option(help="First day, or instant.")],
    end_date: Annotated[str, typer.Option(help="Last day (included), or instant (excluded).")],
    provider: Provider = None,
    model: Model = None,
    unpriced_only: Annotated[
        bool, typer.Option("--unpriced-only", help="Only calls without a full price.")
    ] = False,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of the days.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Add the corrections; else only tell them.")
    ] = False,
) -> int:
    """Price recorded calls again by today's prices. Without --apply nothing changes.

    $ cost-ops pricing rerate --start-date 2026-11-01 --end-date 2026-11-30
    $ cost-ops pricing rerate --start-date 2026-11-01 --end-date 2026-11-30 -p openai --apply
    """
    from llm_cost_ops.cli.connect import connected

    body: dict[str, Any] = {
        "start_date": start_date,
        "end_date": end_date,
        "provider": provider,
        "model": model,
        "timezone": timezone,
        "unpriced_only": unpriced_only,
        "dry_run": not apply,
    }
    with connected(profile) as api:
        report = api.change("POST", "/pricing/rerate", body)
    show_object(profile, report, _show_report)
    return OK


@command(pricing, "diff")
def _diff(
    profile: Profile,
    book: Annotated[
        Path | None, typer.Argument(help="A compiled price book that would be the next one.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Compare what was in force on this day with today.")
    ] = None,
    provider: Provider = None,
) -> int:
    """What another price book would change, or what has changed since a day; offline.

    A book older than 45 days is told of on standard error.

    $ cost-ops pricing diff build/book.jsonl
    $ cost-ops pricing diff --since 2026-09-01 --provider openai -o csv
    """
    from llm_cost_ops.cli.price_changes import show_changes

    if (book is None) == (since is None):
        raise CommandError("give a compiled book, or --since DATE", exit_code=ARGUMENTS)
    show_changes(profile, book, since, provider)
    return OK


def _price_parts(given: dict[str, Any]) -> dict[str, Any]:
    """`pricing_structure` or `prices` of a body; empty when no option names a price."""
    terms = {wire: given[name] for name, wire in _SHORT.items() if given[name] is not None}
    parts = [bool(terms), given["structure"] is not None, given["prices"] is not None]
    if sum(parts) > 1:
        raise CommandError(
            "give prices per million, --structure or --prices, one of them", exit_code=ARGUMENTS
        )
    if terms:
        return {"pricing_structure": {"type": "per_token", **terms}}
    from llm_cost_ops.core.jsontext import loads

    for option, field in (("structure", "pricing_structure"), ("prices", "prices")):
        if given[option] is not None:
            return {field: loads(given[option])}
    return {}


def _terms(row: Row) -> str:
    """What makes a price a special one."""
    usual = {"service_tier": "standard", "processing": "realtime"}
    return ", ".join(str(row[name]) for name, value in usual.items() if row.get(name) != value)


def _others(row: Row) -> str:
    """Kinds that have no column of their own."""
    usual = {"input_tokens", "output_tokens", "cache_read_tokens"}
    structure: dict[str, Any] = row.get("pricing_structure") or {}
    named = [str(structure["type"])] if structure.get("type", "per_token") != "per_token" else []
    return ", ".join([*named, *(kind for kind in row["prices"] if kind not in usual)])


def _show_report(profile: Profile, report: Row) -> None:
    from llm_cost_ops.cli.tables import amount, print_listing

    verb = "would change" if report["dry_run"] else "changed"
    print(f"{report['examined']:,} calls examined, {report['records']:,} {verb}.")
    if report.get("archived"):
        print(f"{report['archived']:,} calls of this time are archived; their cost stays.")
    if report["records"]:
        columns = (
            Column("provider"),
            Column("model"),
            Column("records", kind="count"),
            Column("old_total", "old", "money"),
            Column("new_total", "new", "money"),
            Column("difference", kind="money"),
            Column("currency"),
        )
        print_listing(profile, report["by_model"], Listing(columns))
        print(f"Difference {amount(report['difference'])}")
    if report["dry_run"] and report["records"]:
        profile.note("Nothing was changed: --apply adds the corrections.")
