"""Decomposition of inclusive counts into the disjoint quantities that a rate card bills.

For the kinds of one report and one card: which prices apply, what each must subtract, and which
reported kinds have no price. A kind without a price of its own is billed at its parent's price
only where providers do so by definition (text modality, five-minute cache writes, reasoning and
tool-use tokens, a missing direction) or where the card declares it; any other is named as missing
rather than priced as something else (PRICING rule 9).

Two splits of one count (by modality, by token type) overlap. When a report names both and not
what they share, and they cannot be apart, then how many tokens belong to which price is not known:
these kinds are named as missing, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.usage import (
    ANCESTORS,
    KINDS,
    Quantity,
    check_consistent,
    inferred_total,
)

_INHERITED_DIMS = frozenset(
    {("modality", "text"), ("cache_ttl", "5m"), ("token_type", "reasoning"), ("token_type", "tool")}
)
_GENERIC = frozenset({"family", "direction"})


class Step(NamedTuple):
    """One kind of a plan, and the positions of the steps whose quantities it must subtract.

    A `silent` step is billed within the kind that stands in for it; it only keeps other kinds from
    billing the same tokens again.
    """

    kind: str
    priced: bool
    reported: bool
    inner: tuple[int, ...]
    silent: bool


class Plan:
    """Steps from the most specific kind to the most general."""

    __slots__ = ("_minimums", "steps")

    def __init__(self, steps: list[Step], minimums: Mapping[str, Decimal]) -> None:
        self.steps = steps
        self._minimums = minimums

    @property
    def has_minimum(self) -> bool:
        """Whether the card bills some kind of this plan by at least a minimum."""
        return any(step.kind in self._minimums for step in self.steps)

    def leaves(self, usage: Mapping[str, Quantity]) -> list[tuple[str, int | Fraction, bool]]:
        """(kind, disjoint quantity, has a price) of each kind, the most specific first.

        Where overlapping splits leave a quantity unknown, the kinds concerned have no price. Raises
        UsageError for impossible counts.
        """
        found: list[tuple[str, int | Fraction, bool]] = []
        values: list[int | Fraction] = []
        unclear: frozenset[str] = frozenset()
        for kind, priced, reported, inner, silent in self.steps:
            value = self._value(kind, usage, reported=reported)
            for index in inner:
                value -= values[index]
            if value < 0:
                if reported:
                    self._refuse_impossible(kind, usage)
                    unclear |= {kind}
                else:
                    value = 0  # a whole that nobody counted is no less than its parts together
            values.append(value)
            if silent:
                continue
            if value and self._minimums and kind in self._minimums:
                value = max(value, Fraction(self._minimums[kind]))
            found.append((kind, value, priced))
        if not unclear:
            return found
        return [
            (kind, value, priced and kind not in unclear and not ANCESTORS[kind] & unclear)
            for kind, value, priced in found
        ]

    def _value(self, kind: str, usage: Mapping[str, Quantity], *, reported: bool) -> int | Fraction:
        if reported:
            quantity = usage[kind]
        elif kind == "requests":
            return 1
        else:
            quantity = inferred_total(kind, usage)
        return quantity if isinstance(quantity, int) else Fraction(quantity)

    def _refuse_impossible(self, kind: str, usage: Mapping[str, Quantity]) -> None:
        """More is reported inside `kind` than it holds: no fault where parts of different splits
        overlap by a count that was not reported."""
        check_consistent(usage)
        parts = [step.kind for step in self.steps if kind in ANCESTORS[step.kind]]
        if not any(_overlap_unknown(a, b, usage) for a in parts for b in parts):
            raise UsageError(f"usage.{kind}", "is less than the more specific counts inside it")


def _overlap_unknown(part: str, other: str, usage: Mapping[str, Quantity]) -> bool:
    """Whether two parts may share tokens, and nothing tells how many."""
    meet = {**KINDS[part], **KINDS[other]}
    if meet in (KINDS[part], KINDS[other]):  # one lies in the other
        return False
    if not KINDS[part].items() <= meet.items():  # two values of one dimension: nothing is shared
        return False
    return not any(meet == KINDS[shared] for shared in usage)


def make_plan(reported: tuple[str, ...], card: RateCard) -> Plan:
    """The plan for reports that name exactly these kinds."""
    allowed = _allowed_dims(card.inherits)
    present = set(reported)
    billed = {
        kind
        for kind in card.prices
        if kind in present
        or kind == "requests"
        or any(kind in ANCESTORS[other] for other in present)
    }
    # How many calls a report sums up is not a quantity that anyone must have a price for.
    unbilled = present - billed - {"requests"}
    cover = {kind: _cover(kind, card, allowed) for kind in unbilled}
    missing = {kind for kind, found in cover.items() if found is None}
    told = billed | missing
    silent = {
        kind: _within(found)
        for kind, found in cover.items()
        if found is not None and ANCESTORS[kind] & told - _within(found)
    }
    order = sorted(told | silent.keys(), key=lambda kind: (-len(KINDS[kind]), kind))
    position = {kind: index for index, kind in enumerate(order)}
    steps = [
        Step(
            kind,
            kind in billed,
            kind in present,
            tuple(
                position[other]
                for other in order
                if kind in ANCESTORS[other] and kind not in silent.get(other, ())
            ),
            kind in silent,
        )
        for kind in order
    ]
    return Plan(steps, card.minimums)


def _within(kind: str) -> frozenset[str]:
    return ANCESTORS[kind] | {kind}


def _allowed_dims(inherits: frozenset[str]) -> frozenset[tuple[str, str, str]]:
    """(direction, dimension, value) that the card declares as billed like the parent."""
    return frozenset(
        (KINDS[kind].get("direction", ""), dimension, value)
        for kind in inherits
        for dimension, value in KINDS[kind].items()
        if dimension not in _GENERIC
    )


def _cover(kind: str, card: RateCard, allowed: frozenset[tuple[str, str, str]]) -> str | None:
    """The most specific priced ancestor that stands in for this kind, if any does."""
    dims = KINDS[kind]
    direction = dims.get("direction", "")
    covers: list[str] = []
    for ancestor in ANCESTORS[kind]:
        if ancestor not in card.prices:
            continue
        extra = [(name, value) for name, value in dims.items() if name not in KINDS[ancestor]]
        if all(
            pair in _INHERITED_DIMS or pair[0] == "direction" or (direction, *pair) in allowed
            for pair in extra
        ):
            covers.append(ancestor)
    return min(covers, key=lambda found: (-len(KINDS[found]), found), default=None)
