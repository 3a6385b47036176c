"""How much each factor of a product adds to its change, exactly.

The part of a factor is its Shapley value: the mean, over all orders in which the factors can go
from their old to their new value, of what its change adds (L. S. Shapley, "A value for n-person
games", 1953). The parts have no remainder and depend on no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial, prod

from llm_cost_ops.core.attribution import whole_parts
from llm_cost_ops.core.money import E10


def split_product(old: Sequence[Fraction], new: Sequence[Fraction]) -> list[Fraction]:
    """The part of each factor in the product of `new` less that of `old`; their sum is exact."""
    count = len(old)
    values = [
        prod((new if mask >> place & 1 else old)[place] for place in range(count))
        for mask in range(1 << count)
    ]
    parts: list[Fraction] = []
    for place in range(count):
        total = Fraction(0)
        for mask in range(1 << count):
            if not mask >> place & 1:
                size = mask.bit_count()
                weight = factorial(size) * factorial(count - size - 1)
                total += weight * (values[mask | 1 << place] - values[mask])
        parts.append(total / factorial(count))
    return parts


def parts_e10(parts: Sequence[Fraction], total_e10: int) -> list[int]:
    """Amounts in units of 1e-10 with this sum: each rounded half-even, and what is then missing
    goes to the largest."""
    return whole_parts([part * E10 for part in parts], total_e10)
