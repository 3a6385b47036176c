"""Tables: amounts right-aligned at their points, exact, without a digit too many."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_cost_ops.cli.output import Column, Listing, Row, cell
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.core.money import PLACES, plain

UNPRICED = "unpriced"
LEAST_PLACES = 2
LEAST_TEXT = 10
"""What a column of text keeps of its width; numbers keep all of it."""
GAP = 3
WIDE = 10_000
"""Width where nobody's screen bounds it: a pipe must not lose what a line cannot hold."""


def console_of(profile: Profile, *, stderr: bool = False) -> Console:
    """A console for this process; without a terminal nothing is wrapped or coloured."""
    stream = sys.stderr if stderr else sys.stdout
    tty = stream.isatty()
    return Console(
        file=stream,
        width=None if tty else WIDE,
        no_color=not profile.color,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def print_listing(profile: Profile, rows: Sequence[Row], listing: Listing) -> None:
    """Rows as a table, then the notes."""
    console = console_of(profile)
    if not rows:
        console.print(listing.empty)
        return
    columns = [
        column
        for column in listing.columns
        if not column.optional or any(column.value(row) not in (None, "", []) for row in rows)
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    texts: list[list[str]] = []
    least = -GAP
    for column in columns:
        right = column.kind != "text" and column.kind != "time"
        table.add_column(
            column.heading, justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
        texts.append(_texts(column, rows))
        longest = max(map(cell_len, (column.heading, *texts[-1])))
        least += GAP + (longest if right else min(longest, LEAST_TEXT))
    # Columns would vanish on a narrower screen, and numbers stand there without their names.
    console.width = max(console.width, least)
    for line in zip(*texts, strict=True):
        table.add_row(*(Text(text) for text in line))
    console.print(table)
    for note in listing.notes(rows) if listing.notes else ():
        console.print(Text(safe(note)))


def print_fields(profile: Profile, value: Row) -> None:
    """An object as two columns: name and value."""
    pairs = [(name, shown(inner)) for name, inner in value.items() if inner not in (None, {}, [])]
    print_pairs(profile, pairs)


def print_pairs(
    profile: Profile, pairs: Iterable[tuple[str, str]], title: str | None = None
) -> None:
    """Names and values, one pair a line."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(Text(name.replace("_", " ")), Text(safe(text)))
    console = console_of(profile)
    if title:
        console.print(Text(title, style="bold"))
    console.print(table)


def shown(value: object) -> str:
    """A single value for people."""
    if isinstance(value, Decimal):
        return amount(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value).items()
        return ", ".join(f"{name} {shown(inner)}" for name, inner in pairs)
    if isinstance(value, list):
        items = cast("list[object]", value)
        if all(isinstance(item, str) for item in items):
            return ", ".join(cast("list[str]", items))
    return cell(cast("object", value))


def amount(value: Decimal, places: int = LEAST_PLACES) -> str:
    """All digits that mean something, and at least `places` after the point."""
    text = plain(value)
    whole, _, fraction = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    grouped = f"{int(digits):,}"
    return f"{sign}{grouped}.{fraction:0<{places}}" if fraction or places else f"{sign}{grouped}"


def money(value: Decimal | None) -> str:
    """A cost; one that is not known is not zero."""
    return UNPRICED if value is None else amount(value)


def _texts(column: Column, rows: Sequence[Row]) -> list[str]:
    values = [column.value(row) for row in rows]
    if column.kind in ("money", "number"):
        places = min(max((_places(value) for value in values), default=0), PLACES)
        if column.kind == "money":
            return [_money_cell(value, max(places, LEAST_PLACES)) for value in values]
        return [_number_cell(value, places) for value in values]
    if column.kind == "count":
        return ["" if value is None else shown(value) for value in values]
    if column.kind == "time":
        return [safe(time_text(value)) for value in values]
    return [safe(cell(value)) for value in values]


def _money_cell(value: Any, places: int) -> str:
    if isinstance(value, int | Decimal):
        return amount(Decimal(value), places)
    return UNPRICED if value is None else safe(str(value))


def _number_cell(value: Any, places: int) -> str:
    if isinstance(value, int | Decimal):
        return amount(Decimal(value), places)
    return safe(cell(value))


def _places(value: Any) -> int:
    return len(plain(value).partition(".")[2]) if isinstance(value, Decimal) else 0


def time_text(value: Any) -> str:
    """An instant of the API without its letters, to the second; the zone is UTC."""
    if not isinstance(value, str):
        return cell(value)
    return value[:19].replace("T", " ") if "T" in value else value


def safe(text: str) -> str:
    """Text from elsewhere that cannot steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
