"""Values as FOCUS wants them in a CSV file: attributes NumericFormat, DateTimeFormat, NullHandling.

A Decimal always has a decimal point, so that readers that guess types guess alike for every file,
and never an exponent. An instant is in UTC to the second, because the validator refuses fractions.
Null is an empty field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import islice, repeat
from operator import itemgetter

from llm_cost_ops.core.focus.columns import COLUMNS, DATETIME, DECIMAL, Column, columns_of
from llm_cost_ops.core.focus.rows import Row, Value, Values, values_of
from llm_cost_ops.core.instant import format_micros

MAX_KEPT = 4096
"""Cells of one type that are kept at once."""
_PAGE = 1000
_MEANS_SOMETHING = re.compile(r'[",\r\n]')


def decimal_text(number: Decimal) -> str:
    """`5.0`, `0.0000000001`, `-12.5`: no exponent, and no trailing zeros but one."""
    if not number:
        return "0.0"
    text = str(number)
    if "E" in text:
        text = f"{number:f}"
    if "." not in text:
        return f"{text}.0"
    text = text.rstrip("0")
    return f"{text}0" if text.endswith(".") else text


@lru_cache(maxsize=4096)
def datetime_text(micros: int) -> str:
    """`2026-11-01T00:00:00Z` of microseconds since 1970; fractions of a second are cut off."""
    return format_micros(micros - micros % 1_000_000)


def value_text(value: Value) -> str:
    """The text of a value, empty of None: a Decimal is a number, an integer an instant."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    return datetime_text(value)


def row_texts(row: Row, columns: Sequence[Column]) -> list[str]:
    """The texts of a row in the order of the columns."""
    return ["" if (value := row[column.name]) is None else value_text(value) for column in columns]


def _quoted(text: str) -> str:
    """A text as a cell, quoted where something in it would mean something."""
    if not _MEANS_SOMETHING.search(text):
        return text
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


class _Cells(dict[Value, str]):
    """The values of columns of one type as cells: most occur again, and each is made once."""

    def __missing__(self, value: Value) -> str:
        if len(self) >= MAX_KEPT:
            self.clear()
        text = _quoted(value) if isinstance(value, str) else value_text(value)
        self[value] = text
        return text


def csv_lines(rows: Iterable[Row], version: str) -> Iterator[str]:
    """A CSV file (RFC 4180) by lines, header first. Raises FocusError for an unknown version.

    Texts are exact: no apostrophe is put before what a spreadsheet would take for a formula, since
    identifiers and tags must be those of the provider (StringHandling). The file is for programs.
    """
    left = map(values_of, rows)
    return csv_lines_of_pages(iter(lambda: list(islice(left, _PAGE)), []), version)


def csv_lines_of_pages(pages: Iterable[Sequence[Values]], version: str) -> Iterator[str]:
    """The same of rows as values, which are written page by page."""
    columns = columns_of(version)
    yield f"{','.join(column.name for column in columns)}\r\n"
    # An instant may be the number that a quantity is: each type has its own.
    of_type = {DECIMAL: _Cells(), DATETIME: _Cells()}
    texts = _Cells()
    cells = [of_type.get(column.type, texts) for column in columns]
    values = values_in(columns)
    for page in pages:
        for parts in zip(*_parts(cells, list(map(values, page))), strict=True):
            yield f"{','.join(parts)}\r\n"


def _parts(cells: Sequence[_Cells], rows: Sequence[Values]) -> Iterator[Iterable[str]]:
    """What the lines of the rows are made of: for each column its cells; neighbouring columns, each
    with one value in all of the rows, as many are within an hour, are one part."""
    alike: list[str] = []
    for made, column in zip(cells, zip(*rows, strict=True), strict=True):
        first = column[0]
        if column[-1] == first and column.count(first) == len(rows):
            alike.append(made[first])
            continue
        if alike:
            yield repeat(",".join(alike), len(rows))
            alike = []
        yield map(made.__getitem__, column)
    if alike:
        yield repeat(",".join(alike), len(rows))


def values_in(columns: Sequence[Column]) -> Callable[[Values], Values]:
    """What takes the values of these columns from those of a row."""
    places = {name: place for place, name in enumerate(COLUMNS)}
    return itemgetter(*(places[column.name] for column in columns))
