"""How far a stream has gone before, and how far it should therefore not go by chance.

The bound of a tail is the quantile that one number in `every` exceeds, extrapolated from the
largest numbers seen: `x = x_k * (k / n * every) ** gamma` with the k-th largest of n numbers and
the tail index gamma (I. Weissman, "Estimation of parameters and large quantiles based on the k
largest observations", JASA 73 (1978), 812-815), where gamma is the mean of the logarithms of the k
numbers over x_k (B. M. Hill, "A simple general approach to inference about the tail of a
distribution", Annals of Statistics 3 (1975), 1163-1174), drawn towards a prior while k is small.
Noise without outliers gets a bound near to it; a series that throws large spikes each week gets one
that another of them does not reach.
"""

from __future__ import annotations

from math import log

LEAST = 20
"""Numbers below which no tail is told."""
RARE = 1.5
"""Where almost all numbers are zero, how many times the largest is still no surprise."""
_SHARE = 0.03
_FEWEST = 8
_PRIOR = 0.25
_PRIOR_WEIGHT = 20
_HEAVIEST = 1.0
_SPARSE = 0.01


def tail_bound(ordered: list[float], *, upper: bool, every: float, floor: float) -> float:
    """The distance from zero that a number on this side exceeds once in `every`; infinity where
    there are fewer than `LEAST`.

    `ordered` holds signed numbers, smallest first; `floor` is the least that the k-th largest is
    taken for, above 0.
    """
    count = len(ordered)
    if count < LEAST:
        return float("inf")
    largest = max(_FEWEST, int(count * _SHARE))
    if upper:
        start, beyond = ordered[-largest - 1], ordered[-largest:]
    else:
        start, beyond = -ordered[largest], [-number for number in ordered[:largest]]
    if start < _SPARSE * floor:
        # Almost all are zero, too few are left to extrapolate: well above the largest of any.
        floor = max(floor, RARE * max(-ordered[0], ordered[-1]))
    start = max(start, floor)
    logs = sum(log(number / start) for number in beyond if number > start)
    index = (logs + _PRIOR * _PRIOR_WEIGHT) / (largest + _PRIOR_WEIGHT)
    spread: float = max(1.0, largest / count * every) ** min(index, _HEAVIEST)
    return start * spread
