"""`cost-ops estimate`: what calls would cost, by the packaged price book, without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.failure import ARGUMENTS, GENERAL, OK, CommandError
from llm_cost_ops.cli.profile import Output, Profile
from llm_cost_ops.cli.textlines import text_lines

COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}
"""Options that are quantities, and their usage kinds."""


@single("estimate")
def estimate(
    profile: Profile,
    file: Annotated[
        str | None, typer.Option("-f", "--file", help="Items, one JSON object a line; - is stdin.")
    ] = None,
    provider: Annotated[str | None, typer.Option("-p", "--provider", help="Provider.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Model.")] = None,
    input_tokens: Annotated[
        int | None, typer.Option(help="Input tokens, cached ones included.")
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option(help="Output tokens, reasoning included.")
    ] = None,
    cached_tokens: Annotated[int | None, typer.Option(help="Input tokens read from cache.")] = None,
    cache_write_tokens: Annotated[
        int | None, typer.Option(help="Input tokens written to the cache.")
    ] = None,
    reasoning_tokens: Annotated[
        int | None, typer.Option(help="Output tokens spent on reasoning.")
    ] = None,
    usage: Annotated[
        list[str] | None,
        typer.Option("--usage", help="Any other quantity: KIND=QUANTITY; may be repeated."),
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Time of the call, ISO 8601; now when left out.")
    ] = None,
    service_tier: Annotated[str | None, typer.Option(help="flex, priority, batch ..")] = None,
    processing: Annotated[str | None, typer.Option(help="realtime or batch.")] = None,
    region: Annotated[str | None, typer.Option(help="Region of the endpoint.")] = None,
    book: Annotated[
        Path | None, typer.Option(help="A compiled price book instead of the packaged one.")
    ] = None,
) -> int:
    """Estimate what calls cost, offline: nothing is sent and nothing is stored.

    Items have the shape of POST /api/v1/costs/estimate: provider, model, usage (or response), and
    optionally a date, a service tier, a region or prices of their own. With -o jsonl one answer a
    line is printed for each item, in order. The exit code is 1 when an item was refused.

    $ cost-ops estimate -p openai -m gpt-4o --input-tokens 1200 --output-tokens 300
    $ cost-ops estimate -f calls.jsonl -o jsonl > costs.jsonl
    $ cat calls.jsonl | cost-ops estimate -f - -o json
    """
    given = dict(locals())
    item = _inline(given)
    if (file is None) == (item is None):
        raise CommandError("give -f FILE, or --provider and --model", exit_code=ARGUMENTS)
    from llm_cost_ops.client.clock import utc_now
    from llm_cost_ops.core.estimate import estimate_lines
    from llm_cost_ops.core.jsontext import dumps

    prices = _book(book)
    with _lines(file, dumps(item)) as lines:
        answers = estimate_lines(lines, prices, now=utc_now())
        return _print(profile, answers)


def _inline(given: dict[str, Any]) -> dict[str, Any] | None:
    """The item that the options describe; None when there is no such option."""
    names = ("provider", "model", "date", "service_tier", "processing", "region")
    item = {name: given[name] for name in names if given[name] is not None}
    usage = {kind: given[name] for name, kind in COUNTS.items() if given[name] is not None}
    for entry in given["usage"] or ():
        kind, equals, quantity = entry.partition("=")
        if not equals:
            raise CommandError(f"--usage {entry!r} is not KIND=QUANTITY", exit_code=ARGUMENTS)
        usage[kind] = _quantity(kind, quantity)
    if not item and not usage:
        return None
    if "provider" not in item or "model" not in item:
        raise CommandError("--provider and --model are both needed", exit_code=ARGUMENTS)
    return {**item, "usage": usage}


def _quantity(kind: str, text: str) -> Any:
    """Whole where it is: only seconds may have a fraction, which the price book's rules check."""
    from llm_cost_ops.core.money import parse_decimal

    number = parse_decimal(text, kind)
    return int(number) if number == number.to_integral_value() else number


def _book(path: Path | None) -> Any:
    from llm_cost_ops.core.pricing.book import PriceBook

    if path is None:
        return PriceBook.packaged()
    return PriceBook.load(path.read_text(encoding="utf-8"))


def _lines(file: str | None, inline: str) -> AbstractContextManager[Iterable[str]]:
    """Bytes that are no UTF-8 stay visible, and the item is refused for them."""
    return nullcontext([inline]) if file is None else text_lines(file, errors="surrogateescape")


def _print(profile: Profile, answers: Iterator[tuple[str, bool]]) -> int:
    refused = 0
    if profile.format is Output.JSONL:
        write = sys.stdout.write
        for line, accepted in answers:
            write(line + "\n")
            refused += not accepted
        return GENERAL if refused else OK
    from llm_cost_ops.cli.estimates import show_estimates

    kept: list[str] = []
    for line, accepted in answers:
        kept.append(line)
        refused += not accepted
    show_estimates(profile, kept)
    return GENERAL if refused else OK
