"""The most that a call can cost before it is made: an upper bound from a rate card.

Of a call only its input tokens and the most output tokens are known, so each of them may turn out
to be of the dearest kind that the card prices (a cache write, audio), at the dearest tier that this
much input can reach. What the caller knows not to happen makes the bound tighter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

from llm_cost_ops.core.money import E10
from llm_cost_ops.core.pricing.rate import CompiledRate
from llm_cost_ops.core.pricing.structures import structure_cost
from llm_cost_ops.core.usage import KINDS

TEXT = frozenset({"text"})
CACHES = ("none", "5m", "1h")
_FAR = 10**15
"""A monthly volume beyond every tier."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that is not made yet. `modalities` None: any that the card prices; `cache` is the
    longest lifetime of a prompt cache that it may write to, `none` for no writing."""

    input_tokens: int
    output_tokens: int
    modalities: frozenset[str] | None = None
    cache: str = "1h"


def upper_bound(compiled: CompiledRate, planned: Planned) -> int | None:
    """The bound in units of 1e-10, rounded up; None when the card prices neither side's tokens of
    which there are some."""
    if compiled.card.structure is not None:
        return _ceiling(_structure(compiled, planned))
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


def _structure(compiled: CompiledRate, planned: Planned) -> Fraction:
    """The dearest corner: prices of a volume are asked at none and at any amount before."""
    structure = compiled.card.structure or {}
    factor = compiled.structure_factor()
    worst = Fraction(0)
    for input_tokens in {0, planned.input_tokens}:
        for output_tokens in {0, planned.output_tokens}:
            usage = {"input_tokens": input_tokens, "output_tokens": output_tokens, "requests": 1}
            for volume in (0, *_volumes(structure), _FAR):
                worst = max(worst, structure_cost(structure, usage, volume) * factor)
    return worst


def _volumes(structure: Mapping[str, object]) -> list[int]:
    """Where the price of a tier begins."""
    tiers = cast("list[dict[str, int | None]]", structure.get("tiers", []))
    return [bound for tier in tiers if (bound := tier["up_to"]) is not None]


def _ceiling(amount: Fraction) -> int:
    units = amount * E10
    return -(-units.numerator // units.denominator)
