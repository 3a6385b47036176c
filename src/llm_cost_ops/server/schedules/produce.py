"""What can be delivered: kinds of files, checked when a schedule is made and made when it runs.

A kind says which permissions it needs, and makes a file of a period; `kinds` has the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.focus.columns import COLUMNS
from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.money import plain
from llm_cost_ops.core.period import Window
from llm_cost_ops.core.permissions import normalise
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.pricing.rate import UNPRICED
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import (
    END_NAMES,
    PERIOD_NAMES,
    START_NAMES,
    ZONE_NAMES,
    Home,
)
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.summary import summary
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.exports.asked import (
    BILLING_PERIOD,
    Sources,
    Wanted,
    kind_named,
    wanted_of,
)
from llm_cost_ops.server.exports.books import as_booked
from llm_cost_ops.server.exports.records import TYPES as RECORDS
from llm_cost_ops.server.exports.tally import Tally

Parameters = Mapping[str, Any]
_OWN_NAMES = (*START_NAMES, *END_NAMES, *PERIOD_NAMES, *ZONE_NAMES, BILLING_PERIOD, "days",
              "organization_id")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """A file to be: `stem` and `suffix` are the parts of its name, `facts` what a message says of
    it, in order, asked when the file is written."""

    stem: str
    suffix: str
    media_type: str
    chunks: Iterator[bytes]
    facts: Callable[[], Mapping[str, str]]


class Producer(Protocol):
    """A kind of file."""

    @property
    def permissions(self) -> tuple[str, ...]:
        """What its owner must hold."""
        ...

    def needs(self, parameters: Parameters, /) -> tuple[str, ...]:
        """What else its owner, and who reads a file of somebody else, must hold."""
        ...

    def check(self, parameters: Parameters, principal: Principal, at: Home) -> None:
        """Raises Problem for parameters that cannot be."""
        ...

    def make(
        self,
        database: Database,
        parameters: Parameters,
        principal: Principal,
        at: Home,
        window: Window,
    ) -> Made:
        """The file about a period; `at.now` is the slot. Raises Problem, and FilesMissing."""
        ...


def demanded(producer: Producer, parameters: Parameters) -> tuple[str, ...]:
    """The permissions that making a file takes, and reading it. Raises DomainError."""
    named = (*producer.permissions, *producer.needs(parameters))
    return tuple(dict.fromkeys(normalise(each) for each in named))


class ParametersError(DomainError):
    """A parameter that belongs to the schedule and not to the file."""


class Exports:
    """Exports of calls, as `GET /costs/export` makes them."""

    permissions = ("read:costs", "export:data")

    def needs(self, _parameters: Parameters, /) -> tuple[str, ...]:
        return ()

    def check(self, parameters: Parameters, principal: Principal, at: Home) -> None:
        self._wanted(parameters, principal, at)

    def make(
        self,
        database: Database,
        parameters: Parameters,
        principal: Principal,
        at: Home,
        window: Window,
    ) -> Made:
        found = self._wanted(parameters, principal, at).of_period(window)
        wanted, name = as_booked(database, principal.organization_id, found)
        sources = Sources(database, PriceBook.packaged, at.currency, name, to_micros(at.now))
        tally = CallTally()

        return Made(
            wanted.name.removesuffix(wanted.form.suffix),
            wanted.form.suffix,
            wanted.form.media_type,
            wanted.chunks(sources, tally),
            lambda: written_totals(tally, at.currency),
        )

    def _wanted(self, parameters: Parameters, principal: Principal, at: Home) -> Wanted:
        refuse_own(parameters)
        if kind_named(parameters.get("type")) in RECORDS:
            raise ParametersError("must be of calls: costs, usage, calls, aggregates", field="type")
        # Days and printed instants are those of the schedule's zone, which is that of `at`.
        asked = Asked({**parameters, ZONE_NAMES[0]: at.time_zone}, in_url=False)
        return wanted_of(asked, principal, at)


def refuse_own(parameters: Parameters) -> None:
    """Raises ParametersError for a period or a zone among the parameters of a file."""
    for name in parameters:
        if name in _OWN_NAMES:
            message = "belongs to the schedule: name its period and its timezone"
            raise ParametersError(message, field=name)


_CURRENCY, _STATUS, _CALLS = (
    list(COLUMNS).index(name) for name in ("BillingCurrency", "x_CostStatus", "x_RequestCount")
)


class CallTally(Tally):
    """Of FOCUS rows also the calls by currency, with a price and without one: a cost of 0 is what
    the specification wants there, and unknown. What corrections take back is no call of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.priced: dict[str, Decimal] = {}
        self.unpriced: dict[str, Decimal] = {}

    def of_pages(self, pages: Iterator[list[Any]]) -> Iterator[list[Any]]:
        """The same pages of rows, counted."""
        for page in super().of_pages(pages):
            for row in page:
                count = row[_CALLS]
                if count is not None and count > 0:
                    found = self.unpriced if row[_STATUS] == UNPRICED else self.priced
                    found[row[_CURRENCY]] = found.get(row[_CURRENCY], _NONE) + count
            yield page

    def told(self) -> dict[str, Decimal | None]:
        """What is billed by currency; None where no call has a price and nothing is known."""
        unknown = self.unpriced.keys() - self.priced.keys()
        return {
            currency: None if not billed and currency in unknown else billed
            for currency, billed in self.billed.items()
        }


_NONE = Decimal(0)
_COSTS = ("total_cost", "cost", "amount", "calculated_cost")
"""The names that a column of costs may have."""


def written_totals(tally: CallTally, currency: str) -> dict[str, str]:
    """Calls and cost of what a file holds, as far as its columns tell: counted while it is written,
    so that they are those of the file whatever arrives meanwhile. `currency` is that of nothing."""
    found = tally.totals()
    name = next((each for each in _COSTS if each in tally.names), None)
    costs: dict[str, Any] = dict(tally.told())
    if name is not None:
        costs = {str(row.get("currency") or ""): row[name] for row in found}
        costs = costs or {currency: Decimal(0)}
    facts: dict[str, str] = {}
    for unit, cost in costs.items():
        label = "Total cost" if len(costs) == 1 else f"Total cost ({unit})"
        facts[label] = "not priced yet" if cost is None else f"{unit} {plain(cost)}".strip()
    if "requests" in tally.names:
        facts["Requests"] = f"{sum(int(str(row['requests'] or 0)) for row in found):,}"
    else:
        facts["Rows"] = f"{tally.rows:,}"
    unpriced = sum(int(str(row.get("unpriced_count") or 0)) for row in found)
    unpriced += int(sum(tally.unpriced.values()))
    if unpriced:
        facts["Without a price"] = f"{unpriced:,}"
    return facts


def totals(database: Database, selection: Selection, at: Home) -> dict[str, str]:
    """Calls and cost of a selection, for a message that stands beside the file."""
    with read(database) as session:
        found = summary(session, selection, at)
    each: Any = found.get("currencies") or [found]
    facts: dict[str, str] = {}
    for row in each:
        cost = row["total_cost"]
        label = "Total cost" if len(each) == 1 else f"Total cost ({row['currency']})"
        facts[label] = "not priced yet" if cost is None else f"{row['currency']} {plain(cost)}"
    facts["Requests"] = f"{found['total_requests']:,}"
    if found["unpriced_count"]:
        facts["Without a price"] = f"{found['unpriced_count']:,}"
    return facts
