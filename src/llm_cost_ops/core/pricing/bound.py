"""The most that a call can cost before it is made: an upper bound from a rate card.

Of a call only its input tokens and the most output tokens are known, so each of them may turn out
to be of the dearest kind that the card prices (a cache write, audio), at the dearest tier that this
much input can reach. What the caller knows not to happen makes the bound tighter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from llm_cost_ops.core.money import E10
from llm_cost_ops.core.pricing.formula_range import Range, most_of
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.pricing.structures import (
    dearest_volumes,
    formula_of,
    structure_cost,
    tier_bounds,
)
from llm_cost_ops.core.usage import KINDS, Quantity

TEXT = frozenset({"text"})
CACHES = ("none", "5m", "1h")


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that is not made yet. `modalities` None: any that the card prices; `cache` is the
    longest lifetime of a prompt cache that it may write to, `none` for no writing."""

    input_tokens: int
    output_tokens: int
    modalities: frozenset[str] | None = None
    cache: str = "1h"


def upper_bound(compiled: CompiledRate, planned: Planned) -> int | None:
    """The bound in units of 1e-10, rounded up; None when the card has no price for a side's tokens
    of which there are some, or its formula no bound."""
    if compiled.card.structure is not None:
        found = _structure(compiled, planned)
        return None if found is None else _ceiling(found)
    reached = bisect_left(compiled.bounds, planned.input_tokens) + 1
    worst = Fraction(0)
    for request, *sides in _steps(compiled, planned.modalities, planned.cache)[:reached]:
        total = request or Fraction(0)
        for dearest, tokens in zip(
            sides, (planned.input_tokens, planned.output_tokens), strict=True
        ):
            if dearest is None and tokens:
                return None
            total += (dearest or 0) * tokens
        worst = max(worst, total)
    return _ceiling(worst)


_Step = tuple[Fraction | None, Fraction | None, Fraction | None]


@lru_cache(maxsize=4096)
def _steps(
    compiled: CompiledRate, modalities: frozenset[str] | None, cache: str
) -> tuple[_Step, ...]:
    """Of each step the price of a request, and the dearest of an input and of an output token."""
    steps: list[_Step] = []
    for step in range(len(compiled.bounds) + 1):
        prices = compiled.unit_prices(step)
        sides = [
            max((p for kind, p in prices.items() if _may_be(kind, side, modalities, cache)),
                default=None)
            for side in ("input", "output")
        ]  # fmt: skip
        steps.append((prices.get("requests"), sides[0], sides[1]))
    return tuple(steps)


def _may_be(kind: str, direction: str, modalities: frozenset[str] | None, cache: str) -> bool:
    dimensions = KINDS[kind]
    if dimensions["family"] != "tokens" or dimensions["direction"] != direction:
        return False
    modality = dimensions.get("modality")
    if modality is not None and modalities is not None:
        if modality not in modalities:
            return False
    if dimensions.get("token_type") != "cache_write" or cache == "1h":
        return True
    return cache == "5m" and dimensions.get("cache_ttl") != "1h"


def _structure(compiled: CompiledRate, planned: Planned) -> Fraction | None:
    structure = compiled.card.structure or {}
    if structure["type"] == "formula":
        most = most_of(formula_of(structure), _ranges(planned))
        return None if most is None else Fraction(most) * compiled.structure_factor()
    worst = max(
        structure_cost(structure, {"input_tokens": used_in, "output_tokens": used_out}, volume)
        for volume, used_in, used_out in _dearest(structure, planned)
    )
    return worst * compiled.structure_factor()


def _dearest(
    structure: Mapping[str, object], planned: Planned
) -> Iterator[tuple[Quantity, int, int]]:
    """Volumes before the call with its tokens, of which one makes it dearest.

    Where there was volume before, more input is as dear as if the volume had been less; so all of
    it, or no volume. Without volume the output may begin or end where a tier does, or the whole
    call end there.
    """
    most_in, most_out = planned.input_tokens, planned.output_tokens
    for volume in dearest_volumes(structure, most_in, most_out):
        yield volume, most_in, most_out
    yield 0, 0, most_out
    for bound in tier_bounds(structure):
        first, second = min(most_in, bound), min(most_out, bound)
        yield 0, first, most_out
        yield 0, min(most_in, bound - second), most_out
        yield 0, first, min(most_out, bound - first)
        yield 0, min(most_in, bound - second), second


def _ranges(planned: Planned) -> dict[str, Range]:
    """How many of each kind of token a call can have; every call is one request."""
    sides = {"input": planned.input_tokens, "output": planned.output_tokens}
    ranges = {
        kind: _up_to(tokens)
        for side, tokens in sides.items()
        for kind in KINDS
        if _may_be(kind, side, planned.modalities, planned.cache)
    }
    ranges["prompt_tokens"], ranges["completion_tokens"] = map(_up_to, sides.values())
    ranges["total_tokens"] = _up_to(sum(sides.values()))
    ranges["requests"] = Range(Decimal(1), Decimal(1))
    return ranges


def _up_to(tokens: int) -> Range:
    return Range(Decimal(0), Decimal(tokens))


def _ceiling(amount: Fraction) -> int:
    units = amount * E10
    return -(-units.numerator // units.denominator)
