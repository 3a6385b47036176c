"""Judging a stream value by value, each by those before it: the methods `seasonal` and `auto`.

A value is judged against the expectation of `expectation.py`, whose noise is measured robustly.
`seasonal` flags what is further off than a multiple of that noise. `auto` flags by agreement. A
value is out when it is

1. beyond a multiple of the noise (as in `seasonal`),
2. beyond what its own tail lets happen by chance once in some months (`tail.py`), and
3. also far out in the plain distribution of the latest four weeks; if it is not, then half as far
   again beyond the bound of 1 and 2, or twice as far where nothing is seasonal.

And a run is out when the mean of one season's values is that far from the usual level: the day on
which every hour is a little low. Rule 3 does not bind runs.

An outlier changes no level, until `Rhythm.settle` of them in a row have shown that the level is
new. Coming back to the old level within two seasons is not an anomaly of its own.

A stream of equal values has no noise to measure by: `flat.py` tells whether leaving it is rare.
Then the first value is out, those after it only where they go much further, and the value of
before is not. `Rhythm.settle` of them make a new level, which is learnt from the beginning.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf

from llm_cost_ops.anomalies.expectation import NONE, Expectation
from llm_cost_ops.anomalies.flat import Flat
from llm_cost_ops.anomalies.rhythm import Rhythm, slot_of
from llm_cost_ops.anomalies.tail import RARE, tail_bound
from llm_cost_ops.anomalies.windows import SortedWindow

NORMAL = 1.4826
"""Standard deviations of normal noise in one median absolute deviation."""
_NINETIETH = 1.645
_NINETIETH_WEIGHT = 0.6
_PLAIN_OUT = 2.0
_INSIDE = 1.5
_INSIDE_BARE = 2.0
_LEAST_NOISE = 0.02
_NEW_LEVEL = 2.0
_RUN_BASE = 0.8
_RUN_LEAST = 3
_HOLD_SEASONS = 7


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged value: what was expected, between which bounds, and by how many standard deviations
    of the noise it is off. `bound` is the distance from `expected` to either bound, `excess` how
    far off the value, or the mean of its run, is in distances of the bound."""

    expected: float
    bound: float
    score: float
    excess: float
    out: bool

    @property
    def lower(self) -> float:
        return self.expected - self.bound

    @property
    def upper(self) -> float:
        return self.expected + self.bound


@dataclass(frozen=True, slots=True)
class Strictness:
    """`noise`: standard deviations of noise within which nothing is flagged. `months`: by chance at
    most one value on each side in so many; None is no such rule, nor the others of `auto`. `rare`:
    leaving a constant is out if it has not been left for so many months."""

    noise: float
    months: float | None = None
    rare: float = 3.0


@dataclass
class _Stretch:
    """Values out of bounds without a break: what they were above the seasonal parts."""

    above: list[dict[str, float]]
    upward: bool


class Watch:
    """The state of one stream. Its size does not grow with the stream's length."""

    def __init__(self, step: str, rhythm: Rhythm, strictness: Strictness) -> None:
        self._step = step
        self._rhythm = rhythm
        self._strict = strictness
        self._agree = strictness.months is not None
        every = strictness.rare * rhythm.month
        self._flat = Flat(least=rhythm.least, every=every, memory=rhythm.memory)
        self._new = False
        self._start()

    def _start(self) -> None:
        """Know nothing but how flat the stream was."""
        self._expectation = Expectation(self._rhythm, seasonal_only=not self._agree)
        self._count = 0
        self._unit: float = 0.0
        self._first: list[tuple[datetime, float]] = []
        self._plain = _Plain(self._rhythm.memory)
        self._run = _Run(self._rhythm, self._strict)
        self._stretch: _Stretch | None = None
        self._before: dict[str, list[float]] | None = None
        self._settled_at = 0

    def push(self, moment: datetime, value: float) -> Verdict | None:
        """Judge the next value, then learn from it; None while there is too little to judge by."""
        further = not self._flat.away or self._flat.is_further(value)
        departure = self._departure(value)
        verdict = self._watched(moment, value, departure)
        self._flat.push(value)
        if self._flat.away >= self._rhythm.settle:
            self._flat.settle()
            self._new = True
            self._start()
        elif self._new and value == self._flat.base and self._count <= self._rhythm.least:
            self._new = False  # it was no level: learn from what it came back to alone
            self._start()
        if departure is not None:
            return departure if further else replace(departure, out=False)
        return verdict

    def _departure(self, value: float) -> Verdict | None:
        """The verdict on a value that leaves a constant, stays off it or comes back; else None."""
        away = self._flat.away
        if not away and not self._flat.is_rare(value):
            return None
        base = self._flat.base
        noise = _LEAST_NOISE * (abs(base) or abs(value) or 1.0)
        bound, size = self._strict.noise * noise, abs(value - base)
        if not away and size <= bound:
            return None
        if size:
            self._flat.depart(value)
        return Verdict(base, bound, size / noise, size / bound, size > 0)

    def _watched(self, moment: datetime, value: float, departure: Verdict | None) -> Verdict | None:
        """The verdict by expectation and noise, unless there is one already."""
        self._count += 1
        if self._count <= self._rhythm.season:
            self._first.append((moment, value))
            if self._count == self._rhythm.season:
                self._begin()
            return None
        slots = self._slots(moment)
        bases = self._expectation.bases(slots)
        verdict = departure
        if verdict is None and self._count > self._rhythm.least and self._floor() > 0:
            verdict = self._judge(value, bases)
        self._plain.push(value)
        self._learn(value, slots, bases, verdict)
        if self._agree and verdict is not None and not verdict.out and not self._flat.is_sparse():
            return self._run.judged(value, self._expectation.usual(bases), verdict)
        return verdict

    def _begin(self) -> None:
        """The unit is the mean size of the first season's values: noise is at least a fiftieth of
        it, so that the last digits of a constant are not anomalies."""
        sizes = [abs(value) for _, value in self._first]
        self._unit = sum(sizes) / len(sizes)
        for moment, value in self._first:
            slots = self._slots(moment)
            self._plain.push(value)
            self._learn(value, slots, self._expectation.bases(slots), None)
        self._first = []

    def _slots(self, moment: datetime) -> dict[str, int]:
        return {name: slot_of(name, moment, self._step) for name in self._rhythm.seasons}

    def _floor(self) -> float:
        """The least noise; 0 as long as every value was zero, when nothing can be told."""
        return _LEAST_NOISE * max(self._unit, self._plain.size())

    def _judge(self, value: float, bases: dict[str, float]) -> Verdict:
        expected = self._expectation.expected(bases)
        error = value - expected
        errors = self._expectation.errors
        noise = max(
            NORMAL * errors.sizes.median(),
            _NINETIETH_WEIGHT * errors.sizes.quantile(0.9) / _NINETIETH,
            self._floor(),
        )
        loudness = self._expectation.loudness(expected)
        bound = self._strict.noise * noise
        if self._flat.is_sparse():
            bound = max(bound, RARE * errors.sizes.ordered[-1])
        if self._strict.months is None:
            bound *= loudness
        else:
            every = self._strict.months * self._rhythm.month
            upper = error > 0
            tail = tail_bound(errors.signed.ordered, upper=upper, every=every, floor=noise)
            bound = max(bound, tail)
            bound *= loudness
            if self._before is not None:
                bound *= _NEW_LEVEL  # what is usual on a new level is not known yet
            if not self._plain.is_out(value, upward=upper):
                bound *= _INSIDE_BARE if self._expectation.best.season == NONE else _INSIDE
        out = abs(error) > bound and not self._is_back(value, bases, bound)
        size = abs(error)
        return Verdict(expected, bound, size / (noise * loudness), size / bound, out)

    def _is_back(self, value: float, bases: dict[str, float], bound: float) -> bool:
        """Whether the value is where values were before the latest change of level."""
        if self._before is None:
            return False
        if self._count - self._settled_at > 2 * self._rhythm.season:
            self._before = None
            return False
        name = self._expectation.best.season
        old = sorted(self._before[name])
        if abs(value - bases[name] - old[len(old) // 2]) > bound:
            return False
        self._expectation.restore(self._before)
        self._before = None
        return True

    def _learn(
        self, value: float, slots: dict[str, int], bases: dict[str, float], verdict: Verdict | None
    ) -> None:
        out = verdict is not None and verdict.out
        if not out or self._stretch is None:
            self._expectation.learn_errors(value, bases)
        above = {name: value - base for name, base in bases.items()}
        excess = 0.0
        if not out or verdict is None:
            self._stretch = None
            self._expectation.learn_level(above)
            self._run.push(self._expectation)
        else:
            upward = value > verdict.expected
            self._extend(above, upward=upward)
            excess = value - (verdict.upper if upward else verdict.lower)
        # One spike does not make a run: it counts as far as its bound.
        self._run.add({name: one - excess for name, one in above.items()})
        self._expectation.learn_slots(value, slots)

    def _extend(self, above: dict[str, float], *, upward: bool) -> None:
        """Keep an outlier from the levels, until there are enough to be a level of their own."""
        if self._stretch is None or self._stretch.upward != upward:
            self._stretch = _Stretch([], upward)
        self._stretch.above.append(above)
        if len(self._stretch.above) >= self._rhythm.settle:
            self._before = self._expectation.last_levels()
            self._settled_at = self._count
            for kept in self._stretch.above:
                self._expectation.learn_level(kept)
            self._stretch = None


class _Plain:
    """Mean and standard deviation of the latest values, nothing left out."""

    def __init__(self, memory: int) -> None:
        self._values: deque[float] = deque()
        self._memory = memory
        self._origin = 0.0
        self._sum = 0.0
        self._squares = 0.0

    def push(self, value: float) -> None:
        if not self._values:
            self._origin = value  # sums of distances from it lose fewer digits than sums of values
        distance = value - self._origin
        self._values.append(distance)
        self._sum += distance
        self._squares += distance * distance
        if len(self._values) > self._memory:
            oldest = self._values.popleft()
            self._sum -= oldest
            self._squares -= oldest * oldest

    def size(self) -> float:
        return abs(self._origin + self._sum / len(self._values))

    def is_out(self, value: float, *, upward: bool) -> bool:
        count = len(self._values)
        mean = self._sum / count
        variance = max(0.0, self._squares / count - mean * mean)
        off = value - self._origin - mean
        off = off if upward else -off
        return off > 0 and off * off > _PLAIN_OUT * _PLAIN_OUT * variance


class _Run:
    """The mean of the latest season, above the seasonal part, against its own past."""

    def __init__(self, rhythm: Rhythm, strictness: Strictness) -> None:
        self._rhythm = rhythm
        self._strict = strictness
        self._above: deque[dict[str, float]] = deque(maxlen=rhythm.season)
        self._signed = SortedWindow(rhythm.memory)
        self._sizes = SortedWindow(rhythm.memory)
        self._mean = 0.0
        self._quiet = 0

    def add(self, above: dict[str, float]) -> None:
        self._above.append(above)
        self._quiet = max(0, self._quiet - 1)

    def push(self, expectation: Expectation) -> None:
        """Measure the run that ends before the value just learnt."""
        if len(self._above) < self._rhythm.season:
            return
        name = expectation.long_season
        mean = sum(above[name] for above in self._above) / len(self._above)
        self._mean = mean - expectation.levels(name).seven.median()
        self._signed.push(self._mean)
        self._sizes.push(abs(self._mean))

    def judged(self, value: float, usual: float, verdict: Verdict) -> Verdict:
        """The verdict of the value as the end of a run, where the run is out and the value too."""
        months = self._strict.months
        if months is None or self._quiet or len(self._sizes) < _RUN_LEAST * self._rhythm.season:
            return verdict
        point_noise = verdict.bound / max(self._strict.noise, 1e-12)
        noise = max(NORMAL * self._sizes.median(), point_noise / self._rhythm.season)
        every = months * self._rhythm.month
        tail = tail_bound(self._signed.ordered, upper=self._mean > 0, every=every, floor=noise)
        bound = max(_RUN_BASE * self._strict.noise * noise, tail)
        off = value - usual
        if bound == inf or abs(self._mean) <= bound or off * self._mean <= 0 or abs(off) <= bound:
            return verdict
        self._quiet = _HOLD_SEASONS * self._rhythm.season
        size = abs(self._mean)
        return Verdict(usual, bound, size / noise, size / bound, True)
