"""Upper bounds of formulas: no usage in the ranges costs more."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import FormulaError
from llm_cost_ops.core.pricing.formula import Formula
from llm_cost_ops.core.pricing.formula_range import Range, most_of

IN, OUT = "input_tokens", "output_tokens"


def most(text: str, most_in: int = 10, most_out: int = 4) -> Decimal | None:
    ranges = {
        IN: Range(Decimal(0), Decimal(most_in)),
        OUT: Range(Decimal(0), Decimal(most_out)),
        "requests": Range(Decimal(1), Decimal(1)),
    }
    return most_of(Formula(text), ranges)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("3", 3),
        (f"{IN} * 2 + {OUT}", 24),
        (f"{IN} - {OUT}", 10),
        (f"5 - {IN} * -1", 15),
        (f"+{IN} + -{OUT}", 10),
        ("cache_read_tokens + requests", 1),
        (f"{IN} * (10 - {IN})", 100),
        (f"({IN} - 8) * ({IN} - 8)", 64),
        (f"{OUT} / (1 + {IN})", 4),
        (f"{OUT} / (0 - 1 - {IN})", 0),
        (f"min({IN}, {OUT})", 4),
        (f"max({IN}, {OUT}, 12)", 12),
        (f"round({IN} / 3, 1)", "3.3"),
        (f"ceil({IN} / 3)", 4),
        (f"floor({IN} / 3)", 3),
        (f"abs({IN} - 7)", 7),
        (f"10 - abs({IN} - 3)", 10),
        (f"10 - abs({IN} + 2)", 8),
        (f"10 - abs(0 - 2 - {IN})", 8),
        (f"{IN} if {IN} <= 5 else {IN} * 3", 30),
        (f"9 if {IN} > 10 else 2", 2),
        (f"9 if {IN} >= 10 else 2", 9),
        (f"9 if {IN} < 11 else 2", 9),
        (f"2 if {IN} < 11 else 9", 2),
        (f"2 if not {IN} < 11 else 9", 9),
        (f"9 if {IN} == 11 else 2", 2),
        (f"2 if {IN} != 11 else 9", 2),
        (f"9 if 11 == {IN} else 2", 2),
        (f"9 if {IN} == 10 else 2", 9),
        ("2 if requests == 1 else 9", 2),
        ("9 if requests != 1 else 2", 2),
        (f"2 if 0 <= {IN} <= 10 else 9", 2),
        (f"9 if 0 <= {IN} <= 9 else 2", 9),
        ("2 if requests else 9", 2),
        ("9 if cache_read_tokens else 2", 2),
        (f"2 if {IN} else 9", 9),
        ("9 if requests and cache_read_tokens else 2", 2),
        ("2 if requests and requests else 9", 2),
        ("2 if requests or cache_read_tokens else 9", 2),
        ("9 if cache_read_tokens or cache_read_tokens else 2", 2),
        (f"9 if ({IN} > 3 if {OUT} > 2 else {IN} > 5) else 2", 9),
        (f"9 if ({IN} > 10 if {OUT} > 2 else {IN} > 11) else 2", 2),
    ],
)
def test_the_most_that_a_formula_can_give(text: str, bound: str | int) -> None:
    assert most(text) == Decimal(bound)


@pytest.mark.parametrize(
    "text",
    [
        f"1 / {IN}",
        f"1 / ({IN} - 5)",
        f"1 / (0 - {IN})",
        f"{IN} > 3",
        f"1 + ({IN} > 3)",
        f"{IN} if {OUT} > 2 else {IN} > 3",
        f"{IN} > 3 if {OUT} > 2 else {IN}",
        f"round({IN}, {OUT})",
        "round(1, 21)",
        " * ".join(["1" + "0" * 38] * 2),
    ],
)
def test_what_has_no_bound(text: str) -> None:
    assert most(text) is None


def test_places_may_be_computed() -> None:
    assert most(f"round({IN} / 3, requests + 1)") == Decimal("3.33")


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def fill(pattern: str) -> st.SearchStrategy[str]:
        return st.lists(parts, min_size=4, max_size=4).map(lambda four: pattern.format(*four))

    return st.sampled_from(PATTERNS).flatmap(fill)


PATTERNS = (
    "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} / {1})", "-{0}", "min({0}, {1})",
    "max({0}, {1})", "round({0}, 1)", "ceil({0})", "floor({0})", "abs({0})",
    "({0} if {1} < {2} else {3})", "({0} if {1} >= {2} and {3} else {3})",
    "({0} if {1} == {2} or not {3} else {2})", "({0} if {1} != {2} else {3})",
    "({0} if {1} <= {2} > {3} else {3})",
)  # fmt: skip
LEAVES = st.sampled_from([IN, OUT, "total_tokens", "0.5", "1", "7", "3.25"])
FORMULAS = st.recursive(LEAVES, _joined, max_leaves=8)
TOKENS = st.integers(0, 12)


@given(FORMULAS, TOKENS, TOKENS, TOKENS, TOKENS)
@example(f"{IN} * (10 - {IN})", 10, 0, 5, 0)
def test_no_usage_in_the_ranges_costs_more(
    text: str, most_in: int, most_out: int, used_in: int, used_out: int
) -> None:
    try:
        formula = Formula(text)
    except FormulaError:
        return  # too deep or too long
    most_in, most_out = max(most_in, used_in), max(most_out, used_out)
    found = most_of(
        formula,
        {
            IN: Range(Decimal(0), Decimal(most_in)),
            OUT: Range(Decimal(0), Decimal(most_out)),
            "total_tokens": Range(Decimal(0), Decimal(most_in + most_out)),
        },
    )
    try:
        cost = formula.evaluate({IN: used_in, OUT: used_out})
    except FormulaError:
        return
    assert found is None or cost <= found
