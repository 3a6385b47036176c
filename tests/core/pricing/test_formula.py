"""Formulas: exact decimals, and nothing that is not in the language."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.errors import FormulaError
from llm_cost_ops.core.pricing.formula import Formula
from llm_cost_ops.core.usage import Quantity

USAGE: dict[str, Quantity] = {"input_tokens": 1000, "output_tokens": 500, "audio_seconds": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2", "0.3"),
        ("input_tokens / 1000 * 0.03 + output_tokens / 1000 * 0.06", "0.06"),
        ("prompt_tokens + completion_tokens - total_tokens", "0"),
        ("requests * 2", "2"),
        ("max(input_tokens, output_tokens, 5) * 2", "2000"),
        ("min(1, 2) + abs(-3) + +4", "8"),
        ("round(2.5) + round(3.5)", "6"),
        ("round(0.12345, 4)", "0.1234"),
        ("ceil(1.1) + floor(1.9)", "3"),
        ("1 if input_tokens > 999 else 2", "1"),
        ("1 if input_tokens < 999 else 2", "2"),
        ("1 if 0 < input_tokens <= 1000 and not output_tokens == 0 else 2", "1"),
        ("1 if input_tokens != 1000 or output_tokens >= 500 else 2", "1"),
        ("1 if audio_seconds else 2", "1"),
        ("1 if not web_searches else 2", "1"),
        ("cache_read_tokens", "0"),
        (" 7 ", "7"),
    ],
)
def test_computes_exactly(text: str, expected: str) -> None:
    assert Formula(text).evaluate(USAGE) == Decimal(expected)


@pytest.mark.check(12)
@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "1 +", "2 ** 10", "__import__('os')", "().__class__", "input_tokens.real", "x",
        "[1]", "{1: 2}", "(1, 2)", "'a'", "b'a'", "None", "True", "1j", "1e5", "1_000", "0x10",
        "lambda: 1", "input_tokens[0]", "open('x')", "eval('1')", "max()", "min(1, key=2)",
        "round(1, 2, 3)", "abs(1, 2)", "max(*[1])", "input_tokens := 1", "f'{1}'", "1 // 2",
        "5 % 3",
        "1 << 2", "1 & 2", "~1", "1 is 1", "1 in (1,)", "[x for x in (1,)]", "await 1", "yield",
        "１ + 1", "9" * 1001, "+".join(["1"] * 150), "(" * 300 + "1" + ")" * 300, "-" * 30 + "1",
        "().__class__.__bases__[0].__subclasses__()", "input_tokens.__class__.__mro__[1]",
        "(lambda: 1)()", "'{0.__class__}'.format(1)", "globals()", "vars()", "type(1)", "print(1)",
        "breakpoint()", "exec('1')", "compile('1', '', 'eval')", "__builtins__", "max(*(1, 2))",
        "round(**{})", "{1}", "{x for x in (1,)}", "{x: 1 for x in (1,)}", "(x for x in (1,))",
        "1 @ 1", "...", "1 if (yield) else 2", "9 ** 9 ** 9", "'a' * 10", "0b1", "0o7", "1e999",
        "max(1, 2)(3)", "max.__call__(1)", "input_tokens < (1).real", "import os", "x = 1",
        "1 is not 1", "1 not in (1,)", "a.b", "1\n+ 1", "max", "min + 1", "True + 1", "NaN", "inf",
        "max(" * 25 + "1" + ")" * 25, "9" * 41, "getattr(1, 'a')", "\x001", "1; 2",
    ],
)  # fmt: skip
def test_refuses_when_parsed(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)


def test_refuses_what_is_not_text() -> None:
    with pytest.raises(FormulaError):
        Formula(5)  # pyright: ignore[reportArgumentType]


@pytest.mark.check(12)
@pytest.mark.parametrize(
    "text",
    ["1 / web_searches", "0 - input_tokens", "(1 > 0) + 1", "round(1, 21)", "round(1, -1)",
     "1 > 0", "9" * 40 + " * " + "9" * 40],
)  # fmt: skip
def test_refuses_when_computed(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text).evaluate(USAGE)


@pytest.mark.check(12)
@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    with suppress(FormulaError):
        assert Formula(text).evaluate(USAGE) >= 0
