"""Strict decoding: what a decoder in C lets pass in silence is found, on the fast way too."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.jsontext import MAX_DEPTH, JsonError, loads
from llm_cost_ops.server.ingest import decode
from llm_cost_ops.server.ingest.schema import NO_METADATA, WireRecord
from llm_cost_ops.server.ingest.strict import untyped

JSON, NDJSON = "application/json", "application/x-ndjson"
PIECES = (
    b'"model":"gpt-4o"',
    b'"model" : "x"',
    b'"source":"api"',
    b'"region":null',
    b'"timestamp":"2026-01-01T10:00:00+00:00"',
    b'"timestamp":"2026-01-01T10:00:00+0530"',
    b'"timestamp":"2026-01-01T10:00:00Z"',
    b'"user_id":"\\u003a:x"',
    b'"user_id":":x+00:00"',
    b'"user_id":"a\\"b:"',
    b'"metadata":{"b":1,"a":2}',
    b'"metadata":{"a":1,"a":2}',
    b'"metadata":{"a" :1,"b":{"a":2,"a":1}}',
    b'"metadata":{"a":"\\u003a","b\\n":[1.50,{"x":"y:z"}]}',
    b'"metadata":{"a":"\xff"}',
    b'"metadata":{"a":"\\ud800"}',
    b'"metadata":null',
    b'"usage":{"input_tokens":5,"output_tokens":5}',
    b'"usage":{"input_tokens":5,"input_tokens":6}',
    b'"response":{"id":"x","a":{"b":[1,2]}}',
    b'"response":{"id":"x","id":"y"}',
    b'"prompt_tokens":5',
    b'"tags":["a","b:c"]',
)
records = st.lists(
    st.lists(st.sampled_from(PIECES), max_size=5).map(
        lambda pieces: b"{" + b",".join([b'"provider":"openai"', *pieces]) + b"}"
    ),
    min_size=1,
    max_size=3,
)


def is_strict(text: bytes) -> bool:
    try:
        loads(text.decode())
    except (JsonError, UnicodeDecodeError):
        return False
    return True


@settings(max_examples=1000)
@given(records)
def test_whatever_is_not_strict_is_refused_in_every_form_of_a_batch(items: list[bytes]) -> None:
    array = b"[" + b",".join(items) + b"]"
    bodies = [
        (b'{"records":' + array + b"}", JSON),
        (array, JSON),
        (b"\n".join(items), NDJSON),
    ]
    strict = all(is_strict(item) for item in items)
    for body, media_type in bodies:
        if not strict:
            with pytest.raises(JsonError):
                decode.decode_records(body, media_type, 10)
        else:
            decoded = decode.decode_records(body, media_type, 10)
            assert [spelled(record) for record in decoded] == [
                spelled(decode.decode_record(item)) for item in items
            ]


def spelled(record: object) -> object:
    return msgspec.json.encode(record) if isinstance(record, WireRecord) else record


@pytest.mark.parametrize("pieces", [*permutations((b'"a":1', b'"a" :2', b'"b"\n:3'))])
def test_white_space_before_a_colon_hides_no_second_key(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(JsonError, match="names a key twice"):
        untyped(b"{" + b",".join(pieces) + b"}")


def test_a_batch_that_names_its_records_twice_is_refused() -> None:
    one = b'[{"provider":"openai","model":"m","prompt_tokens":1,"completion_tokens":1}]'
    with pytest.raises(JsonError, match="names a key twice"):
        decode.decode_records(b'{"records":' + one + b',"records":' + one + b"}", JSON, 10)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("form", ['{"records":[%s]}', "[%s]", "%s"])
@pytest.mark.parametrize("field", ["response", "metadata"])
def test_nesting_is_bounded_within_a_record_whatever_is_around_it(form: str, field: str) -> None:
    def body(depth: int) -> bytes:
        value = b'{"a":%s}' % nested(depth)
        record = b'{"provider":"openai","%s":%s}' % (field.encode(), value)
        return form.encode() % record

    media_type = NDJSON if form == "%s" else JSON
    allowed = MAX_DEPTH - 1  # the record is level 0, the value 1, its first list 2
    assert len(decode.decode_records(body(allowed), media_type, 1)) == 1
    with pytest.raises(JsonError, match="nested deeper"):
        decode.decode_records(body(allowed + 1), media_type, 1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"b": 1, "a": {"d": 2.50, "c": "x"}}', '{"a":{"c":"x","d":2.50},"b":1}'),
        ('{"n":123456789012345678901234567890}', '{"n":123456789012345678901234567890}'),
        ("{}", ""),
        ("null", ""),
        ('"text"', '"text"'),
    ],
)
@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_metadata_has_one_spelling(form: str, given: str, kept: str) -> None:
    body = b'{"provider":"openai","model":"m","metadata":%s}' % given.encode()
    (record,) = (
        [decode.decode_record(body)]
        if form == "%s"
        else decode.decode_records(b"[" + body + b"]", JSON, 1)
    )
    assert isinstance(record, WireRecord)
    assert bytes(record.metadata).decode() == kept
    assert not kept or json.loads(kept, parse_float=Decimal) == json.loads(
        given, parse_float=Decimal
    )


def test_metadata_of_other_records_stays_where_it_was() -> None:
    items = [
        b'{"provider":"openai","model":"m"%s}' % extra
        for extra in (b',"metadata":{"i":0}', b"", b',"metadata":{}', b',"metadata":{"i":3}')
    ]
    decoded: list[Any] = list(decode.decode_records(b"[" + b",".join(items) + b"]", JSON, 9))
    assert [bytes(record.metadata) for record in decoded] == [b'{"i":0}', b"", b"", b'{"i":3}']
    assert bytes(decoded[1].metadata) == bytes(NO_METADATA)


@pytest.mark.parametrize("number", ["1e401", "1E-500", "0." + "1" * 99])
def test_a_number_that_a_database_cannot_hold_is_refused_in_metadata(number: str) -> None:
    body = b'{"provider":"openai","model":"m","metadata":{"x":%s}}' % number.encode()
    with pytest.raises(JsonError):
        decode.decode_record(body)
    with pytest.raises(JsonError):
        decode.decode_records(b"[" + body + b"]", JSON, 1)
