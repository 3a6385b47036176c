"""Anomalies of a dated series: the points that a method flags, and why.

    method      threshold   unit                                       judged by
    zscore      3.0         standard deviations from the mean          the whole range
    iqr         1.5         distances between quartiles, from one      the whole range
    mad         3.5         standard deviations by the MAD             the whole range
    seasonal    5.0         standard deviations of the forecast error  what came before
    auto        5.0         the same, and agreement (`watch.py`)       what came before

Sensitivity `low` takes 4/3 of the threshold, `high` 5/6; with `auto` it also says how rarely noise
may be flagged: once in 12, 3 or 1 months on each side; with both `seasonal` and `auto`, for how
long a constant must not have been left for leaving it to be flagged. A threshold that is given
stands as it is.

`Stream` judges point by point. For `seasonal` and `auto` its flags are those of `detect` over the
range: a point is judged by the points before it alone, at once. For the plain rules it judges by
the points before (`rules.Trailing`), as no range is known yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import isinf
from types import MappingProxyType

from llm_cost_ops.anomalies.rhythm import RHYTHMS
from llm_cost_ops.anomalies.rules import RULES, Bounds, Trailing, over_range
from llm_cost_ops.anomalies.watch import Strictness, Watch
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.series import Series

METHODS = ("auto", "zscore", "iqr", "mad", "seasonal")
SENSITIVITIES = ("low", "medium", "high")
SEVERITIES = ("low", "medium", "high", "critical")
THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {"zscore": 3.0, "iqr": 1.5, "mad": 3.5, "seasonal": 5.0, "auto": 5.0}
)
LEAST_THRESHOLD = 1e-6
_WIDER: Mapping[str, float] = MappingProxyType({"low": 4 / 3, "medium": 1.0, "high": 5 / 6})
_MONTHS: Mapping[str, float] = MappingProxyType({"low": 12.0, "medium": 3.0, "high": 1.0})
_SEVERE = (1.5, 2.5, 4.0)
"""Distances from the expected value, in distances of the bound, at which a severity ends."""
_DIGITS = 12


class AnomalyError(DomainError):
    """A method, threshold, sensitivity or amount that is none."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to judge. `threshold` is the method's if None. `min_amount` is the least difference from
    the expected value that is flagged, in the unit of the series: money below it is not at risk.

    Raises AnomalyError.
    """

    method: str = "auto"
    threshold: float | None = None
    sensitivity: str = "medium"
    min_amount: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise AnomalyError(f"must be one of: {', '.join(METHODS)}", field="method")
        if self.sensitivity not in SENSITIVITIES:
            raise AnomalyError(f"must be one of: {', '.join(SENSITIVITIES)}", field="sensitivity")
        if self.threshold is not None and not LEAST_THRESHOLD <= self.threshold < float("inf"):
            raise AnomalyError("must be a number above 0, of 0.000001 or more", field="threshold")
        if not self.min_amount.is_finite() or self.min_amount < 0:
            raise AnomalyError("must be 0 or more", field="min_amount")

    @property
    def bound(self) -> float:
        """The threshold in force."""
        if self.threshold is not None:
            return self.threshold
        return THRESHOLDS[self.method] * _WIDER[self.sensitivity]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A flagged point. `actual_cost` is exact; the estimates have twelve digits."""

    date: str
    actual_cost: Decimal
    expected_cost: Decimal
    lower: Decimal
    upper: Decimal
    severity: str
    score: Decimal


def detect(series: Series, options: Options | None = None) -> list[Anomaly]:
    """The flagged points of the series, in order. Steps without a number are passed over."""
    chosen = options or Options()
    if chosen.method not in RULES:
        stream = Stream(series.step, chosen)
        found = (stream.push(*point) for point in _points(series))
        return [anomaly for anomaly in found if anomaly is not None]
    values = [float(value) for value in series.values if value is not None]
    if not values:
        return []
    bounds = over_range(chosen.method, values, chosen.bound)
    signed = min(values) < 0
    found = (
        _by_rule(date, value, bounds, chosen, signed=signed) for _, date, value in _points(series)
    )
    return [anomaly for anomaly in found if anomaly is not None]


def learning(step: str, method: str) -> int:
    """How many values at the start of a series the method only learns from; `step` is one of
    `core.series.STEPS`."""
    return 0 if method in RULES else RHYTHMS[step].least


def _points(series: Series) -> Iterator[tuple[datetime, str, Decimal]]:
    for index, value in enumerate(series.values):
        if value is not None:
            yield series.moment(index), series.label(index), value


class Stream:
    """The state of one series whose points come one by one, in order of time, each once.

    `step` is one of `core.series.STEPS`. The state is bounded: five weeks of hours at most.
    """

    def __init__(self, step: str, options: Options | None = None) -> None:
        self._options = options or Options()
        self._signed = False
        rhythm = RHYTHMS[step]
        method, bound = self._options.method, self._options.bound
        self._rule: Trailing | None = None
        self._watch: Watch | None = None
        if method in RULES:
            self._rule = Trailing(method, bound, memory=rhythm.memory, least=rhythm.least)
        else:
            rare = _MONTHS[self._options.sensitivity]
            months = rare if method == "auto" else None
            self._watch = Watch(step, rhythm, Strictness(bound, months, rare))

    def push(self, moment: datetime, date: str, value: Decimal) -> Anomaly | None:
        """Judge a point and learn from it. `moment` is on the series' clock, `date` its label."""
        number = float(value)
        self._signed = self._signed or number < 0
        if self._rule is not None:
            bounds = self._rule.push(number)
            if bounds is None:
                return None
            return _by_rule(date, value, bounds, self._options, signed=self._signed)
        verdict = self._watch.push(moment, number) if self._watch is not None else None
        if verdict is None or not verdict.out or isinf(verdict.bound):
            return None
        edges = (verdict.expected, verdict.lower, verdict.upper)
        sizes = (verdict.score, verdict.excess)
        return _anomaly(date, value, edges, sizes, self._options, signed=self._signed)


def _by_rule(
    date: str, value: Decimal, bounds: Bounds, options: Options, *, signed: bool
) -> Anomaly | None:
    number = float(value)
    if not bounds.is_out(number):
        return None
    edges = (bounds.expected, bounds.lower, bounds.upper)
    sizes = (bounds.score(number), bounds.excess(number))
    return _anomaly(date, value, edges, sizes, options, signed=signed)


def _anomaly(
    date: str,
    value: Decimal,
    edges: tuple[float, float, float],
    sizes: tuple[float, float],
    options: Options,
    *,
    signed: bool,
) -> Anomaly | None:
    """The point as it is reported; None below the least amount. A series without a negative number
    has no negative bound."""
    expected, lower, upper = edges
    score, excess = sizes
    middle = _decimal(expected)
    if abs(value - middle) < options.min_amount:
        return None
    return Anomaly(
        date,
        value,
        middle,
        _decimal(lower if signed else max(lower, 0.0)),
        _decimal(upper),
        severity_of(excess),
        _decimal(score, digits=4),
    )


def severity_of(excess: float) -> str:
    """By how far off a point is, in distances of the bound that it has passed."""
    limits = zip(_SEVERE, SEVERITIES, strict=False)
    return next((name for limit, name in limits if excess < limit), SEVERITIES[-1])


def _decimal(number: float, digits: int = _DIGITS) -> Decimal:
    """The number at so many significant digits, without an exponent of its own."""
    found = Decimal(f"{number:.{digits}g}")
    return Decimal(f"{found:f}")
