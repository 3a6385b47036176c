"""Recurring periods: hours, days, weeks and months of a zone's calendar, or windows that slide.

A calendar period begins on the local first instant of its first day, counted from an anchor date:
months from the anchor's day of the month, clamped to the length of each month, so that "monthly on
the 31st" and "yearly on 29 February" begin on the last day of a shorter month. A sliding period is
counted in steps and holds its whole length and the step under way, so it never holds less than what
its name says.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from llm_cost_ops.core.buckets import buckets
from llm_cost_ops.core.period import (
    DAY_US,
    HOUR_US,
    Window,
    day_start,
    local_day,
)

MONTHS_OF = {"monthly": 1, "quarterly": 3, "annual": 12}
DAYS_OF = {"daily": 1, "weekly": 7}
PERIODS = ("hourly", *DAYS_OF, *MONTHS_OF)
_MINUTE_US = HOUR_US // 60
SLIDES = {
    "hourly": (HOUR_US, 5 * _MINUTE_US),
    "daily": (DAY_US, HOUR_US),
    "weekly": (7 * DAY_US, 6 * HOUR_US),
    "monthly": (30 * DAY_US, DAY_US),
    "quarterly": (90 * DAY_US, DAY_US),
    "annual": (365 * DAY_US, 5 * DAY_US),
}
"""Length and step of a sliding period in microseconds."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Every `every` hours, days, weeks or months (by `name`) of a zone, from the anchor's day on.

    `every` is 1 for hours.
    """

    name: str
    zone: ZoneInfo
    anchor: date
    every: int = 1

    def at(self, micros: int) -> Window:
        """The period that holds this instant."""
        if self.name == "hourly":
            edges = buckets(Window(micros, micros + 1), "hour", self.zone).edges
            return Window(edges[0], edges[1])
        today = local_day(micros, self.zone)
        if self.name in DAYS_OF:
            length = DAYS_OF[self.name] * self.every
            first = self.anchor + timedelta((today - self.anchor).days // length * length)
            return self._days(first, first + timedelta(length))
        step = MONTHS_OF[self.name] * self.every
        between = (today.year - self.anchor.year) * 12 + today.month - self.anchor.month
        number = between // step
        if add_months(self.anchor, number * step) > today:
            number -= 1
        return self._days(
            add_months(self.anchor, number * step), add_months(self.anchor, (number + 1) * step)
        )

    def _days(self, first: date, end: date) -> Window:
        return Window(day_start(first, self.zone), day_start(end, self.zone))


def add_months(day: date, months: int) -> date:
    """The same day of a later or earlier month, or its last day where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


@dataclass(frozen=True, slots=True)
class Slide:
    """A window of `length_us` that ends now, counted in steps of `step_us` since 1970 UTC."""

    length_us: int
    step_us: int

    def step(self, micros: int) -> Window:
        """The step that holds this instant."""
        start = micros // self.step_us * self.step_us
        return Window(start, start + self.step_us)

    def at(self, micros: int) -> Window:
        """What counts at this instant: the step that holds it and those of one length before."""
        step = self.step(micros)
        return Window(step.start_us - self.length_us, step.end_us)


def default_anchor(name: str, fiscal_month: int = 1) -> date:
    """The anchor of the calendar: Monday for weeks, the first of the month, and for quarters and
    years the first of the fiscal year's first month (1 to 12)."""
    if name in ("quarterly", "annual"):
        return date(2001, fiscal_month, 1)
    return date(2001, 1, 1)  # a Monday
