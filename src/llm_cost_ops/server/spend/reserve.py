"""Admission: whether something fits into every budget that it would count in, and holding it there.

All or none: an amount that one hard budget refuses is held by no other. The counters are locked by
the caller, so what fits here still fits when the transaction commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_cost_ops.core.budget import HARD, THROTTLE, Amounts, Budget
from llm_cost_ops.server.spend.counters import Counters, Place, Standing
from llm_cost_ops.server.spend.holdings import Holding

MINUTE_US = 60_000_000
MAX_HELD = 9 * 10**18
"""What a counter can hold in a signed 64-bit integer."""


@dataclass(slots=True)
class Decision:
    """The standings that were looked at, before the amount; who refuses it (`waiting` tells that it
    would fit if nothing were held), and who slows it down."""

    standings: list[Standing] = field(default_factory=list[Standing])
    refused_by: list[Standing] = field(default_factory=list[Standing])
    throttled_by: list[Standing] = field(default_factory=list[Standing])
    unpriced_for: list[Standing] = field(default_factory=list[Standing])
    currency_of: list[Standing] = field(default_factory=list[Standing])
    held: list[Place] = field(default_factory=list[Place])
    delay_ms: int = 0
    retry_after_s: int = 0
    waiting: bool = False

    @property
    def admitted(self) -> bool:
        return not (self.refused_by or self.throttled_by or self.unpriced_for or self.currency_of)


def decide(
    counters: Counters,
    budgets: Sequence[Budget],
    amounts: Amounts,
    currency: str,
    *,
    priced: bool,
    now_us: int,
) -> Decision:
    """Look at every budget, by id; nothing is held yet."""
    decision = Decision()
    for budget in budgets:
        standing = counters.standing(budget, now_us)
        if standing is None:
            continue
        decision.standings.append(standing)
        own = budget.counted_in(now_us)
        if own is not None:
            decision.held.append(Place(budget.id, own.start_us))
        _judge(decision, standing, counters, amounts, currency, priced, now_us)
    if decision.refused_by:
        after = [s.limits.fits(s.used.plus(amounts)) for s in decision.refused_by]
        decision.waiting = all(after)
    return decision


def _judge(
    decision: Decision,
    standing: Standing,
    counters: Counters,
    amounts: Amounts,
    currency: str,
    priced: bool,
    now_us: int,
) -> None:
    budget = standing.budget
    if budget.enforcement == HARD and budget.limits.e10 is not None:
        if not priced:
            decision.unpriced_for.append(standing)
        elif currency != budget.currency:
            decision.currency_of.append(standing)
    total = standing.used.plus(standing.held).plus(amounts)
    if budget.enforcement == HARD and not standing.limits.fits(total):
        decision.refused_by.append(standing)
    elif total.e10 > MAX_HELD or _beyond(standing.held.plus(amounts)):
        decision.refused_by.append(standing)
    if budget.enforcement == THROTTLE:
        _slow_down(decision, standing, counters, total, now_us)


def _beyond(held: Amounts) -> bool:
    return max(held.e10, held.requests, held.tokens) > MAX_HELD


def _slow_down(
    decision: Decision, standing: Standing, counters: Counters, total: Amounts, now_us: int
) -> None:
    throttling = standing.budget.throttling
    if throttling is None or standing.limits.share(total) < throttling.above:
        return
    decision.delay_ms = max(decision.delay_ms, throttling.delay_ms)
    if throttling.per_minute is None:
        return
    own = standing.budget.counted_in(now_us)
    if own is None:
        return
    counter = counters.at(Place(standing.budget.id, own.start_us))
    minute = now_us // MINUTE_US
    if counter.minute != minute:
        counter.minute, counter.minute_calls = minute, 0
    if counter.minute_calls >= throttling.per_minute:
        decision.throttled_by.append(standing)
        left_us = (minute + 1) * MINUTE_US - now_us
        decision.retry_after_s = max(decision.retry_after_s, -(-left_us // 1_000_000))


def hold(
    counters: Counters, decision: Decision, amounts: Amounts, currency: str, now_us: int
) -> list[Holding]:
    """Hold an admitted amount in every counter; which they are."""
    holdings: list[Holding] = []
    for standing, place in zip(decision.standings, decision.held, strict=True):
        counter = counters.at(place)
        holding = Holding(place, currency == standing.budget.currency)
        counter.hold(holding.of(amounts))
        counter.amount_e10 = standing.budget.limits.e10
        if standing.budget.enforcement == THROTTLE and counter.minute == now_us // MINUTE_US:
            counter.minute_calls += 1
        holdings.append(holding)
    return holdings
