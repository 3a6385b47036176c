"""The plain rules: `zscore`, `iqr` and `mad`, over a whole range or over what came before.

* `zscore`: further from the mean than a multiple (3) of the population's standard deviation. In
  fewer than eleven values nothing can be three of them away.
* `iqr`: beyond a quartile by more than a multiple (1.5) of the distance between the quartiles
  (J. W. Tukey, "Exploratory data analysis", 1977); quartiles by linear interpolation.
* `mad`: a modified z-score, 0.6745 times the distance from the median over the median absolute
  deviation, above a bound (3.5); where more than half of the values are equal, the mean absolute
  deviation times 1.2533 is in its place (B. Iglewicz, D. Hoaglin, "How to detect and handle
  outliers", 1993).

A rule whose spread is zero flags nothing: it cannot tell the usual from the rare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf, sqrt
from types import MappingProxyType

from llm_cost_ops.anomalies.windows import SortedWindow, median_of_sorted, quantile_of_sorted

_MAD_NORMAL = 0.6745
_MEAN_NORMAL = 1.253314
_LAST_DIGITS = 1e-12


@dataclass(frozen=True, slots=True)
class Bounds:
    """`lower` and `upper` are where flags begin; a score counts `unit`s from the nearer anchor."""

    expected: float
    lower: float
    upper: float
    anchors: tuple[float, float]
    unit: float

    def is_out(self, value: float) -> bool:
        """Whether the value is beyond a bound, not on it but for the last digits of a sum."""
        last = _LAST_DIGITS * max(abs(self.lower), abs(self.upper), abs(value))
        return self.unit > 0 and not self.lower - last <= value <= self.upper + last

    def excess(self, value: float) -> float:
        """How far off the value is, in distances of the bound on its side; infinite where a bound
        is so near that the numbers do not tell it from the expected value."""
        bound = self.upper - self.expected if value > self.expected else self.expected - self.lower
        return abs(value - self.expected) / bound if bound > 0 else inf

    def score(self, value: float) -> float:
        low, high = self.anchors
        off = max(low - value, value - high, 0.0)
        return off / self.unit if self.unit > 0 else 0.0


Rule = Callable[[list[float], float], Bounds]
"""Bounds from values, smallest first and at least one, and a threshold."""


def _around(middle: float, unit: float, threshold: float) -> Bounds:
    off = threshold * unit
    return Bounds(middle, middle - off, middle + off, (middle, middle), unit)


def zscore(ordered: list[float], threshold: float) -> Bounds:
    mean = fsum(ordered) / len(ordered)
    spread = sqrt(fsum((value - mean) ** 2 for value in ordered) / len(ordered))
    if ordered[0] == ordered[-1]:
        mean, spread = ordered[0], 0.0  # the mean of equal numbers may miss them by a last digit
    return _around(mean, spread, threshold)


def iqr(ordered: list[float], threshold: float) -> Bounds:
    low, high = quantile_of_sorted(ordered, 0.25), quantile_of_sorted(ordered, 0.75)
    between = high - low
    off = threshold * between
    return Bounds(median_of_sorted(ordered), low - off, high + off, (low, high), between)


def mad(ordered: list[float], threshold: float) -> Bounds:
    middle = median_of_sorted(ordered)
    sizes = sorted(abs(value - middle) for value in ordered)
    unit = median_of_sorted(sizes) / _MAD_NORMAL
    if not unit:
        unit = _MEAN_NORMAL * sum(sizes) / len(sizes)
    return _around(middle, unit, threshold)


RULES: Mapping[str, Rule] = MappingProxyType({"zscore": zscore, "iqr": iqr, "mad": mad})


def over_range(method: str, values: Sequence[float], threshold: float) -> Bounds:
    """One pair of bounds for a whole range; `values` is not empty."""
    return RULES[method](sorted(values), threshold)


class Trailing:
    """The rule on a stream: a value is judged by the `memory` values before it, once there are
    `least`."""

    def __init__(self, method: str, threshold: float, *, memory: int, least: int) -> None:
        self._rule = RULES[method]
        self._threshold = threshold
        self._least = least
        self._window = SortedWindow(memory)

    def push(self, value: float) -> Bounds | None:
        """The bounds that this value was judged by; None while there is too little."""
        ordered = self._window.ordered
        found = self._rule(ordered, self._threshold) if len(ordered) >= self._least else None
        self._window.push(value)
        return found
