"""A rounded total over exact parts, so that the rounded parts sum to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import floor

from llm_cost_ops.core.money import EXACT, PLACES


def spread(total_e10: int, amounts: Sequence[Decimal]) -> tuple[list[int], int]:
    """Parts of a total in units of 1e-10, and what of it the amounts do not explain.

    The total is the amounts' sum, rounded once: each part is its amount rounded down or up, those
    with the largest remainders up, so that the parts sum to the total (largest remainder; ties go
    to the earlier). The parts of the negated total and amounts are the negated parts. When the
    total is not that sum, every part is rounded half-even and the rest is not zero.
    """
    if (total_e10 or next(filter(None, amounts), 0)) < 0:
        parts, rest = spread(-total_e10, [-amount for amount in amounts])
        return [-part for part in parts], -rest
    scaled = [amount.scaleb(PLACES, EXACT) for amount in amounts]
    parts = [floor(value) for value in scaled]
    missing = total_e10 - sum(parts)
    if not missing:
        return parts, 0
    remainders = [EXACT.subtract(value, part) for value, part in zip(scaled, parts, strict=True)]
    uneven = sum(1 for remainder in remainders if remainder)
    if 0 < missing <= uneven:
        order = sorted(range(len(parts)), key=lambda index: (-remainders[index], index))
        for index in order[:missing]:
            parts[index] += 1
        return parts, 0
    parts = [int(value.to_integral_value(context=EXACT)) for value in scaled]
    return parts, total_e10 - sum(parts)
