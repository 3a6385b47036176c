"""What was spent as dated series: the ledger's sums by steps of the organization's time zone.

The step that is not over and one that the asked period cuts are left out and told of. A step
without a call is zero; one whose calls are all without a price is unknown. Hours are those of UTC,
so that a clock change neither doubles nor loses one; days, weeks and months are the zone's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from llm_cost_ops.core.buckets import Buckets, buckets
from llm_cost_ops.core.errors import InsufficientData
from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.core.money import from_e10
from llm_cost_ops.core.period import DAY_US, PeriodError, Window
from llm_cost_ops.core.series import Series, steps_from
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.analytics.groups import read_groups
from llm_cost_ops.server.analytics.selection import Grouping, Selection, grouping
from llm_cost_ops.server.analytics.sources import BASE
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession

LONGEST_DAYS: Mapping[str, int] = {"hour": 56, "day": 1100, "week": 3640, "month": 7300}
"""How far back is looked: as far as a forecast would."""
_FORMS = {"hour": "offset", "month": "month"}
NONE = "(none)"
"""The value of calls that do not have the dimension."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series: a value of the dimensions and a currency, a total for each bucket with calls."""

    values: tuple[str, ...]
    currency: str
    totals: Mapping[int, Totals]

    @property
    def spent_e10(self) -> int:
        return sum(each.cost for each in self.totals.values())

    @property
    def is_priced(self) -> bool:
        """Whether some bucket has calls with a price."""
        return any(not totals.is_unpriced for totals in self.totals.values())


@dataclass(frozen=True, slots=True)
class History:
    """Lines over common buckets; bucket i is in every line under i. `partial` are the buckets that
    were left out at an end, as (label, why, their totals by currency)."""

    step: str
    made: Buckets
    lines: tuple[Line, ...]
    partial: tuple[tuple[str, str, Mapping[str, Totals]], ...] = field(default=())

    def window(self, first: int, until: int) -> Window:
        """The buckets from one to before another."""
        return Window(self.made.edges[first], self.made.edges[until])


def read_history(
    session: ReadSession,
    selection: Selection,
    step: str,
    by: Iterable[Dimension] = (),
    *,
    now_us: int,
    days: int | None = None,
) -> History:
    """The whole steps of a selection's window before now, at most `days` back.

    Raises InsufficientData where no step is over, PeriodError of `interval` where there are too
    many, and what `read_groups` raises.
    """
    zone = ZoneInfo("UTC") if step == "hour" else selection.zone
    grain = Dimension(step, grain=step)
    asked = Selection(selection.organization_id, selection.window, zone, selection.conditions)
    end_us = min(asked.window.end_us, now_us)
    start_us = max(asked.window.start_us, end_us - (days or LONGEST_DAYS[step]) * DAY_US)
    asked_of = asked.within(Window(start_us, max(start_us, end_us)))
    try:
        bounded, _ = grouping(session, asked_of, (grain,))
    except PeriodError as error:  # nobody grouped by anything
        raise PeriodError(error.message, field="interval") from None
    first_us = bounded.window.start_us
    if bounded.window.is_empty:
        raise InsufficientData("Insufficient data: nothing was spent in this period")
    made = buckets(Window(first_us, max(end_us, first_us + 1)), step, zone, "interval")
    dimensions = (grain, *by)
    wanted = Grouping(dimensions, {step: made})
    window = Window(made.edges[0], end_us)
    groups = read_groups(session, asked.within(window), wanted, BASE)
    places = {made.label(index): index for index in range(len(made))}
    found: dict[tuple[tuple[str, ...], str], dict[int, Totals]] = defaultdict(dict)
    for key, totals in groups.items():
        label, *values, currency = key
        named = tuple(NONE if value is None else value for value in values)
        found[named, str(currency)][places[str(label)]] = totals
    lines = [Line(values, currency, totals) for (values, currency), totals in found.items()]
    first = 0 if _begins_whole(step, made.edges[0], start_us, first_us) else 1
    return _whole(step, made, lines, first, end_us)


def _begins_whole(step: str, edge_us: int, start_us: int, first_us: int) -> bool:
    """Whether the first bucket is all there. What lies before the organization's first call is
    known to be nothing, but a week or month that use began in is not like the others."""
    if first_us <= start_us:
        return edge_us >= start_us
    return step in ("hour", "day") or edge_us + DAY_US >= first_us


def _whole(step: str, made: Buckets, lines: list[Line], first: int, end_us: int) -> History:
    """Without the buckets that are not whole: those before `first`, and those not over."""
    until = len(made)
    while until > first and made.edges[until] > end_us:
        until -= 1
    partial: list[tuple[str, str, Mapping[str, Totals]]] = []
    reasons = [(index, "begins before the period") for index in range(first)]
    reasons += [(index, "is not over") for index in range(until, len(made))]
    for index, reason in reasons:
        sums: dict[str, Totals] = {}
        for line in lines:
            if index in line.totals:
                sums.setdefault(line.currency, Totals()).add(line.totals[index])
        partial.append((made.label(index), reason, sums))
    if until <= first:
        raise InsufficientData(f"Insufficient data: no {step} is over in this period")
    kept = Buckets(made.grain, made.zone, made.edges[first : until + 1])
    moved = [
        Line(
            line.values,
            line.currency,
            {i - first: t for i, t in line.totals.items() if first <= i < until},
        )
        for line in lines
    ]
    return History(step, kept, tuple(moved), tuple(partial))


def moment_of(made: Buckets, index: int) -> datetime:
    """When a bucket begins, on the clock of its series: naive."""
    local = from_micros(made.edges[index]).astimezone(made.zone).replace(tzinfo=None)
    if made.grain == "hour":
        return from_micros(made.edges[index]).astimezone(UTC).replace(tzinfo=None)
    return datetime.combine(local.date(), time())


def series_of(history: History, totals: Mapping[int, Totals], first: int = 0) -> Series:
    """The cost of each bucket from `first` on. A date that the zone skipped has no value."""
    made = history.made
    start = moment_of(made, first)
    count = steps_from(start, moment_of(made, len(made) - 1), history.step) + 1
    filled: list[Decimal | None] = [None] * count
    for index in range(first, len(made)):
        place = steps_from(start, moment_of(made, index), history.step)
        known = totals.get(index)
        unknown = known is not None and known.is_unpriced
        filled[place] = None if unknown else from_e10(0 if known is None else known.cost)
    form = _FORMS.get(history.step, "date")
    return Series(history.step, start, tuple(filled), form)


def first_used(line: Line) -> int:
    """The first bucket with a call."""
    return min(line.totals)
