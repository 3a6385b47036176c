"""Hourly series with labelled anomalies: read from a folder, or made.

A folder has the layout of the Numenta Anomaly Benchmark: `data/**.csv` with `timestamp,value`, and
`labels/combined_windows.json`, which maps a path under `data` to its windows, [first, last]. Rows
closer together than an hour are averaged. Made series imitate ten kinds of real ones: level, noise,
seasons, outliers that are nobody's anomaly, and injected spikes, dips, runs, ramps and levels.
"""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

HOUR = timedelta(hours=1)
MONTH_HOURS = 720
Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Hours in order, and the windows (both ends included) in which a flag is a hit."""

    name: str
    points: list[tuple[datetime, float]]
    windows: list[Window]

    @property
    def months(self) -> float:
        return len(self.points) / MONTH_HOURS


def read_folder(folder: Path) -> list[Labelled]:
    """The series that are both labelled and there."""
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text(encoding="utf-8"))
    return [
        Labelled(name, hourly(folder / "data" / name), [_window(*pair) for pair in pairs])
        for name, pairs in sorted(labels.items())
        if (folder / "data" / name).exists()
    ]


def hourly(path: Path) -> list[tuple[datetime, float]]:
    """Means by the hour; an hour without a row is left out."""
    sums: dict[datetime, list[float]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            sums.setdefault(_hour(row["timestamp"]), []).append(float(row["value"]))
    return [(hour, math.fsum(values) / len(values)) for hour, values in sorted(sums.items())]


def _hour(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(minute=0, second=0, microsecond=0)


def _window(first: str, last: str) -> Window:
    return _hour(first), datetime.fromisoformat(last)


# --- made series -----------------------------------------------------------------------------


class Maker:
    """One series under construction: `values` by the hour, `marks` as (first, last) hours."""

    def __init__(self, kind: str, seed: int) -> None:
        self.random = random.Random(f"{kind}{seed}")
        day, hour = self.random.randrange(1, 25), self.random.randrange(24)
        self.start = datetime(2014, 2, day, hour, tzinfo=UTC).replace(tzinfo=None)
        self.values: list[float] = []
        self.marks: list[tuple[int, int]] = []

    def walk(self, count: int, memory: float, spread: float) -> list[float]:
        """Autoregressive noise of order one with this standard deviation."""
        found: list[float] = []
        last = 0.0
        for _ in range(count):
            last = memory * last + self.random.gauss(0, spread * math.sqrt(1 - memory * memory))
            found.append(last)
        return found

    def daily(self) -> list[float]:
        """A pattern of the day: two waves with random phases."""
        one, two = self.random.uniform(0, math.tau), self.random.uniform(0, math.tau)
        part = self.random.uniform(0.1, 0.5)
        return [
            math.sin(math.tau * hour / 24 + one) + part * math.sin(math.tau * hour / 12 + two)
            for hour in range(24)
        ]

    def hour(self, index: int) -> int:
        return (self.start + index * HOUR).hour

    def is_weekend(self, index: int) -> bool:
        return (self.start + index * HOUR).weekday() > 4

    def places(self, count: int, length: int) -> list[int]:
        """Starts of anomalies, none in the first 15 %, each well apart."""
        found: list[int] = []
        size = len(self.values)
        for _ in range(200):
            if len(found) == count:
                break
            start = self.random.randrange(int(size * 0.15) + 10, size - length - 2)
            if all(abs(start - other) > length + 30 for other in found):
                found.append(start)
        return sorted(found)

    def finished(self, name: str) -> Labelled:
        lost = self.random.choice([0, 0, 0, 0.02])
        points = [
            (self.start + index * HOUR, value)
            for index, value in enumerate(self.values)
            if self.random.random() >= lost
        ]
        windows = [(self.start + a * HOUR, self.start + b * HOUR) for a, b in sorted(self.marks)]
        return Labelled(name, points, windows)


def _machine_load(make: Maker) -> None:
    chance = make.random
    level = chance.choice([0.1, 2, 40, 90])
    spread = chance.choice([0.01, 0.03, 0.1]) * level
    noise = make.walk(336, chance.choice([0.2, 0.7]), spread)
    make.values = [level + one + chance.gauss(0, spread / 2) for one in noise]
    rare = chance.choice([0, 0.004, 0.01])
    for index in range(336):
        if chance.random() < rare:
            make.values[index] += chance.paretovariate(1.5) * 3 * spread
    for start in make.places(chance.choice([1, 2]), 17):
        pick = chance.random()
        if pick < 0.5:
            hours, size = range(chance.choice([1, 1, 2, 4])), chance.choice([1, 1, 1, -0.5])
            for step in hours:
                make.values[start + step] += chance.uniform(8, 40) * spread * size
        elif pick < 0.8:
            shift = chance.uniform(5, 20) * spread * chance.choice([1, 1, -1])
            for index in range(start, 336):
                make.values[index] += shift
        else:
            for index in range(start, min(336, start + chance.randrange(10, 40))):
                make.values[index] += chance.uniform(6, 15) * spread
        make.marks.append((start - 8, start + 9))


def _mentions(make: Maker) -> None:
    chance, count = make.random, 1590
    day, swing, level = make.daily(), chance.uniform(0.3, 0.9), chance.choice([5, 20, 60, 300])
    weekend = chance.uniform(0.6, 1)
    bursts = [0.0] * count
    make.values = bursts

    def burst(start: int, size: float, fade: float) -> None:
        for index in range(start, min(count, start + 30)):
            bursts[index] += size * math.exp(-(index - start) / fade)

    for start in range(count):
        if chance.random() < 0.012:
            burst(start, chance.paretovariate(1.6) / 2, chance.uniform(1, 4))
    for start in make.places(chance.choice([2, 3]), 48):
        burst(start, chance.uniform(2.5, 12), chance.uniform(1, 6))
        make.marks.append((start - 20, start + 28))
    noise = make.walk(count, 0.5, 0.2)
    made: list[float] = []
    for index in range(count):
        mean = level * math.exp(swing * day[make.hour(index)] + noise[index]) * (1 + bursts[index])
        mean *= weekend if make.is_weekend(index) else 1
        made.append(max(0.0, chance.gauss(mean, math.sqrt(mean / 6 + 0.1))))
    make.values = made


def _advertising(make: Maker) -> None:
    chance, day = make.random, make.daily()
    noise, level = make.walk(1620, 0.8, 0.2), chance.uniform(0.1, 2)
    make.values = [
        level * math.exp(0.4 * day[make.hour(i)] + one + chance.gauss(0, 0.08))
        for i, one in enumerate(noise)
    ]
    for index in range(1620):
        if chance.random() < 0.006:
            make.values[index] *= 1 + chance.paretovariate(1.2) * 0.8
    for start in make.places(chance.choice([1, 2, 3, 4]), 60):
        make.values[start] *= chance.uniform(4, 25)
        make.marks.append((start - 25, start + 30))


def _temperature(make: Maker) -> None:
    chance = make.random
    slow, fast = make.walk(1900, 0.98, 6), make.walk(1900, 0.5, 0.8)
    make.values = [85 + a + b for a, b in zip(slow, fast, strict=True)]
    for start in make.places(chance.choice([2, 3]), 62):
        for step in range(chance.randrange(8, 30)):
            make.values[start + step] -= chance.uniform(25, 60) * min(1, (step + 1) / 3)
        make.marks.append((start - 30, start + 32))


def _rides(make: Maker) -> None:
    chance, day, weekend = make.random, make.daily(), make.daily()
    noise = make.walk(5000, 0.7, 0.05)
    make.values = [
        15000
        * math.exp(
            0.6 * day[make.hour(i)]
            + (0.25 * weekend[make.hour(i)] if make.is_weekend(i) else 0)
            + one
            + chance.gauss(0, 0.02)
        )
        for i, one in enumerate(noise)
    ]
    for start in make.places(5, 108):
        factor = chance.choice([0.3, 0.6, 0.7, 1.4, 1.6])
        for index in range(start, start + chance.choice([5, 12, 24])):
            make.values[index] *= factor
        make.marks.append((start - 54, start + 54))


def _spend(make: Maker) -> None:
    chance, day, count = make.random, make.daily(), 1440
    noise, level = make.walk(count, 0.6, 0.15), chance.choice([0.5, 20, 400])
    growth, weekend = chance.uniform(-0.2, 0.8) / count, chance.uniform(0.2, 1)
    for index in range(count):
        power = 0.7 * day[make.hour(index)] + growth * index + noise[index] + chance.gauss(0, 0.1)
        make.values.append(level * math.exp(power) * (weekend if make.is_weekend(index) else 1))
    for start in make.places(chance.choice([1, 2, 3]), 36):
        kind = chance.random()
        factors: Sequence[float]
        if kind < 0.4:
            factors = [chance.uniform(3, 8) for _ in range(chance.choice([1, 2, 5]))]
        elif kind < 0.6:
            factors = [chance.choice([2, 3, 0.4])] * (count - start)
        elif kind < 0.8:
            factors = [0.05] * chance.choice([3, 8, 16])
        else:
            factors = [1 + step / 5 for step in range(20)]
        for step, factor in enumerate(factors):
            make.values[start + step] *= factor
        make.marks.append((start - 6, start + 30))


def _sparse(make: Maker) -> None:
    chance = make.random
    share = chance.uniform(0.02, 0.2)
    make.values = [
        chance.lognormvariate(1, 1) if chance.random() < share else 0.0 for _ in range(900)
    ]
    for start in make.places(1, 30):
        for index in range(start, start + 6):
            make.values[index] = chance.uniform(30, 200)
        make.marks.append((start - 8, start + 22))


def _waves(make: Maker) -> None:
    chance, count = make.random, 1420
    size = chance.uniform(100, 1000)
    waves = [(chance.uniform(0, 1) * size, p, chance.uniform(0, math.tau)) for p in (12, 24, 168)]
    slope, spread = chance.uniform(-2, 3), chance.uniform(0.03, 0.2) * size
    make.values = [
        5 * size + slope * i + sum(a * math.sin(math.tau * i / p + q) for a, p, q in waves)
        + chance.gauss(0, spread)
        for i in range(count)
    ]  # fmt: skip
    for start in make.places(chance.choice([3, 6, 8]), 3):
        make.values[start] += chance.choice([-1, 1]) * chance.uniform(8, 25) * spread
        make.marks.append((start, start))


def _speed(make: Maker) -> None:
    chance, day = make.random, make.daily()
    noise = make.walk(400, 0.6, 2)
    make.values = [
        65 - max(0, day[make.hour(i)]) * 8 + one + chance.gauss(0, 1.5)
        for i, one in enumerate(noise)
    ]
    for start in make.places(chance.choice([1, 2]), 14):
        for index in range(start, start + chance.choice([2, 4, 6])):
            make.values[index] -= chance.uniform(20, 45)
        make.marks.append((start - 4, start + 10))


KINDS: dict[str, tuple[Callable[[Maker], None], int]] = {
    "machine load": (_machine_load, 34),
    "mentions": (_mentions, 6),
    "advertising": (_advertising, 4),
    "temperature": (_temperature, 2),
    "rides": (_rides, 1),
    "spend": (_spend, 8),
    "sparse": (_sparse, 3),
    "waves": (_waves, 4),
    "speed": (_speed, 10),
}
"""Each kind, and how many series of it there are."""


def made(seed: int, *, tiny: bool = False) -> Iterator[Labelled]:
    """Series of every kind; the same for the same seed."""
    for kind, (build, count) in KINDS.items():
        for number in range(1 if tiny else count):
            make = Maker(kind, seed + number)
            build(make)
            yield make.finished(f"{kind}/{seed + number}")
