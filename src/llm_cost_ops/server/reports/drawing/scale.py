"""Axes: where a value lies, and which round values are named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from llm_cost_ops.core.money import EXACT
from llm_cost_ops.core.report.document import Chart, Kind
from llm_cost_ops.server.reports.drawing.values import compact, digits

Number = Decimal | None
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`; zero is always among the ticks."""

    low: Decimal
    high: Decimal
    ticks: tuple[Decimal, ...]

    def share(self, value: Decimal) -> float:
        """0 at the low end, 1 at the high end."""
        return float((value - self.low) / (self.high - self.low))


def scale_of(values: Iterable[Number], most: int = 5) -> Scale:
    """A scale of about so many steps that holds zero and every known value; where little is below
    zero, it ends there and not at a round value."""
    known = [value for value in values if value is not None]
    low, high = min([*known, Decimal(0)]), max([*known, Decimal(0)])
    if low == high:
        high = Decimal(1)
    step = _step((high - low) / most)
    first, last = _floor(low, step), -_floor(-high, step)
    start = low if -low < step / 2 else step * first
    ticks = (step * n for n in range(first, last + 1))
    return Scale(start, step * last, tuple(each for each in ticks if each >= start))


def _floor(value: Decimal, step: Decimal) -> int:
    return int((value / step).to_integral_value(rounding="ROUND_FLOOR"))


def _step(least: Decimal) -> Decimal:
    power = Decimal(1).scaleb(least.adjusted())
    return next(power * each for each in _STEPS if power * each >= least)


def numbers(chart: Chart, name: str | None = None, at: int = 0) -> list[Number]:
    """The values of one series, by its name or place, as many as there are categories."""
    found = [each for each in chart.series if each.name == name] if name else chart.series[at:]
    values = [digits(chart.kind, value) for value in found[0].values] if found else []
    if chart.kind == "ratio":
        values = [None if each is None else each.scaleb(2, EXACT) for each in values]
    missing = len(chart.categories) - len(values)
    return [*values[: len(chart.categories)], *([None] * missing)]


def unit(chart: Chart) -> str:
    """What an axis counts: a currency, % or nothing."""
    return unit_of(chart.kind, chart.currency)


def unit_of(kind: Kind, currency: str | None) -> str:
    """`USD`, `%` or nothing."""
    if kind == "money":
        return currency or ""
    return "%" if kind == "ratio" else ""


def tick(value: Decimal) -> str:
    """A round value on an axis."""
    return compact(value)
