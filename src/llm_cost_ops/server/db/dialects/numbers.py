"""Sums and divisions of 64-bit integers that stay exact.

SUM of BIGINT is an exact DECIMAL on PostgreSQL and MySQL. SQLite sums in 64 bits and fails when
they overflow (money in 1e-10 units does at 922 million), so there the upper and lower halves are
summed apart and put together in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, cast, func, literal_column, type_coerce

from llm_cost_ops.server.db.urls import DatabaseKind

_HALF_BITS = 32
_HALF = literal_column(str(2**_HALF_BITS - 1), BigInteger())


def exact_sum(
    kind: DatabaseKind, amount: ColumnElement[Any], name: str
) -> tuple[ColumnElement[Any], ...]:
    """Columns to select for the sum of `amount`; `read_sum(row, name)` gives the sum."""
    if kind is not DatabaseKind.SQLITE:
        return (func.sum(amount).label(name),)
    high, low = _halves(amount)
    return high.label(f"{name}_high"), low.label(f"{name}_low")


def short_sum(kind: DatabaseKind, amount: ColumnElement[Any]) -> ColumnElement[Any]:
    """The sum of `amount`, to be read by `int`: exact, or an error on SQLite beyond 64 bits.

    PostgreSQL's is a numeric; as text it becomes an int without a Decimal in between, which takes
    about three times as long.
    """
    total = func.sum(amount)
    return cast(total, Text()) if kind is DatabaseKind.POSTGRESQL else total


def read_sum(row: Mapping[Any, Any], name: str) -> int | None:
    """The sum that `exact_sum` selected, from a row mapping; None when there was nothing to add."""
    if f"{name}_high" not in row:
        total = row[name]
        return None if total is None else int(total)
    high, low = row[f"{name}_high"], row[f"{name}_low"]
    return None if high is None else (int(high) << _HALF_BITS) + int(low)


def order_by_sum(
    kind: DatabaseKind, amount: ColumnElement[Any], *, descending: bool = True
) -> tuple[ColumnElement[Any], ...]:
    """ORDER BY the exact sum; groups without any amount come last."""
    keys = _halves(amount) if kind is DatabaseKind.SQLITE else (func.sum(amount),)
    empty_last = func.count(amount) == 0
    return empty_last, *(key.desc() if descending else key.asc() for key in keys)


def _halves(amount: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The sum as high * 2**32 + low with 0 <= low < 2**32, so that the pair also orders.

    Arithmetic shift and mask split a negative number correctly, too.
    """
    value = type_coerce(amount, BigInteger)
    low = func.sum(value.op("&")(_HALF))
    high = func.sum(value.op(">>")(_HALF_BITS)) + low.op(">>")(_HALF_BITS)
    return high, low.op("&")(_HALF)


def floor_divide(
    kind: DatabaseKind, number: ColumnElement[Any], divisor: int
) -> ColumnElement[Any]:
    """`number // divisor` for numbers of 0 and more, such as microseconds into hours.

    MySQL's `/` rounds to four decimals first: the last microseconds of an hour would move on.
    """
    divided = literal_column(str(divisor), BigInteger())
    operator = "DIV" if kind is DatabaseKind.MYSQL else "/"
    return number.op(operator, return_type=BigInteger())(divided)
