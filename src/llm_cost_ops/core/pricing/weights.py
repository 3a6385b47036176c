"""A plan as weights: for most reports the cost is one sum of counts times constants.

The quantities that are billed are differences of reported counts, so their cost is linear in the
counts as long as no quantity falls below zero and none is left without a price. Where that does
not hold, or rules need more than a sum (minimums, overlapping splits), `Plan.leaves` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from typing import NamedTuple

from llm_cost_ops.core.pricing.plan import Plan, Step
from llm_cost_ops.core.usage import ANCESTORS, FRACTIONAL_KINDS, KINDS, Quantity

USUAL_KINDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_reasoning_tokens",
)
_CACHED_IN_INPUT = frozenset({(1, 0, a, b, 0) for a in (0, -1) for b in (0, -1)})
_REASONING_IN_OUTPUT = frozenset({(0, 1, 0, 0, a) for a in (0, -1)})

_Form = tuple[int, ...]
"""Factors of the counts, in the order of the reported kinds."""


class Weights(NamedTuple):
    """Cost of one report: `fixed` and each count times its weight.

    It holds while all forms of `positive` are at least 0 and all of `empty` are 0.
    """

    fixed: int
    weights: _Form
    positive: tuple[_Form, ...]
    empty: tuple[_Form, ...]

    def cost(self, counts: Sequence[Quantity]) -> Quantity | None:
        """The cost in the unit of the weights, or None where it is not a plain sum."""
        for form in self.positive:
            if sum(map(mul, counts, form)) < 0:
                return None
        for form in self.empty:
            if sum(map(mul, counts, form)):
                return None
        return self.fixed + sum(map(mul, counts, self.weights))


class UsualWeights(NamedTuple):
    """`Weights` of USUAL_KINDS, spelled out; None for a kind that has no price when it occurs."""

    fixed: int
    input: int
    output: int
    cache_read: int | None
    cache_write: int | None
    reasoning: int | None

    def cost(self, given: int, answered: int, read: int, written: int, thought: int) -> int | None:
        """The cost in the unit of the weights, or None when a kind without a price occurs."""
        units, per_given, per_answered, per_read, per_written, per_thought = self
        units += given * per_given + answered * per_answered
        if read:
            if per_read is None:
                return None
            units += read * per_read
        if written:
            if per_written is None:
                return None
            units += written * per_written
        if thought:
            if per_thought is None:
                return None
            units += thought * per_thought
        return units


def weights_of(plan: Plan, kinds: Sequence[str], prices: Mapping[str, int]) -> Weights | None:
    """The weights of reports that name exactly these kinds, or None where there are none."""
    if plan.has_minimum or not FRACTIONAL_KINDS.isdisjoint(kinds):
        return None
    forms: list[_Form] = []
    fixed = 0
    weights = (0,) * len(kinds)
    empty: list[_Form] = []
    for step in plan.steps:
        form = _form(step, kinds)
        if form is None:
            return None
        for index in step.inner:
            form = _minus(form, forms[index])
        forms.append(form)
        if step.silent:
            continue
        if not step.priced:
            empty.append(form)
            continue
        price = prices[step.kind]
        weights = tuple(w + price * f for w, f in zip(weights, form, strict=True))
        if step.kind == "requests" and not step.reported:
            fixed = price
    positive = tuple(form for form in forms if min(form, default=0) < 0)
    return Weights(fixed, weights, positive, tuple(empty))


def usual_weights(found: Weights | None) -> UsualWeights | None:
    """The weights of USUAL_KINDS, if they hold for all counts that do not exceed their wholes."""
    if found is None or not set(found.positive) <= _CACHED_IN_INPUT | _REASONING_IN_OUTPUT:
        return None
    lacking = {_only(form) for form in found.empty}
    if not lacking.isdisjoint((None, 0, 1)):
        return None
    parts = [None if i in lacking else found.weights[i] for i in (2, 3, 4)]
    return UsualWeights(found.fixed, found.weights[0], found.weights[1], *parts)


def _form(step: Step, kinds: Sequence[str]) -> _Form | None:
    """The whole count of a step's kind; None where it is the largest of several sums."""
    if step.reported:
        return tuple(int(kind == step.kind) for kind in kinds)
    inside = [kind for kind in kinds if step.kind in ANCESTORS[kind]]
    own = KINDS[step.kind].keys()
    if len({frozenset(KINDS[kind].keys() - own) for kind in inside}) > 1:
        return None
    return tuple(int(kind in inside) for kind in kinds)


def _minus(form: _Form, other: _Form) -> _Form:
    return tuple(a - b for a, b in zip(form, other, strict=True))


def _only(form: _Form) -> int | None:
    """The index of the only count in a form."""
    return form.index(1) if sorted(form) == [0] * (len(form) - 1) + [1] else None
