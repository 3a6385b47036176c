"""What the next value should be, by the forecaster that has done best of late.

A forecaster is a seasonal part and a level. The seasonal part is the median of the latest values of
the same slot (hour of the day, hour or day of the week) or nothing; the level is the median of what
the latest 1, 3, one season's or seven seasons' values were above it. So a random walk, a flat line
with noise, a daily and a weekly pattern, growth and changes of level each have a forecaster, and
medians keep an outlier out of all of them but the ones that follow the last value, which are told
of outliers.

Forecasters are compared by their absolute errors, each capped at four times its median so that
outliers do not choose, and halved in weight every seven seasons.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import log

from llm_cost_ops.anomalies.rhythm import DAY_OF, WEEK_OF, Rhythm, kept
from llm_cost_ops.anomalies.windows import SortedWindow, median_of_sorted

NONE = "none"
_SHORT = (1, 3)
_SEASONS = 7
_CAP = 4.0
_FEWEST_WEEKS = 2
_TINY = 1e-12
_FLAT = 0.2
_QUIETEST = 0.25

Slots = dict[str, int]
"""The slot of a moment for each season that its step has."""


@dataclass(frozen=True, slots=True)
class Forecaster:
    """A seasonal part by name, and how many values its level is the median of; 0: no level."""

    season: str
    level: int


class Levels:
    """What a stream was above one seasonal part: the latest values, and medians of more."""

    def __init__(self, season: int) -> None:
        self.last: deque[float] = deque(maxlen=max(_SHORT))
        self.one = SortedWindow(season)
        self.seven = SortedWindow(season * _SEASONS)

    def median(self, count: int) -> float:
        if not count:
            return 0.0
        if count in _SHORT:
            return median_of_sorted(sorted(list(self.last)[-count:]))
        return self.seven.median() if count > self.one.size else self.one.median()

    def push(self, above: float) -> None:
        self.last.append(above)
        self.one.push(above)
        self.seven.push(above)


class Errors:
    """How wrong a forecaster was: signed and absolute errors, and the loss it is chosen by."""

    def __init__(self, memory: int) -> None:
        self.signed = SortedWindow(memory)
        self.sizes = SortedWindow(memory)
        self.loss = 0.0

    def push(self, error: float, decay: float) -> None:
        size = abs(error)
        self.signed.push(error)
        self.sizes.push(size)
        self.loss = self.loss * decay + min(size, _CAP * max(self.sizes.median(), _TINY))


class Loudness:
    """How the noise grows with the level: as its power, Taylor's law (L. R. Taylor, "Aggregation,
    variance and the mean", Nature 189 (1961), 732-735).

    The power, 0 (noise of one size) to 1 (noise in proportion), is that between the hours of a
    high and of a low expectation: mean errors and mean levels of either, weighed by age.
    """

    def __init__(self, rhythm: Rhythm) -> None:
        self._levels = SortedWindow(rhythm.memory)
        self._decay = 0.5 ** (1 / (rhythm.season * _SEASONS))
        self._least = rhythm.least
        self._errors = [0.0, 0.0]
        self._sizes = [0.0, 0.0]
        self._weights = [0.0, 0.0]
        self._power = 0.0

    def push(self, expected: float, error: float) -> None:
        level = abs(expected)
        self._levels.push(level)
        half = int(level > self._levels.median())
        for sums, one in ((self._errors, abs(error)), (self._sizes, level), (self._weights, 1.0)):
            sums[half] = sums[half] * self._decay + one
        self._power = self._told()

    def _told(self) -> float:
        if len(self._levels) < self._least or min(*self._errors, *self._sizes) <= 0:
            return 0.0
        errors, sizes = (
            log(sums[1] / self._weights[1]) - log(sums[0] / self._weights[0])
            for sums in (self._errors, self._sizes)
        )
        return min(1.0, max(0.0, errors / sizes)) if sizes > _FLAT else 0.0

    def of(self, expected: float) -> float:
        """The noise at this level over the noise at the median level."""
        usual = self._levels.median()
        if not self._power or usual <= 0:
            return 1.0
        share = abs(expected) / usual
        ratio: float = max(_QUIETEST, min(share, 1 / _QUIETEST)) ** self._power
        return ratio


class Expectation:
    """The forecasters of one stream. `seasonal_only` leaves out those without a seasonal part."""

    def __init__(self, rhythm: Rhythm, *, seasonal_only: bool = False) -> None:
        counts = (*_SHORT, rhythm.season, rhythm.season * _SEASONS)
        bare = [] if seasonal_only and rhythm.seasons else [NONE]
        self._slots: dict[tuple[str, int], deque[float]] = {}
        self._levels = {name: Levels(rhythm.season) for name in (NONE, *rhythm.seasons)}
        made = [Forecaster(name, count) for name in (*bare, *rhythm.seasons) for count in counts]
        made += [Forecaster(name, 0) for name in rhythm.seasons]
        self._errors = {forecaster: Errors(rhythm.memory) for forecaster in made}
        self._decay = 0.5 ** (1 / (rhythm.season * _SEASONS))
        self._loudness = Loudness(rhythm)
        self.best = made[0]

    @property
    def errors(self) -> Errors:
        """Those of the best forecaster."""
        return self._errors[self.best]

    def bases(self, slots: Slots) -> dict[str, float]:
        """The seasonal part of each season at these slots."""
        return {name: self._base(name, slots) for name in self._levels}

    def expected(self, bases: dict[str, float]) -> float:
        return self._by(self.best, bases)

    def usual(self, bases: dict[str, float]) -> float:
        """What the value would be at the level of the latest seven seasons."""
        name = self.long_season
        return bases[name] + self._levels[name].seven.median()

    @property
    def long_season(self) -> str:
        """The season by whose pattern runs are judged: the best forecaster's, or the shortest."""
        if self.best.season != NONE:
            return self.best.season
        names = list(self._levels)
        return names[1] if len(names) > 1 else NONE

    def levels(self, name: str) -> Levels:
        return self._levels[name]

    def loudness(self, expected: float) -> float:
        """The noise where this is expected, over the usual noise, which errors are in."""
        return self._loudness.of(expected)

    def learn_errors(self, value: float, bases: dict[str, float]) -> None:
        """Measure every forecaster by this value, and choose the best."""
        expected = self.expected(bases)
        error = value - expected
        cap = _CAP * max(self.errors.sizes.median() * self.loudness(expected), _TINY)
        self._loudness.push(expected, max(-cap, min(error, cap)))
        for forecaster, errors in self._errors.items():
            guess = self._by(forecaster, bases)
            errors.push((value - guess) / self.loudness(guess), self._decay)
        self.best = min(self._errors, key=lambda one: self._errors[one].loss)

    def learn_level(self, above: dict[str, float]) -> None:
        for name, levels in self._levels.items():
            levels.push(above[name])

    def learn_slots(self, value: float, slots: Slots) -> None:
        for name, slot in slots.items():
            self._slots.setdefault((name, slot), deque(maxlen=kept(name))).append(value)

    def last_levels(self) -> dict[str, list[float]]:
        return {name: list(levels.last) for name, levels in self._levels.items()}

    def restore(self, last: dict[str, list[float]]) -> None:
        """Go back to levels of before a stretch that is over."""
        for name, values in last.items():
            self._levels[name].last.extend(values)

    def _by(self, forecaster: Forecaster, bases: dict[str, float]) -> float:
        return bases[forecaster.season] + self._levels[forecaster.season].median(forecaster.level)

    def _base(self, name: str, slots: Slots) -> float:
        if name == NONE:
            return 0.0
        values = self._slots.get((name, slots[name]))
        if name == WEEK_OF and DAY_OF in slots and (not values or len(values) < _FEWEST_WEEKS):
            values = self._slots.get((DAY_OF, slots[DAY_OF]))
        return median_of_sorted(sorted(values)) if values else self._levels[NONE].one.median()
