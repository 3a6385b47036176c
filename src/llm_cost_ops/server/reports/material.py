"""What reports read: groups of calls in one currency, and the request that answers each figure.

Groups come from the rollups wherever those can answer. Amounts of other currencies are converted by
the rates of the organization; without a rate they stay apart and are named, never added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from llm_cost_ops.core.buckets import Buckets, buckets
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.exchange import ExchangeRate, ExchangeRates, converted_parts
from llm_cost_ops.core.instant import format_micros, to_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.period import ALL_TIME, DAY_US, HOUR_US, Window, local_day
from llm_cost_ops.core.report.compare import whole_days
from llm_cost_ops.server.analytics.aggregate import dimensions
from llm_cost_ops.server.analytics.fields import Dimension
from llm_cost_ops.server.analytics.groups import Groups
from llm_cost_ops.server.analytics.pieces import needs_calls
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.analytics.selection import Grouping, grouping
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.db.session import ReadSession
from llm_cost_ops.server.rates import store as rates
from llm_cost_ops.server.reports.asked import Wanted
from llm_cost_ops.server.reports.sums import Sums

API = "/api/v1"
_MODELS = ("provider", "model")
_CHARGED = {"chargeback", "statements"}
_BY_MODEL = {"breakdown", "drivers", "executive", "optimization", "cache", "tokens"}
SHORT_DAYS, LONG_DAYS = 62, 400
Names = tuple[str | None, ...]
Grouped = dict[Names, Totals]


class ReportError(DomainError):
    """A report that cannot be made as it was asked for."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A period that the report's is compared with: its groups in the report's currency, and by
    currency what no rate converts."""

    window: Window
    groups: Grouped
    elsewhere: Mapping[str, Totals]

    @property
    def totals(self) -> Totals:
        """Of all groups, for those that share no call."""
        return total_of(self.groups)


@dataclass
class Material:
    """The reads of one report in one transaction, so that its figures belong together."""

    session: ReadSession
    wanted: Wanted
    at: Home
    currency: str = ""
    overview: Totals = field(default_factory=Totals)
    elsewhere: dict[str, Totals] = field(default_factory=dict[str, Totals])
    """Of the report's period, by currency: what no rate converts."""
    used: dict[str, ExchangeRate] = field(default_factory=dict[str, ExchangeRate])
    _sums: Sums = field(init=False)
    _trends: dict[tuple[str, ...], Grouped] = field(
        default_factory=dict[tuple[str, ...], "Grouped"]
    )

    def __post_init__(self) -> None:
        """Settles the currency. Raises ReportError for a rate that is missing."""
        self._sums = Sums(self.session, dimensions(_wide(self.wanted)))
        groups = self._read((), self.wanted.selection.window)
        priced = sorted({str(key[-1]) for key, totals in groups.items() if not totals.is_unpriced})
        self.currency = self.wanted.currency or self._usual(groups, priced)
        self.overview = self._settled(groups, self.elsewhere).get((), Totals())
        self._check(self.elsewhere)

    def _check(self, elsewhere: Mapping[str, Totals]) -> None:
        if self.wanted.currency is not None and elsewhere:
            missing = ", ".join(sorted(elsewhere))
            raise ReportError(f"has no rate of {missing} to {self.currency}", field="rates")

    def _usual(self, groups: Groups, priced: Sequence[str]) -> str:
        """The organization's own currency where something was spent in it or can be converted to
        it, else the one of most calls."""
        home = self.at.currency
        if not priced or home in priced or all(self._rate(each, home) for each in priced):
            return home
        return max(priced, key=lambda each: sum(
            totals.requests for key, totals in groups.items() if key[-1] == each
        ))  # fmt: skip

    def groups(self, names: Sequence[str], window: Window | None = None) -> Grouped:
        """Totals by the values of dimensions, in the report's currency."""
        return self._settled(self._read(names, window or self.wanted.selection.window), {})

    def earlier(self, names: Sequence[str]) -> Earlier | None:
        """The same of the period compared with, if any. Raises ReportError for a missing rate."""
        return None if self.wanted.before is None else self.of(names, self.wanted.before)

    def of(self, names: Sequence[str], window: Window) -> Earlier:
        """The same of another period, and what of it no rate converts. Raises ReportError where
        every other currency needs a rate."""
        elsewhere: dict[str, Totals] = {}
        groups = self._settled(self._read(names, window), elsewhere)
        self._check(elsewhere)
        return Earlier(window, groups, elsewhere)

    def trend(self, names: Sequence[str]) -> tuple[Buckets, dict[Names, list[Totals]]]:
        """The buckets of the period up to now, and by the values of dimensions a totals for each of
        them. The dimensions are none of time: the buckets are that."""
        made = self.buckets()
        settled = self._trends.get(tuple(names))
        if settled is None:
            # Settled together, so that the buckets sum to the converted whole.
            settled = self._settled(self._in_buckets(names, made), {})
            self._trends[tuple(names)] = settled
        places = {made.label(place): place for place in range(len(made))}
        found: dict[Names, list[Totals]] = {}
        for key, totals in settled.items():
            row = found.setdefault(key[1:], [Totals() for _ in range(len(made))])
            row[places[str(key[0])]] = totals
        return made, found

    def buckets(self) -> Buckets:
        """Days of a short period, weeks of a longer one, else months; up to now."""
        selection = self.wanted.selection
        window = selection.window
        months = (Dimension("month", grain="month"),)
        recorded = grouping(self.session, selection, months)[0].window
        start = recorded.start_us if window.start_us <= ALL_TIME.start_us else window.start_us
        until = min(window.end_us, to_micros(self.at.now) + 1)
        if not recorded.is_empty:
            until = max(until, recorded.end_us)
        window = Window(start, max(start + 1, until))
        days = (window.end_us - window.start_us) // DAY_US
        grain = "day" if days <= SHORT_DAYS else "week" if days <= LONG_DAYS // 2 else "month"
        return buckets(window, grain, selection.zone)

    def query(
        self,
        path: str,
        window: Window | None = None,
        **more: str | Sequence[str] | int,
    ) -> str:
        """The request that answers the same figures; one with filters has a body."""
        selection = self.wanted.selection
        when = shown_window(window or selection.window, self.wanted)
        params: dict[str, Any] = {**when, "timezone": selection.zone.key, **more}
        if self.wanted.filters:
            if path.startswith("/costs") and "group_by" not in params:
                params["metrics"] = ("sum", "count")
            body = dumps({**self.wanted.filters, **_listed(params)})
            return f"POST {API}{'/costs/query' if path.startswith('/costs') else path} {body}"
        flat = {k: v if isinstance(v, str | int) else ",".join(v) for k, v in params.items()}
        return f"GET {API}{path}?{urlencode(flat, quote_via=quote, safe=',:/')}"

    def _in_buckets(self, names: Sequence[str], made: Buckets) -> Groups:
        """The groups of every bucket, the label of which comes first in the key: by one statement
        where rows of the rollups make the buckets, else each by its own window."""
        width = DAY_US if all(edge % DAY_US == 0 for edge in made.edges) else HOUR_US
        own = self.wanted.selection.window
        if any(edge % width for edge in made.edges) or (width == HOUR_US and made.grain != "day"):
            found: Groups = {}
            for place in range(len(made)):
                window = Window(made.edges[place], made.edges[place + 1]).clip(own)
                for key, totals in self._read(names, window).items():
                    found[(made.label(place), *key)] = totals
            return found
        selection = self.wanted.selection.within(Window(made.edges[0], made.edges[-1]).clip(own))
        wanted = dimensions((made.grain, *names))
        return self._sums.read(selection, Grouping(wanted, {made.grain: made}))

    def _read(self, names: Sequence[str], window: Window) -> Groups:
        selection = self.wanted.selection.within(window)
        bounded, by = grouping(self.session, selection, dimensions(names))
        return self._sums.read(bounded, by)

    def _settled(self, groups: Groups, elsewhere: dict[str, Totals]) -> Grouped:
        """The groups in the report's currency. Calls without a price have no amount, so they are
        in every currency."""
        found: Grouped = {}
        foreign: dict[str, list[tuple[Names, Totals]]] = {}
        for key, totals in sorted(groups.items(), key=lambda item: str(item[0])):
            place, currency = key[:-1], str(key[-1])
            if currency == self.currency or totals.is_unpriced:
                _add(found, place, totals)
            else:
                foreign.setdefault(currency, []).append((place, totals))
        for currency, each in foreign.items():
            rate = self.used.get(currency) or self._rate(currency, self.currency)
            if rate is None:
                for _, totals in each:
                    _add(elsewhere, currency, totals)
                continue
            self.used[currency] = rate
            for place, totals in _converted(each, rate.rate):
                _add(found, place, totals)
        return found

    def _rate(self, currency: str, to: str) -> ExchangeRate | None:
        """The rate of the last day of the period: one for the whole report. Those of the request
        come before those that the organization keeps."""
        end = min(self.wanted.selection.window.end_us, to_micros(self.at.now))
        day = local_day(end - 1, self.wanted.selection.zone)
        given = ExchangeRates(self.wanted.rates).on(currency, to, day)
        if given is not None:
            return given
        organization_id = self.wanted.selection.organization_id
        kept = rates.rate_on(self.session, organization_id, currency, to, day)
        return None if kept is None else kept.rate


def _wide(wanted: Wanted) -> tuple[str, ...]:
    """What the sections will ask for of calls that they share, if no rollup answers: the models
    of each that is charged, or with filters models in any case."""
    sections = {name for name, _ in wanted.plan}
    if sections & _CHARGED:
        return (wanted.charge_by, *_MODELS)
    selection = wanted.selection
    if sections & _BY_MODEL and needs_calls(selection, Grouping((), {})):
        return (*_MODELS, *(() if wanted.group_by else ("project_id",)))
    return ()


def shown_window(window: Window, wanted: Wanted) -> dict[str, str]:
    """A window as parameters: dates for whole days, else instants; none for open ends."""
    open_start = window.start_us <= ALL_TIME.start_us
    open_end = window.end_us >= ALL_TIME.end_us
    if not open_start and not open_end and not window.is_empty:
        days = whole_days(window, wanted.selection.zone)
        if days is not None:
            return {"start_date": days[0].isoformat(), "end_date": days[1].isoformat()}
    shown = {} if open_start else {"start_date": format_micros(window.start_us)}
    return shown if open_end else {**shown, "end_date": format_micros(window.end_us)}


def period_text(window: Window, wanted: Wanted) -> str:
    """A window for people."""
    shown = shown_window(window, wanted)
    if not shown:
        return "all time"
    start, end = shown.get("start_date"), shown.get("end_date")
    if start == end and start is not None:
        return start
    return " to ".join(each for each in (start or "the first call", end or "now"))


def last_moment(window: Window, at: Home) -> int:
    """The last instant of a window that is not after now, in microseconds."""
    return min(window.end_us, to_micros(at.now + timedelta(microseconds=1))) - 1


def total_of(groups: Mapping[Names, Totals]) -> Totals:
    """The sum of groups that share no call."""
    found = Totals()
    for totals in groups.values():
        found.add(totals)
    return found


def ratio(part: int, whole: int) -> Decimal | None:
    """A share to six places, half-even; None of nothing."""
    return None if whole == 0 else (Decimal(part) / whole).quantize(Decimal("0.000001"))


def _listed(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v if isinstance(v, str | int) else list(v) for k, v in params.items()}


def _add(found: dict[Any, Totals], place: object, totals: Totals) -> None:
    known = found.get(place)
    if known is None:
        found[place] = replace(totals)
    else:
        known.add(totals)


def _converted(each: Sequence[tuple[Names, Totals]], rate: Decimal) -> list[tuple[Names, Totals]]:
    """Groups of one currency in another; their sum is the converted sum."""
    costs = converted_parts([totals.cost for _, totals in each], rate)
    lists = converted_parts([totals.list_cost for _, totals in each], rate)
    ends = [
        [None if end is None else converted_parts([end], rate)[0] for end in (t.low, t.high)]
        for _, t in each
    ]
    return [
        (place, replace(totals, cost=cost, list_cost=listed, low=low, high=high))
        for (place, totals), cost, listed, (low, high) in zip(each, costs, lists, ends, strict=True)
    ]
