"""JSON out is exact, JSON in is strict."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.server.http.body import decode, encode

AMOUNTS = st.decimals(-(10**8), 10**8, allow_nan=False, allow_infinity=False, places=10)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | AMOUNTS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_back_to_the_last_digit(value: Any) -> None:
    text = encode(value).decode()
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == value


@given(AMOUNTS)
def test_an_amount_is_plain_digits(amount: Decimal) -> None:
    text = encode({"cost": amount}).decode()
    assert "e" not in text.removeprefix('{"cost"').lower()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E-10"), "0.0000000001"),
        (Decimal("0E-10"), "0"),
        (Decimal("-0.0000"), "0"),
        (Decimal("1E+5"), "100000"),
        (Decimal("0.1230000000"), "0.123"),
        (2**70, str(2**70)),
        ({"a": 2**70, "b": Decimal("1E-10")}, f'{{"a":{2**70},"b":0.0000000001}}'),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05Z"'),
        ((1, (2,)), "[1,[2]]"),
        (True, "true"),
    ],
)
def test_forms(value: object, text: str) -> None:
    assert encode(value).decode() == text


@pytest.mark.parametrize("value", [0.1, {"a": [0.5]}, object(), b"bytes"])
def test_a_float_or_a_stranger_is_a_defect(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)


REFUSED = {
    "empty": b"",
    "blank": b" \n",
    "not JSON": b"{nope}",
    "unfinished": b'{"a": 1',
    "trailing": b"{} {}",
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "duplicate key": b'{"a": 1, "a": 2}',
    "lone surrogate": rb'{"a": "\ud800"}',
    "lone surrogate key": rb'{"\udfff": 1}',
    "NUL escape": rb'{"a": "x\u0000"}',
    "NUL escape in a key": rb'{"\u0000": 1}',
    "raw NUL": b'{"a": "\x00"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without mark": '{"a": 1}'.encode("utf-16-le"),
    "not UTF-8": b'{"a": "\xff"}',
    "100,000 brackets": b"[" * 100_000,
    "65 deep": b"[" * 66 + b"]" * 66,
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "huge exponent": b'{"a": 1E+999999}',
    "tiny exponent": b'{"a": 1E-999999}',
    "single quotes": b"{'a': 1}",
    "comment": b"{} // x",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(JsonError) as caught:
        decode(text)
    assert caught.value.code == "INVALID_REQUEST"
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1.10}', {"a": Decimal("1.10")}),
        (rb'{"a": "\\u0000"}', {"a": r"\u0000"}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (b"[" * 64 + b"]" * 64, None),
        (b"null", None),
    ],
)
def test_what_is_strict_json_is_read(text: bytes, value: object) -> None:
    read = decode(text)
    if value is not None:
        assert read == value
