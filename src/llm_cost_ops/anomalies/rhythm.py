"""What a detector must know of a step: its seasons, and how much past it judges by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

DAY_OF = "day"
WEEK_OF = "week"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Counts are of steps. `season` is the shortest one, also the length of the run whose mean is
    watched; `seasons` names the slots that steps of this length have.

    `least` are the steps before the first judgement, `memory` those that noise and tails are
    measured over, `month` how many make one, `settle` after how many out of bounds the new level is
    believed.
    """

    season: int
    seasons: tuple[str, ...]
    least: int
    memory: int
    month: float
    settle: int


RHYTHMS: Mapping[str, Rhythm] = MappingProxyType(
    {
        "hour": Rhythm(24, (DAY_OF, WEEK_OF), 48, 672, 720, 6),
        "day": Rhythm(7, (WEEK_OF,), 21, 182, 30, 3),
        "week": Rhythm(4, (), 26, 104, 4.35, 2),
        "month": Rhythm(3, (), 24, 60, 1, 2),
    }
)

_KEPT = MappingProxyType({DAY_OF: 7, WEEK_OF: 5})


def kept(season: str) -> int:
    """How many values of a slot its median is taken of: a week of days, five weeks."""
    return _KEPT[season]


def slot_of(season: str, moment: datetime, step: str) -> int:
    """The slot of a moment: hour of the day, or of the week; day of the week for days."""
    if season == DAY_OF:
        return moment.hour
    return moment.weekday() * 24 + (moment.hour if step == "hour" else 0)
