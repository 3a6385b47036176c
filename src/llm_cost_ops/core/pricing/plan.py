"""Decomposition of inclusive counts into the disjoint quantities that a rate card bills.

For the kinds of one report and one card: which prices apply, what each must subtract, and which
reported kinds have no price. A kind without a price of its own is billed at its parent's price
only where providers do so by definition (text modality, five-minute cache writes, reasoning and
tool-use tokens, a missing direction) or where the card declares it; any other is named as missing
rather than priced as something else (PRICING rule 9).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.pricing.card import RateCard
from llm_cost_ops.core.usage import ANCESTORS, KINDS, Quantity, inferred_total

_INHERITED_DIMS = frozenset(
    {("modality", "text"), ("cache_ttl", "5m"), ("token_type", "reasoning"), ("token_type", "tool")}
)
_GENERIC = frozenset({"family", "direction"})


class Plan:
    """Steps from the most specific kind to the most general, each with what it must subtract."""

    __slots__ = ("_minimums", "_steps")

    def __init__(
        self,
        steps: list[tuple[str, bool, bool, tuple[int, ...]]],
        minimums: Mapping[str, Decimal],
    ) -> None:
        self._steps = steps
        self._minimums = minimums

    def leaves(self, usage: Mapping[str, Quantity]) -> Iterator[tuple[str, int | Fraction, bool]]:
        """(kind, disjoint quantity, has a price). Raises UsageError for impossible counts."""
        values: list[int | Fraction] = []
        for kind, priced, reported, inner in self._steps:
            value = self._value(kind, usage, reported=reported)
            for index in inner:
                value -= values[index]
            if value < 0:
                raise UsageError(f"usage.{kind}", "is less than the more specific counts inside it")
            values.append(value)
            if value and self._minimums and kind in self._minimums:
                value = max(value, Fraction(self._minimums[kind]))
            yield kind, value, priced

    def _value(self, kind: str, usage: Mapping[str, Quantity], *, reported: bool) -> int | Fraction:
        if reported:
            quantity = usage[kind]
        elif kind == "requests":
            return 1
        else:
            quantity = inferred_total(kind, usage)
        return quantity if isinstance(quantity, int) else Fraction(quantity)


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
    missing = {kind for kind in unbilled if not _covered(kind, card, allowed)}
    order = sorted(billed | missing, key=lambda kind: (-len(KINDS[kind]), kind))
    position = {kind: index for index, kind in enumerate(order)}
    steps = [
        (
            kind,
            kind in billed,
            kind in present,
            tuple(position[other] for other in order if kind in ANCESTORS[other]),
        )
        for kind in order
    ]
    return Plan(steps, card.minimums)


def _allowed_dims(inherits: frozenset[str]) -> frozenset[tuple[str, str, str]]:
    """(direction, dimension, value) that the card declares as billed like the parent."""
    return frozenset(
        (KINDS[kind].get("direction", ""), dimension, value)
        for kind in inherits
        for dimension, value in KINDS[kind].items()
        if dimension not in _GENERIC
    )


def _covered(kind: str, card: RateCard, allowed: frozenset[tuple[str, str, str]]) -> bool:
    """Whether some priced ancestor stands in for this kind."""
    dims = KINDS[kind]
    direction = dims.get("direction", "")
    for ancestor in ANCESTORS[kind]:
        if ancestor not in card.prices:
            continue
        extra = [(name, value) for name, value in dims.items() if name not in KINDS[ancestor]]
        if all(
            pair in _INHERITED_DIMS or pair[0] == "direction" or (direction, *pair) in allowed
            for pair in extra
        ):
            return True
    return False
