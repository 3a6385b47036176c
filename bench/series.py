"""Series of many kinds, the same ones in every run: trends, seasons, shifts, bursts, walks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

LENGTHS = {"hour": (748, 1008), "day": (400, 800), "week": (120, 900)}
SEASONS = {"hour": (24, 168), "day": (7, 365), "week": (52,)}


def made_series(step: str, count: int) -> Iterator[list[float]]:
    """`count` series, the kinds in turn; none has a value below zero."""
    for number in range(count):
        draw = random.Random(f"{step} {number}")
        kind = KINDS[number % len(KINDS)]
        length = draw.randint(*LENGTHS[step])
        yield [max(value, 0.0) for value in kind(draw, length, SEASONS[step])]


def _wave(draw: random.Random, period: int) -> list[float]:
    """One season, of mean one: two harmonics of random phase."""
    first, second = draw.uniform(0.1, 0.5), draw.uniform(0, 0.3)
    phases = draw.uniform(0, math.tau), draw.uniform(0, math.tau)
    return [
        1
        + first * math.sin(math.tau * place / period + phases[0])
        + second * math.sin(2 * math.tau * place / period + phases[1])
        for place in range(period)
    ]


def _seasonal(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    waves = [_wave(draw, period) for period in periods]
    noise = draw.uniform(0.02, 0.15)
    return [
        100 * math.prod(wave[i % len(wave)] for wave in waves) * (1 + draw.gauss(0, noise))
        for i in range(length)
    ]


def _trending(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    growth = draw.uniform(-0.5, 1.5) / length
    return [v * (1 + growth * i) for i, v in enumerate(_seasonal(draw, length, periods))]


def _growing(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    growth = draw.uniform(0.5, 3) / length
    return [v * math.exp(growth * i) for i, v in enumerate(_seasonal(draw, length, periods))]


def _walking(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:  # noqa: ARG001
    level, size, made = 100.0, draw.uniform(0.005, 0.04), list[float]()
    for _ in range(length):
        level *= math.exp(draw.gauss(0, size))
        made.append(level)
    return made


def _drifting(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    walk = _walking(draw, length, periods)
    return [v * w / 100 for v, w in zip(_seasonal(draw, length, periods), walk, strict=True)]


def _shifting(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    shifts = sorted(draw.sample(range(length), 3))
    levels = [draw.uniform(0.6, 1.7) for _ in range(4)]
    return [
        v * levels[sum(i >= shift for shift in shifts)]
        for i, v in enumerate(_seasonal(draw, length, periods))
    ]


def _bursting(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    return [
        v * (draw.uniform(2, 6) if draw.random() < 0.01 else 1)
        for v in _seasonal(draw, length, periods)
    ]


def _intermittent(draw: random.Random, length: int, periods: tuple[int, ...]) -> list[float]:
    share = draw.uniform(0.3, 0.8)
    return [v if draw.random() < share else 0.0 for v in _seasonal(draw, length, periods)]


KINDS: tuple[Callable[[random.Random, int, tuple[int, ...]], list[float]], ...] = (
    _seasonal, _trending, _growing, _walking, _drifting, _shifting, _bursting, _intermittent,
)  # fmt: skip
