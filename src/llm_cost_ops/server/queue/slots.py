"""When a schedule fires: cron expressions and steps of N units, in an IANA time zone.

A slot is an instant at which a schedule is due. How local times become instants:

* A schedule that names hours, days or months fires once for each local time that it names. A local
  time that the clocks skip is read by the offset from before the gap, as RFC 5545 does: 02:30 in
  New York fires at 03:30 EDT. A local time that comes twice fires the first time only.
  `after_gaps` is the other rule: what is skipped fires when the clocks have been put forward, at
  03:00 EDT, and several skipped times fire once.
* A schedule that fires in every hour (its hour field takes all 24, or its step is in minutes or
  hours) goes by elapsed time: it fires in every real hour, 23 or 25 of them a day.
* A step of months from the 31st fires on the last day of a shorter month, and on the 31st again.

Everything here is pure: instants come in and go out in microseconds since 1970 UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import from_micros, to_micros
from llm_cost_ops.core.period import first_instant
from llm_cost_ops.core.series import month_after

MINUTE_US = 60_000_000
MAX_EXPRESSION = 120
MAX_ZONE = 64
_FIELDS = 5
_HOUR = 1
_ALL_HOURS = 24
_STEP = re.compile(r"every (\d{1,4}) (minute|hour|day|week|month)s?", re.ASCII)
_ELAPSED_US = {"minute": MINUTE_US, "hour": 60 * MINUTE_US}
_DAYS = {"day": 1, "week": 7}
_LARGEST_SHIFT = timedelta(days=1)
"""Samoa left out a whole day when it went over the date line."""
_AVERAGE_US = {"day": 1440 * MINUTE_US, "week": 10_080 * MINUTE_US, "month": 43_829 * MINUTE_US}
_FORM = "must be five cron fields (30 2 * * *) or `every N minutes|hours|days|weeks|months`"


class SlotsError(DomainError):
    """An expression or a zone that cannot be used."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of one schedule."""

    next_after: Callable[[int], int]
    """The first slot later than an instant. Raises SlotsError when there is none in 50 years."""
    named: Callable[[int], datetime]
    """The local time that a slot is of, also where the clocks skip it (with `after_gaps`): there
    its date may be the one before. Of any other instant what the clocks show."""

    def previous(self, slot_us: int, within_us: int) -> int | None:
        """The slot before one, if it is less than so long before; None of what is no slot."""
        found, following = None, self.next_after(slot_us - within_us)
        while following < slot_us:
            found, following = following, self.next_after(following)
        return found if following == slot_us else None

    def latest(self, first_us: int, now_us: int) -> int:
        """The last slot that is not later than `now_us`; `first_us` is a slot that is not."""
        window = MINUTE_US
        while now_us - window > first_us and self.next_after(now_us - window) > now_us:
            window *= 2
        found = max(first_us, min(self.next_after(max(now_us - window, first_us - 1)), now_us))
        while (following := self.next_after(found)) <= now_us:
            found = following
        return found


@lru_cache(maxsize=1024)
def slots(
    expression: str, zone: str = "UTC", starts_us: int = 0, *, after_gaps: bool = False
) -> Slots:
    """The slots of an expression in a zone; steps are counted from `starts_us`, which is no slot.

    Raises SlotsError for an expression that never fires or a zone that is not known.
    """
    place = _zone(zone)
    step = _STEP.fullmatch(expression)
    instant = first_instant if after_gaps else _micros_of
    if step is not None:
        found = _step(int(step[1]), step[2], place, starts_us, instant)
    else:
        found = _cron(expression, place, instant)
    found.next_after(starts_us)
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        if len(name) > MAX_ZONE:
            raise ValueError
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = "must be an IANA time zone such as Europe/Berlin"
        raise SlotsError(message, field="timezone") from None


Instant = Callable[[datetime, ZoneInfo], int]
"""When a local time is, in microseconds."""


def _cron(expression: str, zone: ZoneInfo, instant: Instant) -> Slots:
    fields = expression.split()
    if len(fields) != _FIELDS or len(expression) > MAX_EXPRESSION:
        raise SlotsError(_FORM, field="expression")
    try:
        every_hour = len(CronSim(expression, datetime(2000, 1, 1)).hours) == _ALL_HOURS  # noqa: DTZ001
    except CronSimError as error:
        raise SlotsError(f"{_FORM}: {str(error).lower()}", field="expression") from None
    if every_hour:
        fields[_HOUR] = "*"  # which CronSim steps through in elapsed time
        return Slots(
            lambda after_us: _next_elapsed(" ".join(fields), zone, after_us),
            lambda slot_us: _shown(slot_us, zone),
        )
    return Slots(
        lambda after_us: _next_local(expression, zone, after_us, instant),
        lambda slot_us: _named_local(expression, zone, slot_us),
    )


def _shown(micros: int, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show."""
    return from_micros(micros).astimezone(zone).replace(tzinfo=None, fold=0)


def _next_elapsed(expression: str, zone: ZoneInfo, after_us: int) -> int:
    # CronSim drops fractions of a second, so its first answer is later than `after_us`.
    at = next(CronSim(expression, from_micros(after_us).astimezone(zone)), None)
    return _found(at)


def _next_local(expression: str, zone: ZoneInfo, after_us: int, place: Instant) -> int:
    """Matched on the wall clock without a zone, then placed in the zone by the rules above."""
    local = _shown(after_us, zone)
    if _is_steady(local, zone):
        begin, reach = local, timedelta()
    else:
        # A skipped time fires later than some that follow it on the wall clock, and a repeated one
        # earlier than some that it follows: all within a shift are looked at.
        begin, reach = local - _LARGEST_SHIFT, _LARGEST_SHIFT
    found: int | None = None
    until: datetime | None = None
    for at in CronSim(expression, begin):
        if until is not None and at > until:
            break
        instant = place(at, zone)
        if instant > after_us and (found is None or instant < found):
            found, until = instant, until or at + reach
    return _found(None) if found is None else found


def _named_local(expression: str, zone: ZoneInfo, slot_us: int) -> datetime:
    shown = _shown(slot_us, zone)
    gap = _shown(slot_us - 1, zone) + timedelta(microseconds=1)
    if gap >= shown:  # no gap ends here
        return shown
    skipped: datetime | None = None
    for at in CronSim(expression, gap - timedelta(minutes=1)):
        if at >= shown:  # of a time that is named itself and others that are skipped, that one
            return shown if at == shown or skipped is None else skipped
        skipped = at
    return skipped or shown


def _is_steady(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of a zone stay as they are from a day before until a day after."""
    shifts = {
        (local + days * _LARGEST_SHIFT).replace(tzinfo=zone).utcoffset() for days in (-1, 0, 1)
    }
    return len(shifts) == 1


def _found(at: datetime | None) -> int:
    if at is None:
        raise SlotsError("never fires", field="expression")
    return to_micros(at.astimezone(UTC))


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the wall clock of a zone shows a time; of one that it skips, the
    instant at which it would have come had the clock not been put forward."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _micros_of(local: datetime, zone: ZoneInfo) -> int:
    return to_micros(instant_of(local, zone))


def _step(count: int, unit: str, zone: ZoneInfo, starts_us: int, place: Instant) -> Slots:
    if count == 0:
        raise SlotsError(_FORM, field="expression")
    if unit in _ELAPSED_US:
        width = count * _ELAPSED_US[unit]
        return Slots(
            lambda after_us: starts_us + max(1, (after_us - starts_us) // width + 1) * width,
            lambda slot_us: _shown(slot_us, zone),
        )
    start = from_micros(starts_us).astimezone(zone).replace(tzinfo=None)

    def local(number: int) -> datetime:
        if unit == "month":
            return month_after(start, number * count, start.day)
        return start + timedelta(days=number * count * _DAYS[unit])

    def number_after(after_us: int) -> int:
        number = max(1, (after_us - starts_us) // (count * _AVERAGE_US[unit]) - 2)
        while place(local(number), zone) <= after_us:
            number += 1
        return number

    def named(slot_us: int) -> datetime:
        number = number_after(slot_us) - 1
        is_slot = number > 0 and place(local(number), zone) == slot_us
        return local(number) if is_slot else _shown(slot_us, zone)

    return Slots(lambda after_us: place(local(number_after(after_us)), zone), named)
