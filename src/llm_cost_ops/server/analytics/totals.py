"""Exact totals of a group of calls, and what follows from them.

Averages are over priced requests: an unpriced call is counted apart and never adds a zero. Where
there are calls and none is priced, amounts are None; where there are no calls, they are 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from operator import add

from llm_cost_ops.core.money import E10, from_e10
from llm_cost_ops.server.analytics.sources import TOKENS

NO_TOKENS = (0,) * len(TOKENS)


@dataclass(slots=True)
class Totals:
    """Sums in units of 1e-10 and whole counts; `tokens` are in the order of TOKENS. What was not
    asked for is 0; `priced_tokens` None means not known here."""

    requests: int = 0
    unpriced: int = 0
    partially_priced: int = 0
    cost: int = 0
    list_cost: int = 0
    tokens: tuple[int, ...] = NO_TOKENS
    priced_tokens: int | None = 0
    low: int | None = None
    high: int | None = None

    def add(self, other: Totals) -> None:
        self.requests += other.requests
        self.unpriced += other.unpriced
        self.partially_priced += other.partially_priced
        self.cost += other.cost
        self.list_cost += other.list_cost
        self.tokens = tuple(map(add, self.tokens, other.tokens))
        if self.priced_tokens is not None:
            more = other.priced_tokens
            self.priced_tokens = None if more is None else self.priced_tokens + more
        if other.low is not None and (self.low is None or other.low < self.low):
            self.low = other.low
        if other.high is not None and (self.high is None or other.high > self.high):
            self.high = other.high

    @property
    def is_nothing(self) -> bool:
        """Whether all calls of the group were taken back."""
        return not (
            self.requests
            or self.unpriced
            or self.partially_priced
            or self.cost
            or self.list_cost
            or any(self.tokens)
        )

    @property
    def is_unpriced(self) -> bool:
        """Whether there are calls and none of them has a price."""
        return self.unpriced > 0 and self.low is None and self.cost == 0

    @property
    def total_cost(self) -> Decimal | None:
        return None if self.is_unpriced else from_e10(self.cost)

    @property
    def total_list_cost(self) -> Decimal | None:
        return None if self.is_unpriced else from_e10(self.list_cost)

    @property
    def average(self) -> Decimal | None:
        """The cost per priced request, rounded half-even to ten places."""
        return per(self.cost, self.requests - self.unpriced)

    @property
    def cost_per_1k_tokens(self) -> Decimal | None:
        """Over the tokens of priced calls."""
        if self.priced_tokens is None:
            raise LookupError("the tokens of priced calls were not read")
        return None if self.is_unpriced else per(self.cost * 1_000, self.priced_tokens)

    @property
    def tokens_per_request(self) -> Decimal | None:
        return per(self.total_tokens * E10, self.requests)

    @property
    def total_tokens(self) -> int:
        return self.tokens[0]

    def of_kind(self, name: str) -> int:
        """The tokens of a column."""
        return self.tokens[TOKENS.index(name)]


def kept(units: int | None) -> Decimal | None:
    """Units of 1e-10 as money; None stays None."""
    return None if units is None else from_e10(units)


def per(units: int, divisor: int) -> Decimal | None:
    """Units of 1e-10 divided, rounded half-even to ten places; None for a divisor of 0."""
    if divisor <= 0:
        return None
    quotient, remainder = divmod(units, divisor)
    if remainder * 2 > divisor or (remainder * 2 == divisor and quotient & 1):
        quotient += 1
    return from_e10(quotient)


def merged(parts: Iterable[Totals]) -> Totals:
    """The totals of several groups of calls that share none."""
    each = list(parts)
    priced_tokens = [part.priced_tokens for part in each]
    return Totals(
        sum([part.requests for part in each]),
        sum([part.unpriced for part in each]),
        sum([part.partially_priced for part in each]),
        sum([part.cost for part in each]),
        sum([part.list_cost for part in each]),
        tuple(map(sum, zip(NO_TOKENS, *(part.tokens for part in each), strict=True))),
        None if None in priced_tokens else sum(filter(None, priced_tokens)),
        min([part.low for part in each if part.low is not None], default=None),
        max([part.high for part in each if part.high is not None], default=None),
    )
