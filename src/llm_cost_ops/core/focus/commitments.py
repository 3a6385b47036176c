"""Commitments: money that is paid ahead, and what calls draw from it.

A call draws its cost from the commitments of its provider and currency that run at its time: from
the one that ends first, then from the next. What none has left is billed. All calls of a time in
which no commitment begins or ends draw the same together, in whatever order they come, because no
call costs less than nothing: so sums of calls do where single calls are not asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from llm_cost_ops.core.focus.columns import FocusError
from llm_cost_ops.core.money import decimal_from_fraction, round_ratio

_NEVER = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose bill a charge is on, and who sends it. `currency` is ISO 4217."""

    organization_id: str
    currency: str
    provider: str
    organization_name: str | None = None
    invoice_issuer: str | None = None
    invoice_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """Prepaid credits, or another commitment to spend. `type` is the provider's word for it.

    `granted_e10` is what calls may cost, `paid_e10` the price of it, both in units of 1e-10 of the
    account's currency. It runs from `start_us` until before `end_us`, in microseconds since 1970;
    None is no end. `virtual_units` of the `virtual_currency` are worth one unit of the currency.
    """

    id: str
    name: str
    type: str
    account: Account
    granted_e10: int
    paid_e10: int
    start_us: int
    end_us: int | None = None
    contract_id: str | None = None
    virtual_currency: str | None = None
    virtual_units: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        if self.granted_e10 <= 0:
            raise FocusError("must be greater than 0", field="granted")
        if self.paid_e10 < 0:
            raise FocusError("must not be negative", field="amount")
        if self.end_us is not None and self.end_us <= self.start_us:
            raise FocusError("must not be before start_date", field="end_date")

    @property
    def unit_price(self) -> Decimal:
        """What was paid for one unit of the currency, half-even at twenty places."""
        return decimal_from_fraction(Fraction(self.paid_e10, self.granted_e10))

    def value_of(self, drawn_e10: int) -> int:
        """What was paid for the first `drawn_e10` of it, so that parts sum to `paid_e10`."""
        return round_ratio(self.paid_e10 * drawn_e10, self.granted_e10)

    def runs(self, at_us: int) -> bool:
        """Whether calls of an instant can draw."""
        return self.start_us <= at_us < (_NEVER if self.end_us is None else self.end_us)


class Drawn(NamedTuple):
    """What a call draws from a commitment, and what was paid for that, in units of 1e-10."""

    commitment: Commitment
    amount_e10: int
    value_e10: int


class Drawdown:
    """What commitments have left, while calls draw from them one after the other.

    `drawn` is what was drawn before, by the commitments' ids in units of 1e-10. What ended by
    `since_us` is over: what it had left has been told as unused.
    """

    def __init__(
        self,
        commitments: Sequence[Commitment],
        drawn: Mapping[str, int] | None = None,
        since_us: int = -_NEVER,
    ) -> None:
        self._drawn = {each.id: 0 for each in commitments}
        self._drawn |= {k: v for k, v in (drawn or {}).items() if k in self._drawn}
        self._running: dict[tuple[str, str], list[Commitment]] = {}
        for each in sorted(commitments, key=_order):
            if each.end_us is None or each.end_us > since_us:
                account = each.account.provider, each.account.currency
                self._running.setdefault(account, []).append(each)
        self._edges = {account: _edges_of(own) for account, own in self._running.items()}
        self._open: dict[tuple[str, str], tuple[int, list[Commitment]]] = {}
        """Of each account the place of a time among its edges, and what had something left in it
        when a call drew last: most calls are of the same time as the one before."""

    @property
    def drawn(self) -> dict[str, int]:
        """What was drawn until now, by id."""
        return dict(self._drawn)

    def of(self, commitment: Commitment) -> int:
        """What was drawn from it until now."""
        return self._drawn[commitment.id]

    def draw(self, provider: str, currency: str, at_us: int, cost_e10: int) -> tuple[Drawn, ...]:
        """Draw the cost of a call, or of calls between which no commitment begins or ends: what of
        it each commitment pays, which may be less than all."""
        account = provider, currency
        if cost_e10 <= 0 or account not in self._running:
            return ()
        found: list[Drawn] = []
        used_up = 0
        left = self._left_at(account, at_us)
        for each in left:
            before = self._drawn[each.id]
            part = min(cost_e10, each.granted_e10 - before)
            if part > 0:
                after = self._drawn[each.id] = before + part
                found.append(Drawn(each, part, each.value_of(after) - each.value_of(before)))
                cost_e10 -= part
            if not cost_e10:
                break
            used_up += 1
        del left[:used_up]
        return tuple(found)

    def _left_at(self, account: tuple[str, str], at_us: int) -> list[Commitment]:
        place = bisect_right(self._edges[account], at_us)
        known = self._open.get(account)
        if known is None or known[0] != place:
            left = [each for each in self._running[account]
                    if each.runs(at_us) and self._drawn[each.id] < each.granted_e10]  # fmt: skip
            known = self._open[account] = place, left
        return known[1]

    def edges(self, start_us: int, end_us: int) -> list[int]:
        """The start and the end of a time, and the instants between at which a commitment begins or
        ends, in order; none where nothing of it can be drawn."""
        running = [each for some in self._running.values() for each in some]
        if not any(each.start_us < end_us and each.runs(max(start_us, each.start_us))
                   for each in running):  # fmt: skip
            return []
        inside = {at for at in _edges_of(running) if start_us < at < end_us}
        return sorted({start_us, end_us, *inside})


def _edges_of(commitments: Sequence[Commitment]) -> list[int]:
    ends = {each.end_us for each in commitments if each.end_us is not None}
    return sorted(ends.union(each.start_us for each in commitments))


def _order(commitment: Commitment) -> tuple[int, int, str]:
    end = _NEVER if commitment.end_us is None else commitment.end_us
    return end, commitment.start_us, commitment.id
