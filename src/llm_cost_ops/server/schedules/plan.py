"""When a schedule runs: its frequency, time, day and zone as slots of the queue's clock.

A local time that the clocks skip is that of the first instant after the gap, one that comes twice
is the first of the two: a daily schedule delivers once on each of these days. Hourly schedules, and
cron expressions of every hour, go by elapsed time: 23 or 25 times on such a day.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import pairwise
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.period import HOUR_US, PeriodError, first_instant, time_zone
from llm_cost_ops.server.queue.slots import Slots, SlotsError, slots

HOURLY, DAILY, WEEKLY, MONTHLY, CRON = "hourly", "daily", "weekly", "monthly", "cron"
FREQUENCIES = (HOURLY, DAILY, WEEKLY, MONTHLY, CRON)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DEFAULT_TIME = "00:00"
LATEST, ALL, NONE = "latest", "all", "none"
CATCH_UP = (LATEST, ALL, NONE)
MAX_CAUGHT_UP = 31
"""Runs that `all` makes up for, the last ones."""
ON_TIME_US = HOUR_US
"""How late a run may be and is not one that was missed."""
LEAST_APART_US = HOUR_US // 4
_LOOKED_AT = 200
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_ORDINAL = re.compile(r"\d{1,2}", re.ASCII)
_FIRST_MONTH = (2001, 1)


class PlanError(DomainError):
    """A recurrence that cannot be; `field` names what is wrong."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """`time` is HH:MM (of an hourly one only the minutes count), `day` a weekday or a day of the
    month, `cron` five fields; each None where the frequency has none."""

    frequency: str
    timezone: str
    time: str | None = None
    day: str | None = None
    cron: str | None = None

    def stored(self) -> dict[str, Any]:
        """As it is kept and shown; `stored_recurrence` reads it."""
        return {
            "frequency": self.frequency,
            "timezone": self.timezone,
            "time": self.time,
            "day": self.day,
            "cron": self.cron,
        }

    def slots(self) -> Slots:
        """Its slots. Raises PlanError."""
        try:
            return self._slots()
        except (SlotsError, PeriodError) as error:
            field = "cron" if error.field == "expression" else error.field
            raise PlanError(error.message, field=field) from None

    def _slots(self) -> Slots:
        hour, minute = (int(part) for part in (self.time or DEFAULT_TIME).split(":"))
        zone = self.timezone
        if self.frequency == CRON:
            return slots(self.cron or "", zone, after_gaps=True)
        if self.frequency == HOURLY:
            return slots(f"{minute} * * * *", zone, after_gaps=True)
        if self.frequency == DAILY:
            return slots(f"{minute} {hour} * * *", zone, after_gaps=True)
        if self.frequency == WEEKLY:
            weekday = WEEKDAYS.index(self.day or WEEKDAYS[0]) + 1
            return slots(f"{minute} {hour} * * {weekday}", zone, after_gaps=True)
        # Steps of months know that the 31st of a shorter month is its last day, as cron does not.
        first = datetime.combine(date(*_FIRST_MONTH, int(self.day or 1)), time(hour, minute))
        starts_us = first_instant(first, time_zone(zone))
        return slots("every 1 month", zone, starts_us, after_gaps=True)


def stored_recurrence(fields: Mapping[str, Any]) -> Recurrence:
    """What `Recurrence.stored` gave, from among other fields."""
    return Recurrence(**{each.name: fields[each.name] for each in dataclasses.fields(Recurrence)})


def read_recurrence(
    frequency: str | None,
    timezone: str,
    *,
    time_of_day: str | None,
    day: object | None,
    cron: str | None,
    now_us: int,
) -> Recurrence:
    """What somebody asked for. Raises PlanError."""
    if frequency is None:
        frequency = DAILY if cron is None else CRON
    if frequency not in FREQUENCIES:
        raise PlanError(f"must be one of: {', '.join(FREQUENCIES)}", field="frequency")
    if (frequency == CRON) != (cron is not None):
        raise PlanError("goes with the frequency cron, and with no other", field="cron")
    if time_of_day is not None:
        if frequency == CRON:
            raise PlanError("is in the cron expression already", field="time")
        if not _TIME.fullmatch(time_of_day):
            raise PlanError("must be a time of day such as 09:00", field="time")
    if frequency not in (CRON,) and time_of_day is None:
        time_of_day = DEFAULT_TIME
    found = Recurrence(frequency, timezone, time_of_day, _day(frequency, day), cron)
    _check_apart(found.slots(), now_us)
    return found


def _day(frequency: str, day: object | None) -> str | None:
    if frequency == WEEKLY:
        text = str(day or WEEKDAYS[0]).strip().lower()
        known = [name for name in WEEKDAYS if len(text) >= 3 and name.startswith(text)]
        if not known:
            raise PlanError("must be a weekday such as monday", field="day")
        return known[0]
    if frequency == MONTHLY:
        text = str(1 if day is None else day).strip()
        if not _ORDINAL.fullmatch(text) or not 1 <= int(text) <= 31:
            raise PlanError("must be a day of the month from 1 to 31", field="day")
        return str(int(text))
    if day is not None:
        raise PlanError("goes with the frequencies weekly and monthly", field="day")
    return None


def _check_apart(plan: Slots, now_us: int) -> None:
    found = [now_us]
    for _ in range(_LOOKED_AT):
        found.append(plan.next_after(found[-1]))
        if found[-1] - found[1] > 25 * HOUR_US:
            break
    if any(later - earlier < LEAST_APART_US for earlier, later in pairwise(found[1:])):
        raise PlanError("must leave 15 minutes between two runs", field="cron")


@dataclass(frozen=True, slots=True)
class Due:
    """The slots to run now, the oldest first, and the next one."""

    slots: tuple[int, ...]
    next_us: int


def due(plan: Slots, first_us: int, now_us: int, catch_up: str) -> Due:
    """What to run of the slots from `first_us`, which is one, until now. Raises PlanError."""
    try:
        next_us = plan.next_after(now_us)
        last_us = plan.latest(first_us, now_us)
        on_time = now_us - last_us <= ON_TIME_US
        if catch_up != ALL:
            return Due((last_us,) if on_time or catch_up == LATEST else (), next_us)
        found = [last_us]
        while found[-1] > first_us and len(found) < MAX_CAUGHT_UP:
            found.append(plan.latest(first_us, found[-1] - 1))
    except SlotsError as error:
        raise PlanError(error.message) from None
    return Due(tuple(reversed(found)), next_us)
