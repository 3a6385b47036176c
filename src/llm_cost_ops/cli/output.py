"""Results on standard output, exact in every format: JSON, JSON lines, CSV, YAML, tables.

JSON is the answer of the API as it is; JSON lines, CSV and YAML are its rows. Amounts are written
digit by digit, never through a float. In a table an unknown cost is the word "unpriced".
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, islice
from typing import Any, TextIO, cast

from llm_cost_ops.cli.profile import Output, Profile
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import plain

Row = Mapping[str, Any]
HEADER_ROWS = 1000
"""Rows whose fields make the header of a CSV: all of a page."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field it shows, its title, and what it holds.

    `kind` is text, time, count, number or money, in which what is not known is "unpriced".
    `optional` columns are left out of a table in which no row has a value for them.
    """

    name: str
    title: str = ""
    kind: str = "text"
    optional: bool = False
    read: Callable[[Row], Any] | None = None

    @property
    def heading(self) -> str:
        return self.title or self.name.replace("_", " ")

    def value(self, row: Row) -> Any:
        return row.get(self.name) if self.read is None else self.read(row)


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows to show. `fields` are the CSV columns, in order (else those that the rows have);
    `tail` is what a JSON answer holds beside `data`; `notes` follow a table."""

    columns: Sequence[Column]
    fields: Sequence[str] = ()
    tail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: Callable[[Sequence[Row]], Iterable[str]] | None = None
    empty: str = "Nothing found."


def show_rows(profile: Profile, rows: Iterable[Row], listing: Listing) -> None:
    """Print rows; those of JSON lines, JSON and CSV are written as they come."""
    out = sys.stdout
    if profile.format is Output.TABLE:
        from llm_cost_ops.cli.tables import print_listing

        print_listing(profile, list(rows), listing)
    elif profile.format is Output.JSON:
        _json_rows(out, rows, listing.tail)
    elif profile.format is Output.JSONL:
        for row in rows:
            out.write(dumps(row) + "\n")
    elif profile.format is Output.CSV:
        _csv_rows(out, rows, listing.fields)
    else:
        out.write(yaml_text(list(rows)))


def show_object(
    profile: Profile, value: Row, table: Callable[[Profile, Row], None] | None = None
) -> None:
    """Print one object; `table` draws it, else its fields are listed."""
    out = sys.stdout
    if profile.format is Output.TABLE:
        from llm_cost_ops.cli.tables import print_fields

        (table or print_fields)(profile, value)
    elif profile.format is Output.JSON:
        out.write(pretty(value) + "\n")
    elif profile.format is Output.JSONL:
        out.write(dumps(value) + "\n")
    elif profile.format is Output.CSV:
        _csv_rows(out, [value], ())
    else:
        out.write(yaml_text(value))


def pretty(value: object, indent: int = 0) -> str:
    """Indented JSON with exact numbers; short lists and objects stay on their line."""
    short = dumps(value)
    if len(short) + indent <= 80 and not (indent == 0 and isinstance(value, Mapping)):
        return short
    pad, inner = " " * indent, " " * (indent + 2)
    if isinstance(value, Mapping) and value:
        pairs = cast("Mapping[str, object]", value).items()
        parts = [f"{inner}{dumps(str(k))}: {pretty(v, indent + 2)}" for k, v in pairs]
        return "{\n" + ",\n".join(parts) + f"\n{pad}}}"
    if isinstance(value, list | tuple) and value:
        items = cast("Sequence[object]", value)
        return "[\n" + ",\n".join(f"{inner}{pretty(v, indent + 2)}" for v in items) + f"\n{pad}]"
    return short


def _json_rows(out: TextIO, rows: Iterable[Row], tail: Mapping[str, Any]) -> None:
    out.write('{\n  "data": [')
    separator = "\n    "
    for row in rows:
        out.write(separator + pretty_row(row))
        separator = ",\n    "
    out.write("]" if separator == "\n    " else "\n  ]")
    for name, value in tail.items():
        out.write(f",\n  {dumps(name)}: {pretty(value, 2)}")
    out.write("\n}\n")


def pretty_row(row: Row) -> str:
    """One row of a list, on its line."""
    return dumps(row)


def _csv_rows(out: TextIO, rows: Iterable[Row], fields: Sequence[str]) -> None:
    iterator = iter(rows)
    first = list(islice(iterator, HEADER_ROWS))
    names = list(fields) or list(dict.fromkeys(name for row in first for name in row))
    if not names:
        return
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in chain(first, iterator):
        writer.writerow([cell(row.get(name)) for name in names])


def cell(value: object) -> str:
    """A value as the text of a CSV cell; what is not known is empty, lists and objects are JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    return dumps(value)


def yaml_text(value: object) -> str:
    """YAML whose numbers have the exact digits."""
    import yaml

    class Exact(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

    def decimal(dumper: Any, number: Decimal) -> yaml.ScalarNode:
        text = plain(number)
        kind = "float" if "." in text else "int"
        return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", text)

    def mapping(dumper: yaml.SafeDumper, data: Mapping[str, Any]) -> yaml.MappingNode:
        return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=False)

    Exact.add_multi_representer(Decimal, decimal)
    Exact.add_multi_representer(dict, mapping)
    text: str = yaml.dump(
        value, Dumper=Exact, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text


def rows_of(answer: object) -> list[Row]:
    """The rows of a list answer, or a single object as one row."""
    if isinstance(answer, Mapping):
        outer = cast("Mapping[str, Any]", answer)
        found = outer.get("data")
        return cast("list[Row]", found) if isinstance(found, list) else [outer]
    return cast("list[Row]", answer) if isinstance(answer, list) else []


def tail_of(answer: object) -> dict[str, Any]:
    """What a list answer holds beside its rows."""
    if not isinstance(answer, Mapping):
        return {}
    outer = cast("Mapping[str, Any]", answer)
    return {name: value for name, value in outer.items() if name != "data"}


def with_count(rows: Iterable[Row], counted: Callable[[int], None]) -> Iterator[Row]:
    """The rows; afterwards `counted` is told how many there were."""
    count = 0
    for row in rows:
        count += 1
        yield row
    counted(count)
