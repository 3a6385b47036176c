"""The period that a run is about: one that lies before its slot."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from llm_cost_ops.core.buckets import buckets
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.period import HOUR_US, PeriodError, Window, named_period
from llm_cost_ops.server.queue.slots import Slots
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
_NEXT_TO_US = 2 * HOUR_US
"""Less than this is between two slots of every hour, and of no schedule of some hours."""


def window_of(period: str, slot_us: int, zone: ZoneInfo, plan: Slots) -> Window:
    """The period as it was at the slot: nothing later than that is in it, so that a run which is
    tried again makes the same file. Raises PeriodError."""
    if period.strip().lower().replace("_", "-") == PREVIOUS_HOUR:
        return _previous_hour(slot_us, zone, plan)
    # A time that the clocks skip may run on the next date, and still is about that of its own.
    today = plan.named(slot_us).date()
    found = named_period(period, from_micros(slot_us), zone, today=today)
    if found.start_us >= slot_us:
        # What is of "until now" and begins at the slot would be empty: the one that ends there.
        found = named_period(period, from_micros(slot_us - 1), zone)
    if found.start_us >= slot_us:
        raise PeriodError("has not begun when the schedule runs", field="period")
    return Window(found.start_us, found.end_us if found.end_us < slot_us - 1 else slot_us)


def _previous_hour(slot_us: int, zone: ZoneInfo, plan: Slots) -> Window:
    """The hour of the clock before the slot's. An hourly run begins where the one before it
    ended: where a change of the clocks breaks an hour, a run is about its pieces, too."""
    end_us = _hour_start(slot_us, zone)
    start_us = _hour_start(end_us - 1, zone)
    before_us = plan.previous(slot_us, _NEXT_TO_US)
    if before_us is not None:
        start_us = min(start_us, _hour_start(before_us, zone))
    return Window(start_us, end_us)


def _hour_start(micros: int, zone: ZoneInfo) -> int:
    return buckets(Window(micros, micros + 1), "hour", zone).edges[0]
