"""The parts of the change of a product: exact, fair, without an order."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.drivers import parts_e10, split_product
from llm_cost_ops.core.money import E10

FACTOR = st.fractions(min_value=0, max_value=10**6, max_denominator=10**6)
PAIRS = st.lists(st.tuples(FACTOR, FACTOR), min_size=1, max_size=5)


def test_two_factors_share_what_both_did() -> None:
    parts = split_product([Fraction(2), Fraction(3)], [Fraction(4), Fraction(5)])
    assert parts == [Fraction(8), Fraction(6)]  # 14 in all; alone 6 and 4, together 4 more


def test_a_factor_that_stayed_has_no_part() -> None:
    assert split_product([Fraction(2), Fraction(3)], [Fraction(2), Fraction(7)]) == [0, 8]


@given(PAIRS)
def test_the_parts_sum_exactly_and_turn_around(pairs: list[tuple[Fraction, Fraction]]) -> None:
    old, new = [a for a, _ in pairs], [b for _, b in pairs]
    parts = split_product(old, new)
    assert sum(parts) == prod(new) - prod(old)
    assert split_product(new, old) == [-part for part in parts]


@given(st.lists(st.fractions(min_value=-(10**6), max_value=10**6), min_size=1, max_size=6))
def test_amounts_sum_to_the_rounded_total(parts: list[Fraction]) -> None:
    total = round(sum(parts) * E10)
    units = parts_e10(parts, total)
    assert sum(units) == total
    missing = [abs(unit - part * E10) for unit, part in zip(units, parts, strict=True)]
    assert sorted(missing)[:-1] == [each for each in sorted(missing)[:-1] if each <= Fraction(1, 2)]
    assert max(missing) <= len(parts)
