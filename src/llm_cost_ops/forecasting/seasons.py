"""The seasons that a series may have, and values in place of missing ones."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

MAIN = {"hour": 24, "day": 7, "week": 1, "month": 12}
"""Steps of the season by which errors are scaled (M4: weeks have none)."""
PERIODS = {"hour": (24, 168), "day": (7, 365), "week": (52,), "month": (12,)}
"""Steps of all seasons that are looked for: days and weeks in hours, else weeks and years."""


def periods_in(step: str, count: int) -> list[int]:
    """The seasons of which a series of `count` values holds two and a little."""
    return [period for period in PERIODS[step] if count >= 2 * period + 2]


def filled(values: Sequence[float | None], step: str) -> list[float]:
    """Missing values replaced: by the mean of the same place in the seasons before and after, where
    both or one are known, else on the line between the neighbours. The ends are known.
    """
    season = PERIODS[step][0]
    if season > len(values) // 2:
        season = 0
    made: list[float] = []
    for index, value in enumerate(values):
        made.append(_from_season(values, index, season) if value is None else value)
    return made


def _from_season(values: Sequence[float | None], index: int, season: int) -> float:
    places = (index - season, index + season) if season else ()
    known = [v for place in places if 0 <= place < len(values) and (v := values[place]) is not None]
    return fmean(known) if known else _between(values, index)


def _between(values: Sequence[float | None], index: int) -> float:
    before = next(place for place in range(index, -1, -1) if values[place] is not None)
    after = next(place for place in range(index, len(values)) if values[place] is not None)
    first, last = values[before] or 0.0, values[after] or 0.0
    return first + (last - first) * (index - before) / (after - before)
