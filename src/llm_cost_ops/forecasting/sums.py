"""What a forecast adds up to, step by step, and how far that sum may be off.

The spread of a sum is not that of its steps added up: a level that is wrong stays wrong, noise
cancels out. So it is measured on sums: the root mean square of the sums of back-test errors over
the first steps. Beyond the steps that were tested it grows with the power `GROWTH` of their number,
between noise (1/2) and a wrong level (1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt
from statistics import NormalDist, fmean

from llm_cost_ops.forecasting.forecast import Forecast

GROWTH = 0.75


@dataclass(frozen=True, slots=True)
class Sums:
    """For each step ahead the sum of the values up to it, and its standard deviation."""

    middle: tuple[float, ...]
    spread: tuple[float, ...]

    def chance_above(self, bound: float, step: int, scale: float = 1.0) -> float:
        """The probability that the sum of steps 0 to `step`, times `scale`, exceeds a bound."""
        middle, spread = self.middle[step] * scale, self.spread[step] * scale
        if not spread:
            return 1.0 if middle > bound else 0.0
        return 1 - NormalDist(middle, spread).cdf(bound)

    def interval(self, confidence: float) -> tuple[float, float]:
        """The bounds of the sum of all steps; `confidence` is the share between them."""
        width = NormalDist().inv_cdf((1 + confidence) / 2) * self.spread[-1]
        return self.middle[-1] - width, self.middle[-1] + width


def sums_of(made: Forecast) -> Sums:
    """The running sums of a forecast."""
    values = [each.value for each in made.predictions]
    return Sums(
        tuple(accumulate(values)),
        tuple(accumulate(_spreads(made.errors, len(values)), max)),
    )


def _spreads(errors: Sequence[Sequence[float]], horizon: int) -> Iterator[float]:
    rows = [list(accumulate(row)) for row in errors]
    # One more, unseen origin: the spread of few is known as little as their mean.
    few = sqrt(1 + 1 / len(rows))
    tested = len(rows[0])
    for step in range(horizon):
        known = min(step, tested - 1)
        found = sqrt(fmean(row[known] ** 2 for row in rows)) * few
        yield found * max(1.0, (step + 1) / tested) ** GROWTH
