"""Quiet hours: a part of each day, in a time zone, in which notices wait for its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import time_zone
from llm_cost_ops.server.alerts.fields import Fields, RuleError
from llm_cost_ops.server.queue.slots import instant_of

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `start` to `end` on the wall clock of the zone, over midnight where the end is not
    later; on the days (0 is Monday) on which it begins. Critical notices pass unless held."""

    start: time
    end: time
    zone: ZoneInfo
    days: frozenset[int]
    hold_critical: bool

    def until(self, now_us: int) -> int | None:
        """When the quiet hours end that hold now, in microseconds; None when it is not quiet.

        An edge that the clocks skip comes as much later, one that comes twice holds the first time.
        """
        today = from_micros(now_us).astimezone(self.zone).date()
        ends: list[int] = []
        for day in (today - _ONE_DAY, today, today + _ONE_DAY):
            if day.weekday() not in self.days:
                continue
            last = day if self.end > self.start else day + _ONE_DAY
            begin_us = to_micros(instant_of(datetime.combine(day, self.start), self.zone))
            end_us = to_micros(instant_of(datetime.combine(last, self.end), self.zone))
            if begin_us <= now_us < end_us:
                ends.append(end_us)
        return max(ends, default=None)

    def due(self, now_us: int, *, critical: bool) -> int:
        """When a notice of now may go out."""
        if critical and not self.hold_critical:
            return now_us
        due_us, ends = now_us, self.until(now_us)
        while ends is not None and ends > due_us:  # hours of one day may touch those of the next
            due_us, ends = ends, self.until(ends)
        return due_us


def read_quiet(given: Mapping[str, Any] | None) -> Quiet | None:
    """Quiet hours from JSON. Raises RuleError."""
    if given is None:
        return None
    fields = Fields(given, "quiet_hours.")
    start, end = fields.clock_time("start"), fields.clock_time("end")
    zone = fields.zone("timezone") or "UTC"
    days = fields.texts("days", most=7)
    critical = fields.flag("hold_critical", default=False)
    fields.finish()
    if start is None or end is None:
        name = "start" if start is None else "end"
        raise RuleError("is required", field=f"quiet_hours.{name}")
    if start == end:
        raise RuleError("must not be the start", field="quiet_hours.end")
    if days is not None and not {day.lower()[:3] for day in days} <= set(_DAYS):
        raise RuleError(f"must be among: {', '.join(_DAYS)}", field="quiet_hours.days")
    chosen = _DAYS if days is None else [day.lower()[:3] for day in days]
    return Quiet(
        time.fromisoformat(start),
        time.fromisoformat(end),
        time_zone(zone),
        frozenset(_DAYS.index(day) for day in chosen),
        bool(critical),
    )
