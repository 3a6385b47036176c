"""What people said of anomalies, as a bar for later ones.

How far out a point is, its reach, is its distance from the expected value in distances of the bound
on its side. A false alarm raises the bar of its place (frequency, dimension, value, currency) and
side to its own reach: later points there must be further out. A true one keeps the bar below its
own. So the bar is the largest reach of those called false that is smaller than every reach called
true, and 0 without any. What was said counts for `LASTS_DAYS` days after the anomaly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from llm_cost_ops.anomalies import Anomaly
from llm_cost_ops.core.money import E10

LASTS_DAYS = 180


class Side(NamedTuple):
    """A place and whether it is about more or less than expected."""

    frequency: str
    dimension: str
    value: str
    currency: str
    upward: bool


Bars = Mapping[Side, Fraction]


def reach(
    actual: Decimal | int, expected: Decimal | int, lower: Decimal | int, upper: Decimal | int
) -> Fraction:
    """How far out a point is; 0 where its bound is where the expected value is."""
    size = Fraction(actual) - Fraction(expected)
    below = Fraction(expected) - Fraction(lower)
    above = Fraction(upper) - Fraction(expected)
    # A lower bound of 0 may have been cut there, and then says less of the distance.
    bound = above if size > 0 or lower <= 0 else below
    return abs(size) / bound if bound > 0 else Fraction(0)


def bars_of(rows: Iterable[Mapping[str, Any]]) -> Bars:
    """The bar of each side from the anomalies that were judged."""
    said: dict[Side, dict[bool, list[Fraction]]] = defaultdict(lambda: {True: [], False: []})
    for row in rows:
        amounts = [int(row[f"{name}_e10"]) for name in ("actual", "expected", "lower", "upper")]
        side = Side(
            row["frequency"],
            row["dimension"],
            row["value"],
            row["currency"],
            amounts[0] > amounts[1],
        )
        said[side][bool(row["is_anomaly"])].append(reach(*amounts))
    bars: dict[Side, Fraction] = {}
    for side, known in said.items():
        least = min(known[True], default=None)
        false = [each for each in known[False] if least is None or each < least]
        if false:
            bars[side] = max(false)
    return bars


def is_above(found: Anomaly, place: tuple[str, str, str, str], bars: Bars) -> bool:
    """Whether an anomaly is further out than what was called false in its place."""
    upward = found.actual_cost > found.expected_cost
    bar = bars.get(Side(*place, upward))
    if bar is None:
        return True
    amounts = (found.actual_cost, found.expected_cost, found.lower, found.upper)
    stored = [Decimal(round(Fraction(each) * E10)) for each in amounts]
    return reach(*stored) > bar
