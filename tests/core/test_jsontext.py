"""JSON with exact numbers: strict in, digit by digit out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core import jsontext
from llm_cost_ops.core.jsontext import JsonError, canonical

_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_leaf = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | _text
_leaf |= st.decimals(allow_nan=False, allow_infinity=False, places=8)
_value = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4)
)


@given(_value)
def test_what_goes_out_comes_in_equal(value: object) -> None:
    assert jsontext.loads(jsontext.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "NaN", "-Infinity", '{"a":1,"a":2}', '"\\ud800"', '{"\\ud800":1}', "1E+999999",
        "1" * 5_000, "0." + "1" * 200, "[" * 100_000, "[" * 70 + "]" * 70, "01", "'a'",
    ],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(JsonError):
        jsontext.loads(text)


def test_reads_numbers_exactly() -> None:
    assert jsontext.loads("[0.1, 1e-5, 12345678901234567890]") == [
        Decimal("0.1"),
        Decimal("0.00001"),
        12345678901234567890,
    ]
    assert jsontext.loads('{"é":"ü"}') == {"é": "ü"}


def test_a_float_has_no_exact_form() -> None:
    with pytest.raises(TypeError):
        jsontext.dumps({"cost": 0.1})


def test_a_raw_lone_surrogate_is_refused() -> None:
    with pytest.raises(JsonError):
        jsontext.loads('"\ud800"')


@pytest.mark.parametrize(
    "text",
    ['{"b":[1.50,{"y":null,"x":true}],"a":-0.0}', '{ "a" : 0, "b": [15e-1, {"x":true,"y":null}]}'],
)
def test_documents_that_are_alike_have_one_text(text: str) -> None:
    assert canonical(text) == '{"a":0,"b":[1.5,{"x":true,"y":null}]}'


@pytest.mark.parametrize("text", ["", "{", "NaN", "[" * 100_000])
def test_what_is_no_document_has_no_text(text: str) -> None:
    with pytest.raises(JsonError):
        canonical(text)
