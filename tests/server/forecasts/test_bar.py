"""What was said of anomalies as a bar for later ones."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from llm_cost_ops.anomalies import Anomaly
from llm_cost_ops.core.money import E10
from llm_cost_ops.server.forecasts.bar import Side, bars_of, is_above, reach

PLACE = ("day", "model", "x", "USD")


def said(actual: int, is_anomaly: bool, **more: Any) -> dict[str, Any]:
    """Of a point where 10 is expected and 15 is the bound."""
    amounts = {"actual": actual, "expected": 10, "lower": 5, "upper": 15}
    return {
        **dict(zip(("frequency", "dimension", "value", "currency"), PLACE, strict=True)),
        **{f"{name}_e10": amount * E10 for name, amount in amounts.items()},
        "is_anomaly": int(is_anomaly),
        **more,
    }


def found(actual: object) -> Anomaly:
    ten, five, fifteen = Decimal(10), Decimal(5), Decimal(15)
    return Anomaly("d", Decimal(str(actual)), ten, five, fifteen, "low", Decimal(9))


@pytest.mark.parametrize(
    ("actual", "lower", "upper", "expected"),
    [(20, 5, 15, 2), (0, 5, 15, 2), (0, 0, 12, 5), (20, 10, 10, 0), (3, 8, 11, Fraction(7, 2))],
)
def test_reach(actual: int, lower: int, upper: int, expected: Fraction) -> None:
    assert reach(actual, 10, lower, upper) == expected


def test_a_false_alarm_raises_the_bar_to_itself() -> None:
    bars = bars_of([said(20, False), said(25, False)])
    assert bars == {Side(*PLACE, True): 3}
    assert not is_above(found(25), PLACE, bars)
    assert is_above(found("25.0000000001"), PLACE, bars)


def test_a_true_one_keeps_the_bar_below_itself() -> None:
    assert bars_of([said(20, False), said(30, False), said(25, True)]) == {Side(*PLACE, True): 2}
    assert bars_of([said(20, False), said(20, True)]) == {}
    assert bars_of([said(20, True)]) == {}


def test_the_bar_is_of_its_place_and_side_alone() -> None:
    bars = bars_of([said(25, False)])
    assert is_above(found(-5), PLACE, bars)
    assert is_above(found(20), ("day", "model", "y", "USD"), bars)
    assert is_above(found(20), ("hour", "model", "x", "USD"), bars)
    assert is_above(found(20), ("day", "model", "x", "EUR"), bars)
