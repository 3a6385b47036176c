"""Tables as text: CSV that spreadsheets take for values, JSON and JSON lines with exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from functools import partial
from typing import Any, cast

import msgspec

from llm_cost_ops.core.csvcell import quoted
from llm_cost_ops.core.instant import format_micros, from_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import plain, plain_e10
from llm_cost_ops.server.exports.arrays import Values, listed
from llm_cost_ops.server.exports.cells import Cells, Spelling
from llm_cost_ops.server.exports.columns import Batch, Column, Exported, Kind
from llm_cost_ops.server.exports.totals import Totals

# All texts in which `quoted` changes more than the quotes, and some that it leaves. Without
# lookahead, which RE2 has not.
DOUBTFUL = "(?:^|[,;\\t\\r\\n]) *[=+\\-@＝＋－＠]|^ *[\\t\\r\\n]|\\x00"
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
Write = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Locale:
    """How a CSV file is spelled: what stands between its cells, in its numbers, and whether it
    begins with a byte order mark, by which some programs know UTF-8."""

    delimiter: str = ","
    decimal: str = "."
    mark: bool = False


def _instant(zone: tzinfo | None) -> Write:
    """RFC 3339: in UTC, or with the offset of the zone at that instant."""
    if zone is None:
        return format_micros
    return lambda micros: from_micros(micros).astimezone(zone).isoformat()


def write_csv(
    table: Exported, zone: tzinfo | None, locale: Locale, *, totals: Totals | None = None
) -> Iterator[bytes]:
    """CSV (RFC 4180): a header, then a line per row. Texts are quoted, and what a spreadsheet would
    take for a formula is led by an apostrophe; an absent value is an empty cell. With `totals`
    their lines follow.

    The header goes with the first rows: what cannot be read fails before a byte is sent."""
    names = [c.name if c.name.isidentifier() else quoted(c.name) for c in table.columns]
    head = ("\ufeff" if locale.mark else "") + locale.delimiter.join(names) + "\r\n"
    writes = [_cell(column, zone, locale) for column in table.columns]
    spelling = _of_csv(table.columns, locale)
    by_values = partial(_lines_of, writes, spelling)
    plain = [] if zone is not None else [Kind.INSTANT]
    plain += [] if locale.decimal != "." else [Kind.MONEY]
    lines = _by_columns(table.columns, writes, spelling, plain) or by_values
    for batch in table.batches:
        if totals is not None:
            totals.add(batch)
        yield head.encode() + lines(table.arrays(batch))
        head = ""
    last = [] if totals is None else totals.rows()
    ends = by_values([*zip(*last, strict=True)]) if last else b""
    yield head.encode() + ends


def _of_csv(columns: Sequence[Column], locale: Locale) -> Spelling:
    # Readers skip an empty line.
    absent = "" if len(columns) > 1 else '""'
    before = ["", *[locale.delimiter] * (len(columns) - 1)]
    return Spelling(before, "\r\n", absent, quoted, DOUBTFUL, doubled=True, documents=False)


def _by_columns(
    columns: Sequence[Column],
    writes: Sequence[Write],
    spelling: Spelling,
    plain: Sequence[Kind],
) -> Callable[[Sequence[Values]], bytes] | None:
    """What makes lines faster, where pyarrow is there."""
    try:
        return Cells(columns, writes, spelling, plain=plain).lines
    except ImportError:
        return None


def _lines_of(writes: Sequence[Write], spelling: Spelling, values: Sequence[Values]) -> bytes:
    """The lines of rows that are given by columns."""
    columns = [
        _written(write, listed(found), spelling.absent)
        for write, found in zip(writes, values, strict=True)
    ]
    delimiter = spelling.before[-1]
    lines = [f"{delimiter.join(row)}{spelling.end}" for row in zip(*columns, strict=True)]
    return "".join(lines).encode("utf-8", "replace")


def _written(write: Write, values: Sequence[Any], absent: Any) -> list[Any]:
    """The values of a column as they are written. Most occur more than once, and equal ones are
    written alike: each is made once."""
    made = {value: write(value) for value in set(values) if value is not None}
    made[None] = absent
    return [made[value] for value in values]


def _cell(column: Column, zone: tzinfo | None, locale: Locale) -> Write:
    write = {
        Kind.TEXT: quoted,
        Kind.JSON: quoted,
        Kind.COUNT: _count,
        Kind.MONEY: plain_e10,
        Kind.NUMBER: plain,
        Kind.INSTANT: _instant(zone),
    }[column.kind]
    if locale.decimal != "." and column.kind in (Kind.MONEY, Kind.NUMBER):
        return lambda value: cast("str", write(value)).replace(".", locale.decimal)
    return write


def _count(value: int) -> str:
    return str(int(value))


def write_jsonl(table: Exported, zone: tzinfo | None) -> Iterator[bytes]:
    """A JSON object per line; amounts are numbers with all their digits."""
    lines = _lines(table, zone)
    for batch in table.batches:
        yield lines(batch)


def write_json(table: Exported, zone: tzinfo | None, totals: Totals) -> Iterator[bytes]:
    """One object: `columns`, `data` with an object per row, and the `totals` of each currency. Its
    head goes with the first rows: what cannot be read fails before a byte is sent."""
    lines = _lines(table, zone)
    names = dumps([column.name for column in table.columns])
    head = f'{{"type":{dumps(table.title)},"columns":{names},"data":['.encode()
    between = head + b"\n"
    for batch in table.batches:
        totals.add(batch)
        yield between + lines(batch).rstrip(b"\n").replace(b"\n", b",\n")
        between = b",\n"
    end = f'\n],"totals":{dumps(totals.wire())}}}\n'.encode()
    yield end if between == b",\n" else head + end


def _lines(table: Exported, zone: tzinfo | None) -> Callable[[Batch], bytes]:
    """What turns rows into a line of JSON each: no text of JSON has a line's end in it."""
    names = [dumps(column.name) for column in table.columns]
    before = [f"{',' if place else '{'}{name}:" for place, name in enumerate(names)]
    spelling = Spelling(
        before, "}\n", "null", _json_of, r'["\\\x00-\x1f]', doubled=False, documents=True
    )
    plain = [Kind.MONEY] if zone is not None else [Kind.MONEY, Kind.INSTANT]
    writes = [_json_text(column, zone) for column in table.columns]
    by_columns = _by_columns(table.columns, writes, spelling, plain)
    if by_columns is not None:
        return lambda batch: by_columns(table.arrays(batch))
    return _by_structs(table, zone)


def _json_text(column: Column, zone: tzinfo | None) -> Callable[[Any], str]:
    """What writes one value as JSON."""
    write = _json_value(column, zone)

    def text(value: Any) -> str:
        return _json_of(value if write is None else write(value))

    return text


def _json_of(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _by_structs(table: Exported, zone: tzinfo | None) -> Callable[[Batch], bytes]:
    shape = msgspec.defstruct(
        "Exported",
        [(f"c{place}", Any) for place in range(len(table.columns))],
        gc=False,
        rename={f"c{place}": column.name for place, column in enumerate(table.columns)},
    )
    encode = msgspec.json.Encoder().encode_lines
    values = [_json_value(column, zone) for column in table.columns]

    def lines(batch: Batch) -> bytes:
        if not batch:
            return b""
        columns = [
            found if write is None else _written(write, found, None)
            for write, found in zip(values, table.values(batch), strict=True)
        ]
        return encode([shape(*row) for row in zip(*columns, strict=True)])

    return lines


def _json_value(column: Column, zone: tzinfo | None) -> Write | None:
    """How a value becomes what the encoder writes as it is; None for one that it does already."""
    writes: dict[Kind, Write | None] = {
        Kind.TEXT: None,
        Kind.COUNT: int,
        Kind.MONEY: _money,
        Kind.NUMBER: _number,
        Kind.INSTANT: _instant(zone),
        Kind.JSON: _document,
    }
    return writes[column.kind]


def _money(units: int) -> msgspec.Raw:
    return msgspec.Raw(plain_e10(units).encode())


def _number(number: Decimal) -> msgspec.Raw:
    return msgspec.Raw(plain(number).encode())


def _document(text: str) -> msgspec.Raw:
    """Stored JSON as it is; a line's end in it is only between its parts."""
    return msgspec.Raw(text.replace("\n", " ").encode())
