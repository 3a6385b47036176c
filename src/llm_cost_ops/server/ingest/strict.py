"""Strict JSON at the speed of a decoder in C, which keeps the last of two equal keys in silence.

Nothing of the kind can hide from a count: each key has one colon, and colons inside of texts are
the same in the body and in the decoded value written again. Fewer colons mean that a key was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any, cast

import msgspec

from llm_cost_ops.core.jsontext import MAX_DEPTH, JsonError, bounded_decimal, loads
from llm_cost_ops.server.ingest.schema import NO_METADATA, WireCost, WireRecord

_decode = msgspec.json.Decoder(float_hook=bounded_decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_sorted_lines = msgspec.json.Encoder(decimal_format="number", order="sorted").encode_lines
_ESCAPED_COLON = b"\\u003"
_ZERO_OFFSET = b'+00:00"'
_UTC_OR_NONE = (UTC, None)


def untyped(body: bytes, around: int = 0) -> Any:
    """Strict JSON with exact numbers; `around` levels of nesting do not count. Raises JsonError."""
    value = _exact(body)
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        check_depth(value, -around)
    return value


def _exact(body: bytes) -> Any:
    """Strict JSON of any depth that the decoder bears. Raises JsonError."""
    value = _decoded(body)
    if not _says_all(body, _encode(value)):
        loads(body.decode())
    return value


def _decoded(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError(f"not valid JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None


def check_depth(value: object, depth: int) -> None:
    """Raises JsonError for objects and lists inside each other beyond the bound."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        value = list(cast("dict[str, object]", value).values())
    if isinstance(value, list):
        for item in cast("list[object]", value):
            if item.__class__ is dict or item.__class__ is list:
                check_depth(item, depth + 1)


def _too_deep() -> JsonError:
    return JsonError(f"JSON is nested deeper than {MAX_DEPTH}")


def _says_all(body: bytes, again: bytes) -> bool:
    """Whether a body that was decoded and written again has still every key; False also where that
    is not certain."""
    if b"\\" in body and _ESCAPED_COLON in body:
        return False
    return again.count(b":") == body.count(b":")


def say_all(body: bytes, batch: object, records: Sequence[WireRecord]) -> bool:
    """`_says_all` of decoded records, whose instants may be spelled otherwise, but for what is
    inside of their metadata; False also where a field was given as null."""
    if b"\\" in body and _ESCAPED_COLON in body:
        return False
    for record in records:
        if record.timestamp is not None and record.timestamp.tzinfo not in _UTC_OR_NONE:
            return False
    again = _encode(batch)
    lost = body.count(b":") - again.count(b":")
    return not lost or lost == body.count(_ZERO_OFFSET) - again.count(_ZERO_OFFSET)


def settle_metadata(records: Sequence[WireRecord | WireCost]) -> None:
    """Check metadata and give it its one spelling: compact, keys sorted, absent when empty.

    What is no object stays as it is. Raises JsonError.
    """
    having = [record for record in records if record.metadata]
    if not having:
        return
    given = b",".join([record.metadata for record in having])
    body = b"[%s]" % given
    values = cast("list[object]", _decoded(body))
    again = _sorted_lines(values)
    if not _says_all(body, again):
        loads(body.decode())
    flat = body.count(b"{") + body.count(b"[") == 1 + len(values) and {*map(type, values)} == {dict}
    if not flat:
        check_depth(values, 0)
    if again[:-1].replace(b"\n", b",") == given and not any(one in given for one in _EMPTY):
        return
    for record, line in zip(having, again.split(b"\n"), strict=False):
        record.metadata = NO_METADATA if line in _EMPTY else msgspec.Raw(line)


_EMPTY = (b"null", b"{}")
