"""A month of costs as entries of a general ledger: debits by cost centre, project and team, credits
by provider, each document in one currency and balanced to its smallest unit.

Costs have ten places, ledgers two. The month's total is rounded once, half-even; each line gets its
amount rounded down or up, those with the largest remainders up, so that the lines are the total.
Every line says its exact amount, and the document what rounding added or took away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from math import floor

from llm_cost_ops.core.csvcell import line as csv_line
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import EXACT, from_e10, plain

_PLACES = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Places of the smallest unit of a currency where they are not two (ISO 4217)."""
COLUMNS = (
    "document", "line", "posting_date", "period", "account", "debit", "credit", "currency",
    "cost_center", "project", "team", "provider", "exact_amount", "text",
)  # fmt: skip


class JournalError(DomainError):
    """A journal that cannot be written."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the calls of a provider, project and team cost in a month, in units of 1e-10; and how
    many of them have no price, so that their cost is not in it."""

    provider: str
    project: str | None
    team: str | None
    currency: str
    cost_e10: int
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """Where costs are booked; None leaves it to what is less special."""

    account: str | None = None
    cost_center: str | None = None


@dataclass(frozen=True, slots=True)
class Accounts:
    """The mapping to accounts. A project's own target stands before its team's, then that of the
    cost centre, then `debit`. `credit` is the accrued liability, unless a provider has its own."""

    debit: str
    credit: str
    cost_center: str | None = None
    projects: Mapping[str, Target] = field(default_factory=dict[str, Target])
    teams: Mapping[str, Target] = field(default_factory=dict[str, Target])
    cost_centers: Mapping[str, str] = field(default_factory=dict[str, str])
    providers: Mapping[str, str] = field(default_factory=dict[str, str])

    def target(self, cost: Cost) -> tuple[str, str | None]:
        """The account and the cost centre of a cost."""
        project = self.projects.get(cost.project or "", Target())
        team = self.teams.get(cost.team or "", Target())
        center = project.cost_center or team.cost_center or self.cost_center
        of_center = self.cost_centers.get(center or "")
        return project.account or team.account or of_center or self.debit, center


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document. `amount` counts smallest units of the currency: positive ones are
    debits, negative ones credits. `is_owed` marks the accrued liability of a provider."""

    account: str
    amount: int
    exact_e10: int
    cost_center: str | None
    project: str | None
    team: str | None
    provider: str
    is_owed: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A balanced document: its lines add up to zero. `reverses` is the number of the document that
    it takes back."""

    number: str
    posting_date: date
    period: str
    currency: str
    lines: tuple[Line, ...]
    reverses: str | None = None

    @property
    def total(self) -> Decimal:
        """The month's total in the currency's smallest units; of a reversal, what it takes back."""
        amount = sum(line.amount for line in self.lines if not line.is_owed)
        return units(amount if self.reverses is None else -amount, self.currency)

    @property
    def exact(self) -> Decimal:
        """The same, exact."""
        e10 = sum(line.exact_e10 for line in self.lines if not line.is_owed)
        return from_e10(e10 if self.reverses is None else -e10)

    @property
    def rounding(self) -> Decimal:
        """What rounding added to the exact total, or (negative) took from it."""
        return EXACT.subtract(self.total, self.exact)


def places_of(currency: str) -> int:
    """Places of the smallest unit of a currency: 2 unless ISO 4217 says otherwise."""
    return _PLACES.get(currency, 2)


def units(amount: int, currency: str) -> Decimal:
    """Smallest units as an amount with all places of the currency."""
    return Decimal(amount).scaleb(-places_of(currency), EXACT)


def documents(
    costs: Iterable[Cost],
    accounts: Accounts,
    period: date,
    *,
    posting_date: date | None = None,
    number: str = "LLM",
    reverse: bool = False,
) -> list[Document]:
    """A document per currency for the month that begins with `period`, posted on its last day
    unless another is named; with `reverse` each is taken back on the first day of the next month.

    Raises JournalError for a posting date before the month or, with `reverse`, after it.
    """
    following = _following(period)
    posted = posting_date or following - timedelta(days=1)
    if posted < period:
        raise JournalError("must not be before the month", field="posting_date")
    if reverse and posted >= following:
        raise JournalError("must be within the month that is reversed", field="posting_date")
    month = f"{period:%Y-%m}"
    made: list[Document] = []
    by_currency: dict[str, list[Cost]] = {}
    for cost in costs:
        by_currency.setdefault(cost.currency, []).append(cost)
    for currency in sorted(by_currency):
        lines = _lines(by_currency[currency], accounts, currency)
        if not lines:
            continue
        name = f"{number}-{month}-{currency}"
        made.append(Document(name, posted, month, currency, lines))
        if reverse:
            back = tuple(_reversed(line) for line in lines)
            made.append(
                Document(f"{name}-R", following, f"{following:%Y-%m}", currency, back, name)
            )
    return made


def rounded(parts_e10: Sequence[int], places: int) -> list[int]:
    """Amounts in units of 1e-10 in smallest units that add up to the sum, rounded half-even
    (largest remainder; ties go to the earlier)."""
    scale = 10 - places
    exact = [Decimal(part).scaleb(-scale, EXACT) for part in parts_e10]
    total = int(
        Decimal(sum(parts_e10))
        .scaleb(-scale, EXACT)
        .to_integral_value(rounding=ROUND_HALF_EVEN, context=EXACT)
    )
    found = [floor(value) for value in exact]
    rest = [EXACT.subtract(value, part) for value, part in zip(exact, found, strict=True)]
    order = sorted(range(len(found)), key=lambda place: (-rest[place], place))
    for place in order[: total - sum(found)]:
        found[place] += 1
    return found


def csv_text(made: Sequence[Document]) -> str:
    """The documents as CSV (RFC 4180), safe for spreadsheets."""
    rows = [csv_line(COLUMNS)]
    for document in made:
        for place, line in enumerate(document.lines, 1):
            rows.append(csv_line(row(document, place, line).values()))
    return "".join(rows)


def row(document: Document, place: int, line: Line) -> dict[str, str]:
    """A line by column: amounts are digits, what is absent is empty."""
    amount = units(abs(line.amount), document.currency)
    month = f"Reversal of {document.reverses}" if document.reverses else f"LLM {document.period}"
    values = (
        document.number,
        str(place),
        document.posting_date.isoformat(),
        document.period,
        line.account,
        f"{amount:f}" if line.amount > 0 else "",
        f"{amount:f}" if line.amount < 0 else "",
        document.currency,
        line.cost_center or "",
        line.project or "",
        line.team or "",
        line.provider,
        plain(from_e10(line.exact_e10)),
        f"{month} {line.provider}",
    )
    return dict(zip(COLUMNS, values, strict=True))


def _lines(costs: Sequence[Cost], accounts: Accounts, currency: str) -> tuple[Line, ...]:
    keys: dict[tuple[str, str, str, str, str], int] = {}
    for cost in costs:
        account, center = accounts.target(cost)
        key = (cost.provider, account, center or "", cost.project or "", cost.team or "")
        keys[key] = keys.get(key, 0) + cost.cost_e10
    ordered = sorted(keys)
    amounts = rounded([keys[key] for key in ordered], places_of(currency))
    lines: list[Line] = []
    owed: dict[str, tuple[int, int]] = {}
    for key, amount in zip(ordered, amounts, strict=True):
        provider, account, center, project, team = key
        exact = keys[key]
        before = owed.get(provider, (0, 0))
        owed[provider] = before[0] + amount, before[1] + exact
        if amount or exact:
            lines.append(
                Line(account, amount, exact, center or None, project or None, team or None,
                     provider)
            )  # fmt: skip
    for provider, (amount, exact) in owed.items():
        if amount or exact:
            account = accounts.providers.get(provider, accounts.credit)
            lines.append(Line(account, -amount, -exact, None, None, None, provider, True))
    return tuple(lines)


def _reversed(line: Line) -> Line:
    return replace(line, amount=-line.amount, exact_e10=-line.exact_e10)


def _following(period: date) -> date:
    return (period.replace(day=1) + timedelta(days=32)).replace(day=1)
