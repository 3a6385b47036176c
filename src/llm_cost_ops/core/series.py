"""A dated series: one number, or none, for each hour, day, week or month of a stretch of time.

Steps are counted from the first, which also fixes the weekday of weeks and the day of months (a
series of month ends stays on month ends). A step that nobody has a number for is None, never zero:
models pass over the first and believe the second.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from llm_cost_ops.core.buckets import GRAINS
from llm_cost_ops.core.errors import DomainError

STEPS = GRAINS
FORMS = ("month", "date", "naive", "offset")
MAX_STEPS = 200_000
MONTH_END = 31
_LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
_NO_OFFSET = timedelta()


class SeriesError(DomainError):
    """A series that cannot be read or used; `line` is the line of the file, from 1, where it is
    one line's fault."""

    def __init__(self, message: str, *, line: int | None = None, field: str | None = None) -> None:
        super().__init__(message, field=field if line is None else f"line {line}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Series:
    """Values at equal steps from `start` on.

    `start` is naive: the clock that dates are counted by. That is the local clock for days, weeks
    and months, and UTC for the hours of a series whose times carry an offset (`form` "offset");
    `offset` is what its dates are then written with, and `separator` stands between a date and a
    time. `anchor` is the day of the month of monthly steps, `MONTH_END` for the last.
    """

    step: str
    start: datetime
    values: tuple[Decimal | None, ...]
    form: str = "date"
    offset: timedelta = _NO_OFFSET
    anchor: int = 1
    separator: str = "T"

    def __len__(self) -> int:
        return len(self.values)

    def moment(self, index: int) -> datetime:
        """When step `index` begins, on the series' own clock; also before and after its ends.

        Raises SeriesError beyond the years 1 to 9999.
        """
        try:
            if self.step == "month":
                return month_after(self.start, index, self.anchor)
            return self.start + index * _LENGTHS[self.step]
        except (OverflowError, ValueError):
            raise SeriesError("its dates leave the years 1 to 9999", field="series") from None

    def label(self, index: int) -> str:
        """The date of a step as text, in the form in which the series writes its own: `2025-01`,
        `2025-01-31`, `2025-01-31T13:00:00` or `2025-01-31T13:00:00+01:00` (`Z` for UTC), the time
        after a space where that is how it writes them."""
        moment = self.moment(index)
        if self.form == "offset":
            zone = timezone(self.offset)
            shown = moment.replace(tzinfo=UTC).astimezone(zone) if self.step == "hour" else moment
            return shown.replace(tzinfo=zone).isoformat(self.separator).replace("+00:00", "Z")
        if self.form == "naive":
            return moment.isoformat(self.separator)
        return moment.date().isoformat()[: 7 if self.form == "month" else 10]

    def labels_after(self, count: int) -> list[str]:
        """The dates of the `count` steps after the last one."""
        return [self.label(len(self) + index) for index in range(count)]

    def missing(self) -> list[int]:
        """The steps that have no number."""
        return [index for index, value in enumerate(self.values) if value is None]


def month_after(start: datetime, months: int, anchor: int) -> datetime:
    """The anchor day, or the month's last if it has none, `months` months after the start's."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(anchor, monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)


def months_between(first: datetime, second: datetime) -> int:
    """Calendar months from the month of one to the month of the other."""
    return (second.year - first.year) * 12 + second.month - first.month


def first_moment(moment: datetime, step: str) -> datetime:
    """The start of the calendar hour, day, week (from Monday) or month that holds a moment."""
    if step == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if step == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if step == "week" else day


def steps_from(start: datetime, moment: datetime, step: str) -> int:
    """The index of the step that holds a moment, where step 0 begins at `start`."""
    if step == "month":
        return months_between(start, moment)
    return (moment - start) // _LENGTHS[step]


def is_finer(one: str, other: str) -> bool:
    """Whether steps of the first kind are shorter than those of the second."""
    return STEPS.index(one) < STEPS.index(other)


def trimmed(series: Series) -> Series:
    """Without the steps before the first and after the last number. Raises SeriesError if none."""
    known = [index for index, value in enumerate(series.values) if value is not None]
    if not known:
        raise SeriesError("has no number in it", field="series")
    first, last = known[0], known[-1]
    return replace(series, start=series.moment(first), values=series.values[first : last + 1])


def finished(series: Series, now: datetime, zone: tzinfo = UTC) -> Series:
    """The steps that are over at `now` (aware): the last one of a live series is partial until its
    end. `zone` is the one whose clock dates without an offset are read by.

    Raises SeriesError when none is over.
    """
    if series.form == "offset":
        clock = UTC if series.step == "hour" else timezone(series.offset)
    else:
        clock = zone
    moment = now.astimezone(clock).replace(tzinfo=None)
    count = len(series)
    while count and series.moment(count) > moment:
        count -= 1
    if not count:
        raise SeriesError(f"has no whole {series.step} before now", field="series")
    return replace(series, values=series.values[:count])


def aggregate(series: Series, step: str) -> Series:
    """Sums over coarser calendar steps (weeks from Monday). The sum of an unknown is unknown; a
    first or last step that the series covers in part only is left out.

    Raises SeriesError for a finer step, and where no step is covered whole.
    """
    if step == series.step:
        return series
    if is_finer(step, series.step):
        raise SeriesError(f"cannot be split from {series.step} to {step}", field="interval")
    shift = series.offset if series.form == "offset" and series.step == "hour" else _NO_OFFSET
    moments = [series.moment(index) + shift for index in range(len(series) + 1)]
    start = first_moment(moments[0], step)
    bins = [steps_from(start, moment, step) for moment in moments]
    values = sums(bins[:-1], series.values)
    form = "naive" if step == "hour" else "date"
    coarse = Series(step, start, tuple(values), form)
    until = len(coarse) if bins[-1] > bins[-2] else len(coarse) - 1
    since = 0 if moments[0] == start else 1
    if since >= until:
        raise SeriesError(f"does not cover one whole {step}", field="interval")
    return replace(coarse, start=coarse.moment(since), values=coarse.values[since:until])


def sums(bins: Sequence[int], values: Sequence[Decimal | None]) -> Iterator[Decimal | None]:
    """The sum of the values of each bin from 0 to the last; None where one of them is unknown, and
    for a bin without any. `bins` does not fall."""
    position = 0
    for bin_index in range(bins[-1] + 1):
        total: Decimal | None = None
        if position < len(bins) and bins[position] == bin_index:
            total = Decimal(0)
        while position < len(bins) and bins[position] == bin_index:
            value = values[position]
            total = None if total is None or value is None else total + value
            position += 1
        yield total
