"""Values as FOCUS wants them in a CSV file: attributes NumericFormat, DateTimeFormat, NullHandling.

A Decimal always has a decimal point, so that readers that guess types guess alike for every file,
and never an exponent. An instant is in UTC to the second, because the validator refuses fractions.
Null is an empty field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from llm_cost_ops.core.focus.columns import DATETIME, Column, columns_of
from llm_cost_ops.core.focus.rows import Row, Value
from llm_cost_ops.core.instant import format_micros

_SPECIAL = frozenset(',"\r\n')


def decimal_text(number: Decimal) -> str:
    """`5.0`, `0.0000000001`, `-12.5`: no exponent, and no trailing zeros but one."""
    text = f"{number:f}"
    whole, point, places = text.partition(".")
    places = places.rstrip("0") if point else ""
    if not number:
        whole = "0"
    return f"{whole}.{places or '0'}"


def datetime_text(micros: int) -> str:
    """`2026-11-01T00:00:00Z` of microseconds since 1970; fractions of a second are cut off."""
    return format_micros(micros - micros % 1_000_000)


def value_text(column: Column, value: Value) -> str:
    """The text of a value, empty of None. JSON is text already, and stays it."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if column.type == DATETIME and isinstance(value, int):
        return datetime_text(value)
    return str(value)


def row_texts(row: Row, columns: Sequence[Column]) -> list[str]:
    """The texts of a row in the order of the columns."""
    return [value_text(column, row[column.name]) for column in columns]


def csv_lines(rows: Iterable[Row], version: str) -> Iterator[str]:
    """A CSV file (RFC 4180) by lines, header first. Raises FocusError for an unknown version.

    Texts are exact: no apostrophe is put before what a spreadsheet would take for a formula, since
    identifiers and tags must be those of the provider (StringHandling). The file is for programs.
    """
    columns = columns_of(version)
    yield _line(column.name for column in columns)
    for row in rows:
        yield _line(row_texts(row, columns))


def _line(texts: Iterable[str]) -> str:
    return ",".join(map(_field, texts)) + "\r\n"


def _field(text: str) -> str:
    if _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
