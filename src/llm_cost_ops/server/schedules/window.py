"""The period that a run is about: one that lies before its slot."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from llm_cost_ops.core.buckets import buckets
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.period import PeriodError, Window, named_period
from llm_cost_ops.server.schedules.plan import CRON, DAILY, HOURLY, MONTHLY, WEEKLY

PREVIOUS_HOUR = "previous-hour"
DEFAULTS: Mapping[str, str] = {
    HOURLY: PREVIOUS_HOUR,
    DAILY: "yesterday",
    WEEKLY: "last-week",
    MONTHLY: "last-month",
    CRON: "yesterday",
}
"""What a schedule is about that does not say."""


def window_of(period: str, slot_us: int, zone: ZoneInfo) -> Window:
    """The period as it was at the slot: nothing later than that is in it, so that a run which is
    tried again makes the same file. Raises PeriodError."""
    if period.strip().lower().replace("_", "-") == PREVIOUS_HOUR:
        start_us = buckets(Window(slot_us, slot_us + 1), "hour", zone).edges[0]
        return Window(buckets(Window(start_us - 1, start_us), "hour", zone).edges[0], start_us)
    found = named_period(period, from_micros(slot_us), zone)
    if found.start_us >= slot_us:
        # What is of "until now" and begins at the slot would be empty: the one that ends there.
        found = named_period(period, from_micros(slot_us - 1), zone)
    if found.start_us >= slot_us:
        raise PeriodError("has not begun when the schedule runs", field="period")
    return Window(found.start_us, found.end_us if found.end_us < slot_us - 1 else slot_us)
