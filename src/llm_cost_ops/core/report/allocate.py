"""Chargeback: shared costs divided among those who use them, by declared rules.

Every cost is a line of one recipient, or of a shared one that a rule names. A rule takes the lines
it names and divides their sum; the parts are whole units of 1e-10 by the largest remainder, so they
sum to what is divided. Shares of a rule are of direct use alone: no rule divides what another one
gave, so the order of the rules does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Literal, get_args

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import split

Basis = Literal["equal", "fixed", "cost", "tokens", "requests"]
BASES: tuple[str, ...] = get_args(Basis)


class AllocationError(DomainError):
    """A rule that cannot be followed."""


@dataclass(frozen=True, slots=True)
class Line:
    """The direct use of one recipient; the cost in units of 1e-10."""

    cost_e10: int = 0
    tokens: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Divide the cost of the `shared` lines `by` a basis; None among them is the line of calls that
    name nobody. `shares` of `fixed` are parts of 1 by recipient."""

    name: str
    shared: frozenset[str | None]
    by: Basis
    shares: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])


@dataclass(frozen=True, slots=True)
class Statement:
    """What one recipient is charged: its direct cost and its part by each rule, in 1e-10."""

    direct_e10: int
    allocated_e10: tuple[int, ...]

    @property
    def total_e10(self) -> int:
        return self.direct_e10 + sum(self.allocated_e10)


@dataclass(frozen=True, slots=True)
class Allocation:
    """`statements` by recipient, None being calls that name nobody; `pools` is what each rule
    divides, and `left` what it could not, because nobody is there to bear it."""

    statements: Mapping[str | None, Statement]
    pools: tuple[int, ...]
    left: tuple[int, ...]

    @property
    def total_e10(self) -> int:
        """The sum of all statements and of what is left: that of all lines."""
        return sum(each.total_e10 for each in self.statements.values()) + sum(self.left)


def check_rules(rules: Sequence[Rule], name: str = "allocation") -> None:
    """Raises AllocationError for a line that two rules divide, a rule that divides nothing, and
    fixed shares that are negative or do not sum to 1."""
    seen: set[str | None] = set()
    for place, rule in enumerate(rules):
        where = f"{name}.{place}"
        if not rule.shared:
            raise AllocationError("must name what is shared", field=f"{where}.shared")
        if seen & rule.shared:
            raise AllocationError("is divided by another rule", field=f"{where}.shared")
        seen |= rule.shared
        if (rule.by == "fixed") != bool(rule.shares):
            raise AllocationError("belongs to `fixed`, and only there", field=f"{where}.shares")
        if rule.shares and (min(rule.shares.values()) < 0 or sum(rule.shares.values()) != 1):
            raise AllocationError("must be at least 0 and sum to 1", field=f"{where}.shares")
    for place, rule in enumerate(rules):
        if seen & rule.shares.keys():
            raise AllocationError("must not name what is shared", field=f"{name}.{place}.shares")


def allocate(lines: Mapping[str | None, Line], rules: Sequence[Rule]) -> Allocation:
    """The statements of all who have a line or a fixed share and are not shared. Raises
    AllocationError as `check_rules`."""
    check_rules(rules)
    shared = frozenset[str | None]().union(*(rule.shared for rule in rules))
    own = {name: line for name, line in lines.items() if name not in shared}
    for rule in rules:
        for name in rule.shares:
            own.setdefault(name, Line())
    parts: dict[str | None, list[int]] = {name: [] for name in own}
    pools: list[int] = []
    left: list[int] = []
    for rule in rules:
        pool = sum(line.cost_e10 for name, line in lines.items() if name in rule.shared)
        given = _divided(pool, rule, own)
        pools.append(pool)
        left.append(pool if given is None else 0)
        for name in own:
            parts[name].append(0 if given is None else given.get(name, 0))
    statements = {name: Statement(line.cost_e10, tuple(parts[name])) for name, line in own.items()}
    return Allocation(statements, tuple(pools), tuple(left))


def _divided(pool: int, rule: Rule, own: Mapping[str | None, Line]) -> dict[str | None, int] | None:
    """The parts by recipient, or None where no weight is above zero."""
    names = sorted(name for name in own if name is not None)
    weights = _weights(rule, names, own)
    if not any(weights):
        return None
    return dict(zip(names, split(pool, weights), strict=True))


def _weights(rule: Rule, names: Sequence[str], own: Mapping[str | None, Line]) -> list[int]:
    if rule.by == "equal":
        return [1] * len(names)
    if rule.by == "fixed":
        shares = [Fraction(rule.shares.get(name, Decimal(0))) for name in names]
        scale = lcm(*(share.denominator for share in shares))
        return [int(share * scale) for share in shares]
    lines = [own[name] for name in names]
    if rule.by == "cost":  # who has been given more than it spent bears nothing
        return [max(0, line.cost_e10) for line in lines]
    return [line.tokens if rule.by == "tokens" else line.requests for line in lines]
