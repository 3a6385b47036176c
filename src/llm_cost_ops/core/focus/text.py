"""Values as FOCUS wants them in a CSV file: attributes NumericFormat, DateTimeFormat, NullHandling.

A Decimal always has a decimal point, so that readers that guess types guess alike for every file,
and never an exponent. An instant is in UTC to the second, because the validator refuses fractions.
Null is an empty field.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

from llm_cost_ops.core.focus.columns import Column, columns_of
from llm_cost_ops.core.focus.rows import Row, Value
from llm_cost_ops.core.instant import format_micros


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


class _Lines:
    """What a CSV writer writes to: it gives back the line instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(rows: Iterable[Row], version: str) -> Iterator[str]:
    """A CSV file (RFC 4180) by lines, header first. Raises FocusError for an unknown version.

    Texts are exact: no apostrophe is put before what a spreadsheet would take for a formula, since
    identifiers and tags must be those of the provider (StringHandling). The file is for programs.
    """
    columns = columns_of(version)
    line = csv.writer(_Lines(), lineterminator="\r\n").writerow
    yield line([column.name for column in columns])
    for row in rows:
        yield line(row_texts(row, columns))
