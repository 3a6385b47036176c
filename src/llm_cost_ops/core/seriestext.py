"""Reading a series from the rows of a CSV text: `date,value`.

A date is ISO 8601: a month, a day, or an instant with or without an offset, one form throughout,
each once and in any order.
Instants without an offset are read by one clock that never changes; local times over a clock change
need their offset, and their days are then local days. An empty value is a step known to be missing.
A step without a row is missing too, unless the caller says that an absent row is zero, as in sums
of a ledger that is whole.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import gcd

from llm_cost_ops.core.series import (
    MAX_STEPS,
    MONTH_END,
    STEPS,
    Series,
    SeriesError,
    first_moment,
    is_finer,
    month_after,
    months_between,
    steps_from,
    sums,
    trimmed,
)

DATE_NAMES = ("date", "timestamp", "ds", "hour", "day", "week", "month")
VALUE_NAMES = ("value", "cost", "y", "total_cost")
GAPS = ("missing", "zero")
MAX_ROWS = 1_000_000
_DATE = re.compile(
    r"(\d{4}-\d{2})(?:(-\d{2})"
    r"(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)\s?(Z|z|[+-]\d{2}:?\d{2})?)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_MAX_POWER = 30
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    form: str
    local: datetime
    offset: timedelta
    separator: str
    value: Decimal | None

    @property
    def utc(self) -> datetime:
        return self.local - self.offset

    def clock(self, step: str) -> datetime:
        """What steps of this kind are counted by."""
        return self.utc if step == "hour" else self.local


def read_series(
    lines: Iterable[str], *, interval: str | None = None, gaps: str = "missing"
) -> Series:
    """A series from lines of CSV, with or without a header. Missing steps at the ends are cut off.

    The step is `interval` or is read off the distances of the dates. Rows that are closer together
    than the interval are added up in calendar steps, without the first or last one where only a
    part of it has rows. `gaps` says what a step without a row is: one of `GAPS`.

    Raises SeriesError, with the line where one is at fault, and for an interval finer than the
    step of the dates. Only where absent rows are zero may it be finer, as far as the form of the
    dates can tell: a day without spending is no proof of weeks.
    """
    if interval is not None and interval not in STEPS:
        raise SeriesError(f"must be one of: {', '.join(STEPS)}", field="interval")
    rows = _rows(lines)
    seen = _step_of(rows)
    if interval is None and seen is None:
        raise _no_step(rows)
    if interval is not None:
        _check_not_finer(rows, interval, seen, gaps)
        if interval != seen and _is_one_a_month(rows, interval, gaps):
            seen = None
    if interval is None or interval == seen:
        placed = _place(rows, interval or seen or "")
    elif seen is None or is_finer(seen, interval):
        placed = _add_up(_with_absent(rows, seen, gaps) if seen else rows, interval, seen)
    else:
        placed = _place(rows, interval)
    series, present = placed
    if gaps == "zero":
        filled = (v if i in present else Decimal(0) for i, v in enumerate(series.values))
        series = replace(series, values=tuple(filled))
    return trimmed(series)


def _rows(lines: Iterable[str]) -> list[_Row]:
    reader = csv.reader(lines)
    rows: list[_Row] = []
    columns: tuple[int, int] | None = None
    width = 2
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns, is_header = _columns(cells, reader.line_num)
                width = len(cells)
                if is_header:
                    continue
            _check_width(cells, width, reader.line_num)
            rows.append(_row(cells, columns, reader.line_num))
            _check_form(rows)
    except csv.Error as error:
        raise SeriesError(f"is not CSV: {error}", line=reader.line_num) from None
    if not rows:
        raise SeriesError("has no rows: expected lines of date,value", field="series")
    rows.sort(key=lambda row: (row.utc, row.line))
    for before, row in pairwise(rows):
        if row.utc == before.utc:
            hint = "; times over a clock change need their UTC offset"
            told = hint if row.form == "naive" else ""
            raise SeriesError(f"has the same date as line {before.line}{told}", line=row.line)
    return rows


def _columns(cells: Sequence[str], line: int) -> tuple[tuple[int, int], bool]:
    """Where the date and the value are, and whether this first line is a header."""
    names = [cell.strip().lower() for cell in cells]
    dated = next((names.index(name) for name in DATE_NAMES if name in names), None)
    valued = [place for place, name in enumerate(names) if name in VALUE_NAMES]
    if dated is not None and len(valued) > 1:
        shown = " and ".join(names[place] for place in valued)
        raise SeriesError(f"has more than one column of values: {shown}; keep one", line=line)
    if dated is not None and valued:
        return (dated, valued[0]), True
    if len(cells) != 2:
        hint = _separator_hint(cells[0])
        raise SeriesError(
            f"must have two columns, date and value, or a header with them{hint}", line=line
        )
    # A first line with a number in it is a row, even when its date is wrong.
    word = names[1]
    is_header = not _DATE.fullmatch(names[0]) and bool(word) and word[0] not in "+-.0123456789"
    return (0, 1), is_header


def _check_width(cells: Sequence[str], width: int, line: int) -> None:
    if len(cells) > width:
        raise SeriesError(
            f"has {len(cells)} fields where {width} are expected: decimals need a point, and a "
            "text with a comma in it needs quotes",
            line=line,
        )


def _separator_hint(text: str) -> str:
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in text:
            return f"; separate columns by commas, not by {name}"
    return ""


def _row(cells: Sequence[str], columns: tuple[int, int], line: int) -> _Row:
    if len(cells) <= max(columns):
        hint = _separator_hint(cells[0])
        raise SeriesError(f"has no value: expected date,value{hint}", line=line)
    text = cells[columns[0]].strip()
    form, local, offset = _date(text, line)
    separator = " " if text[10:11] == " " else "T"
    return _Row(line, form, local, offset, separator, _number(cells[columns[1]].strip(), line))


def _date(text: str, line: int) -> tuple[str, datetime, timedelta]:
    match = _DATE.fullmatch(text)
    if match is None:
        hint = _separator_hint(text)
        raise SeriesError(f"{_quoted(text)} is not an ISO 8601 date or instant{hint}", line=line)
    month, day, clock, offset = match.groups()
    whole = f"{month}{day or '-01'}T{clock or '00:00'}{(offset or '').upper()}"
    try:
        moment = datetime.fromisoformat(whole)
        shift = moment.utcoffset() or timedelta()
        moment.astimezone(UTC) if offset else None
    except (ValueError, OverflowError):
        raise SeriesError(f"{_quoted(text)} is not a date of the calendar", line=line) from None
    form = "offset" if offset else "naive" if clock else "date" if day else "month"
    return form, moment.replace(tzinfo=None), shift


def _number(text: str, line: int) -> Decimal | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise SeriesError(f"{_quoted(text)} is not a finite decimal number", line=line)
    number = Decimal(text)
    if number and not -_MAX_POWER <= number.adjusted() <= _MAX_POWER:
        raise SeriesError(f"{_quoted(text)} is beyond 1e{_MAX_POWER} or under its like", line=line)
    return number


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _check_form(rows: list[_Row]) -> None:
    row = rows[-1]
    if len(rows) > MAX_ROWS:
        raise SeriesError(f"has more than {MAX_ROWS} rows", line=row.line)
    if row.form != rows[0].form:
        raise SeriesError(
            f"has another form of date than line {rows[0].line}: use one form throughout",
            line=row.line,
        )


def _check_not_finer(rows: Sequence[_Row], interval: str, seen: str | None, gaps: str) -> None:
    told = {"month": "month", "date": "day"}.get(rows[0].form, "hour")
    least = told if gaps == "zero" or seen is None else seen
    if is_finer(interval, least):
        raise SeriesError(
            f"is finer than the series: its dates are {least}s, which cannot be split into "
            f"{interval}s",
            field="interval",
        )


def _is_one_a_month(rows: Sequence[_Row], interval: str, gaps: str) -> bool:
    """Whether rows on whatever day of their months are the months that the caller calls them."""
    if interval != "month" or gaps == "zero" or len(rows) == 1:
        return False
    return all(months_between(before.local, row.local) for before, row in pairwise(rows))


def _step_of(rows: Sequence[_Row]) -> str | None:
    """The longest step that all dates keep to, and that some two of them do not leave out; None
    where no step is such. One row alone is a day, an hour if its date has a time, or a month."""
    first = rows[0]
    if len(rows) == 1:
        return {"month": "month", "date": "day"}.get(first.form, "hour")
    if _are_months(rows):
        between = [months_between(first.local, row.local) for row in rows]
        return "month" if gcd(*between) == 1 else None
    spans = [row.local - first.local for row in rows]
    if not any(span % _DAY for span in spans):
        days = gcd(*(span // _DAY for span in spans))
        return {1: "day", 7: "week"}.get(days)
    hours = [row.utc - first.utc for row in rows]
    whole = not any(span % _HOUR for span in hours)
    return "hour" if whole and gcd(*(span // _HOUR for span in hours)) == 1 else None


def _are_months(rows: Sequence[_Row]) -> bool:
    """One row a month, at the same day and time of each, or on the last day of each."""
    first = rows[0]
    if first.form == "month":
        return True
    anchor = _anchor(rows)
    for row in rows[1:]:
        months = months_between(first.local, row.local)
        # Whoever writes the 28th for the end of February may do so in leap years too.
        is_short = row.local.month == 2 and row.local.day == 28 < anchor
        if not months or month_after(first.local, months, 28 if is_short else anchor) != row.local:
            return False
    return True


def _anchor(rows: Sequence[_Row]) -> int:
    if all((row.local + _DAY).month != row.local.month for row in rows):
        return MONTH_END
    return max(row.local.day for row in rows)


def _no_step(rows: Sequence[_Row]) -> SeriesError:
    return SeriesError(
        "the dates are not at steps of one hour, day, week or month"
        f" (from {rows[0].local.isoformat()} on): name the interval to add up by",
        field="interval",
    )


def _place(rows: Sequence[_Row], step: str) -> tuple[Series, set[int]]:
    """Each row at its own step, counted from the first row; no two rows are in one step."""
    clock = [row.clock(step) for row in rows]
    anchor = _anchor(rows) if step == "month" else 1
    places = [steps_from(clock[0], moment, step) for moment in clock]
    _check_length(places[-1] + 1)
    values: list[Decimal | None] = [None] * (places[-1] + 1)
    for place, row in zip(places, rows, strict=True):
        values[place] = row.value
    first, last = rows[0], rows[-1]
    return (
        Series(step, clock[0], tuple(values), first.form, last.offset, anchor, first.separator),
        set(places),
    )


def _with_absent(rows: Sequence[_Row], step: str, gaps: str) -> list[_Row]:
    """The rows with one more for each step that has none, so that its sum is told of it."""
    clock = [row.clock(step) for row in rows]
    _check_length(steps_from(clock[0], clock[-1], step) + 1)
    value = Decimal(0) if gaps == "zero" else None
    whole = [rows[0]]
    for before, row in pairwise(rows):
        after = Series(step, before.clock(step), (None,))
        shift = before.local - after.start
        absent = steps_from(after.start, row.clock(step), step) - 1
        for index in range(1, absent + 1):
            whole.append(replace(before, local=after.moment(index) + shift, value=value))
        whole.append(row)
    return whole


def _add_up(rows: Sequence[_Row], step: str, seen: str | None) -> tuple[Series, set[int]]:
    """Sums over calendar steps, of which the first and last count only if rows fill them: a row
    of the step that the dates keep (`seen`) begins and ends it."""
    clock = [row.clock(step) for row in rows]
    start = first_moment(clock[0], step)
    places = [steps_from(start, moment, step) for moment in clock]
    _check_length(places[-1] + 1)
    values = tuple(sums(places, [row.value for row in rows]))
    form = rows[0].form if step == "hour" else "date"
    separator = rows[0].separator
    series = Series(step, start, values, form, rows[-1].offset, separator=separator)
    since, until = 0, len(series)
    if seen is not None:
        after = Series(seen, clock[-1], (None,)).moment(1)
        since = int(clock[0] != start)
        until -= int(after < series.moment(until))
    if since >= until:
        raise SeriesError(f"does not cover one whole {step}", field="interval")
    kept = replace(series, start=series.moment(since), values=values[since:until])
    return kept, {place - since for place in places if since <= place < until}


def _check_length(steps: int) -> None:
    if steps > MAX_STEPS:
        raise SeriesError(f"spans more than {MAX_STEPS} steps", field="series")
