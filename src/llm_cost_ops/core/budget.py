"""Budgets: what may be spent by whom in which period, and what follows when it is.

A definition is checked here and nowhere else. Amounts are units of 1e-10 of the budget's currency,
shares are millionths, times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import E10
from llm_cost_ops.core.period import ALL_TIME, Window, time_zone
from llm_cost_ops.core.recurrence import SLIDES, Recurrence, Slide
from llm_cost_ops.core.scope import WHOLE, Scope

SOFT, THROTTLE, HARD = "soft", "throttle", "hard"
ENFORCEMENTS = (SOFT, THROTTLE, HARD)
CUSTOM = "custom"
WHOLE_SHARE = 1_000_000
"""All of something in millionths."""
MAX_LIMIT_E10 = 9 * 10**18
"""900 million of a currency: the largest amount of a budget inside a signed 64-bit integer."""
MAX_COUNT = 2**53 - 1
MAX_EMPTY_PERIODS = 1_000
MAX_DEPTH = 20
"""Budgets above one another."""


class BudgetError(DomainError):
    """A budget that cannot be: a limit, period, scope, parent or change that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Money in 1e-10, requests and tokens: what is used, held or allowed."""

    e10: int = 0
    requests: int = 0
    tokens: int = 0

    def plus(self, other: Amounts) -> Amounts:
        return Amounts(
            self.e10 + other.e10, self.requests + other.requests, self.tokens + other.tokens
        )

    def minus(self, other: Amounts) -> Amounts:
        return Amounts(
            self.e10 - other.e10, self.requests - other.requests, self.tokens - other.tokens
        )


NOTHING = Amounts()


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be used in a period; None is no limit."""

    e10: int | None = None
    requests: int | None = None
    tokens: int | None = None

    def fits(self, used: Amounts) -> bool:
        """Whether as much may be used. A limit is reached, not exceeded, by its own amount."""
        return (
            (self.e10 is None or used.e10 <= self.e10)
            and (self.requests is None or used.requests <= self.requests)
            and (self.tokens is None or used.tokens <= self.tokens)
        )

    def broken(self, used: Amounts) -> tuple[str, ...]:
        """The names of the limits that as much would exceed."""
        pairs = (
            ("amount", used.e10, self.e10),
            ("request_limit", used.requests, self.requests),
            ("token_limit", used.tokens, self.tokens),
        )
        return tuple(name for name, part, whole in pairs if whole is not None and part > whole)

    def share(self, used: Amounts) -> int:
        """The largest used share of a limit in millionths, rounded down. Of a limit of 0 nothing
        used is no share, and anything more than the whole."""
        pairs = (
            (used.e10, self.e10),
            (used.requests, self.requests),
            (used.tokens, self.tokens),
        )
        return max((_share(part, whole) for part, whole in pairs if whole is not None), default=0)


def _share(part: int, whole: int) -> int:
    if whole <= 0:
        return 0 if part <= 0 else 2 * WHOLE_SHARE
    return part * WHOLE_SHARE // whole


@dataclass(frozen=True, slots=True)
class Throttling:
    """From a share of the limit on: at most `per_minute` calls a minute, or each later by
    `delay_ms`."""

    above: int
    per_minute: int | None = None
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rollover:
    """What is carried into the next period: a share of the unused amount, up to a cap."""

    share: int
    cap_e10: int | None = None

    def carried(self, unused_e10: int, amount_e10: int = 0) -> int:
        """Units of 1e-10 that go into the next period; what is overspent takes nothing along. With
        the amount of that period they are at most what a budget can have."""
        carried = max(0, unused_e10) * self.share // WHOLE_SHARE
        carried = min(carried, MAX_LIMIT_E10 - amount_e10)
        return carried if self.cap_e10 is None else min(carried, self.cap_e10)

    def across(self, carried_e10: int, amount_e10: int, empty_periods: int) -> int:
        """What arrives after further periods in which nothing was used."""
        for _ in range(min(empty_periods, MAX_EMPTY_PERIODS)):
            following = self.carried(carried_e10 + amount_e10, amount_e10)
            if following == carried_e10:
                break
            carried_e10 = following
        return carried_e10


@dataclass(frozen=True)
class Budget:
    """One budget as it is in force.

    `starts_us` and `ends_us` bound it; a period or step that they cut is shorter. Calls before
    `counts_from_us`, the start of the period in which it was made, are not counted. `share` of its
    parent's amount is its own, where it was given as one.
    """

    id: str
    organization_id: str
    name: str
    currency: str
    limits: Limits
    period: str
    zone: str
    anchor: date
    every: int = 1
    rolling: bool = False
    recurring: bool = True
    starts_us: int = ALL_TIME.start_us
    ends_us: int = ALL_TIME.end_us
    counts_from_us: int = ALL_TIME.start_us
    scope: Scope = WHOLE
    enforcement: str = SOFT
    thresholds: tuple[int, ...] = ()
    throttling: Throttling | None = None
    rollover: Rollover | None = None
    parent_id: str | None = None
    share: int | None = None
    overallocate: bool = False
    _last: list[Window] = field(default_factory=list[Window], init=False, compare=False, repr=False)

    @cached_property
    def slide(self) -> Slide | None:
        """How a sliding period is counted."""
        return Slide(*SLIDES[self.period]) if self.rolling else None

    @cached_property
    def bounds(self) -> Window:
        """When the budget is in force."""
        if self.recurring or self.period == CUSTOM:
            return Window(self.starts_us, self.ends_us)
        first = self._recurrence.at(self.counts_from_us)
        return first.clip(Window(self.starts_us, self.ends_us))

    @cached_property
    def _recurrence(self) -> Recurrence:
        return Recurrence(self.period, time_zone(self.zone), self.anchor, self.every)

    def counted_in(self, micros: int) -> Window | None:
        """The counter of a call at this instant: its period, or the step of a sliding one. None
        when the budget was not in force or not counting yet."""
        if not self.bounds.start_us <= micros < self.bounds.end_us:
            return None
        if micros < self.counts_from_us:
            return None
        return self.window_of(micros)

    def window_of(self, micros: int) -> Window:
        """The period or step around an instant, whether or not the budget counts then."""
        for known in self._last:  # one or none; another thread may put another there
            if known.start_us <= micros < known.end_us:
                return known
        if self.period == CUSTOM:
            found = Window(self.starts_us, self.ends_us)
        elif self.slide is not None:
            step = self.slide.step(micros)
            inside = step.clip(self.bounds)
            found = step if inside.is_empty else inside
        else:
            found = self._recurrence.at(micros).clip(Window(self.starts_us, self.ends_us))
        self._last[:] = [found]
        return found

    def in_force_at(self, micros: int) -> Window | None:
        """What counts against the limit at this instant; None when the budget is not in force."""
        if not self.bounds.start_us <= micros < self.bounds.end_us:
            return None
        if self.slide is not None:
            return self.slide.at(micros)
        return self.window_of(micros)

    def limits_with(self, extra_e10: int) -> Limits:
        """The limits of a period to which money was added or carried over (or taken away)."""
        if self.limits.e10 is None or not extra_e10:
            return self.limits
        return Limits(max(0, self.limits.e10 + extra_e10), self.limits.requests, self.limits.tokens)


def crossed(thresholds: Iterable[int], told: int, share: int) -> list[int]:
    """Thresholds (millionths) that are reached and were not told of before, `told` being the
    highest of those that were; also those that were jumped over."""
    return sorted(level for level in thresholds if told < level <= share)


def check_children(parent: Budget, shares_e10: Sequence[int]) -> None:
    """Refuse children whose amounts add up to more than the parent's. Raises BudgetError."""
    if parent.overallocate or parent.limits.e10 is None:
        return
    if sum(shares_e10) > parent.limits.e10:
        whole, units = divmod(sum(shares_e10) - parent.limits.e10, E10)
        raise BudgetError(
            f"the budgets below {parent.name} would exceed it by {whole}.{units:010d}; "
            "allow_overallocation of the parent permits that",
            field="amount",
        )


def part_of(amount_e10: int, share: int) -> int:
    """A share (millionths) of an amount, rounded down so that parts never exceed the whole."""
    return amount_e10 * share // WHOLE_SHARE


def resolve_shares(budgets: Iterable[Budget]) -> dict[str, Budget]:
    """The budgets by id, those that are a share of their parent with the amount that this is now.

    A share of a parent without an amount is no limit of money.
    """
    known = {budget.id: budget for budget in budgets}
    done: dict[str, Budget] = {}

    def resolved(budget: Budget, depth: int) -> Budget:
        made = done.get(budget.id)
        if made is None:
            made = budget
            parent = known.get(budget.parent_id or "")
            if budget.share is not None and parent is not None and depth < MAX_DEPTH:
                above = resolved(parent, depth + 1).limits.e10
                amount = None if above is None else part_of(above, budget.share)
                made = replace(
                    budget, limits=Limits(amount, budget.limits.requests, budget.limits.tokens)
                )
            done[budget.id] = made
        return made

    return {budget_id: resolved(budget, 0) for budget_id, budget in known.items()}


def ancestors(budget_id: str, parents: Mapping[str, str | None]) -> list[str]:
    """The ids above a budget, nearest first; `parents` maps known ids to that of their parent."""
    found: list[str] = []
    above = parents.get(budget_id)
    while above is not None and above in parents and above not in found:
        found.append(above)
        above = parents.get(above)
    return found
