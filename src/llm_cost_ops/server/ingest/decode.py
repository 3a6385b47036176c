"""Bytes of a request to wire records, each good or refused on its own, in order.

The whole body is decoded in C first; only when something in it does not fit are the items looked
at one by one. A bad item never poisons the others.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import MAX_DEPTH, JsonError, loads
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord
from llm_cost_ops.server.ingest.validate import Invalid, cost_from, record_from

NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_Wire = TypeVar("_Wire", WireRecord, WireCost)


class _Records(msgspec.Struct, forbid_unknown_fields=True):
    records: list[WireRecord]


class _RawItems(msgspec.Struct, forbid_unknown_fields=True):
    records: list[msgspec.Raw] | None = None
    costs: list[msgspec.Raw] | None = None
    entries: list[msgspec.Raw] | None = None


_one_record = msgspec.json.Decoder(WireRecord, float_hook=Decimal)
_record_list = msgspec.json.Decoder(list[WireRecord], float_hook=Decimal)
_record_object = msgspec.json.Decoder(_Records, float_hook=Decimal)
_one_cost = msgspec.json.Decoder(WireCost, float_hook=Decimal)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_raw_object = msgspec.json.Decoder(_RawItems)
_untyped = msgspec.json.Decoder(float_hook=Decimal)


class TooManyRecords(DomainError):
    """More items than one request may carry."""

    code = "PAYLOAD_TOO_LARGE"


def decode_record(body: bytes) -> WireRecord | Invalid:
    """One usage record. Raises JsonError when the bytes are not strict JSON."""
    return _one(body, _one_record, record_from)


def decode_cost(body: bytes) -> WireCost | Invalid:
    """One caller-priced cost. Raises JsonError when the bytes are not strict JSON."""
    return _one(body, _one_cost, cost_from)


def decode_records(body: bytes, media_type: str, limit: int) -> list[WireRecord | Invalid]:
    """`{"records": [..]}`, a bare array, or one record a line.

    Raises JsonError for malformed bytes and TooManyRecords above `limit`.
    """
    if media_type not in NDJSON_TYPES:
        fast = _fast_records(body)
        if fast is not None:
            _check_count(len(fast), limit)
            return fast
    items = _raw_items(body, media_type, limit)
    return [_one(item, _one_record, record_from) for item in items]


def decode_costs(body: bytes, media_type: str, limit: int) -> list[WireCost | Invalid]:
    """The same for caller-priced costs; the list may also be named `costs` or `entries`."""
    items = _raw_items(body, media_type, limit)
    return [_one(item, _one_cost, cost_from) for item in items]


def untyped(body: bytes) -> Any:
    """Strict JSON with exact numbers. Raises JsonError."""
    try:
        value = _untyped.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError(f"not valid JSON: {error}") from None
    except RecursionError:
        raise JsonError(f"JSON is nested deeper than {MAX_DEPTH}") from None
    if _keys(value, 0) != body.count(b'":'):
        _refuse_duplicate_keys(body)
    return value


def _fast_records(body: bytes) -> list[WireRecord | Invalid] | None:
    try:
        if body.lstrip()[:1] == b"[":
            records = _record_list.decode(body)
        else:
            records = _record_object.decode(body).records
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    untyped(body)
    return cast("list[WireRecord | Invalid]", records)


def _one(
    body: bytes | msgspec.Raw,
    decoder: msgspec.json.Decoder[_Wire],
    slow: Callable[[object], _Wire | Invalid],
) -> _Wire | Invalid:
    raw = bytes(body)
    value = untyped(raw)
    try:
        return decoder.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return slow(value)


def _raw_items(body: bytes, media_type: str, limit: int) -> list[msgspec.Raw]:
    if media_type in NDJSON_TYPES:
        return _lines(body, limit)
    try:
        if body.lstrip()[:1] == b"[":
            items = _raw_list.decode(body)
        else:
            batch = _raw_object.decode(body)
            items = batch.records or batch.costs or batch.entries
    except msgspec.ValidationError as error:
        untyped(body)
        raise JsonError(f'must be {{"records": [..]}} or an array: {error}') from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if b"\n{" in body and "trailing" in str(error):
            return _lines(body, limit)
        raise JsonError(f"not valid JSON: {error}") from None
    if not items:
        raise JsonError("must hold at least one record")
    _check_count(len(items), limit)
    untyped(body)
    return items


def _lines(body: bytes, limit: int) -> list[msgspec.Raw]:
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise JsonError("must hold at least one record")
    _check_count(len(lines), limit)
    return [msgspec.Raw(line) for line in lines]


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise TooManyRecords(f"a batch has at most {limit} records, this one has {count}")
    if count == 0:
        raise JsonError("must hold at least one record")


def _keys(value: object, depth: int) -> int:
    """Number of object keys in a document; refuses deep nesting."""
    if depth > MAX_DEPTH:
        raise JsonError(f"JSON is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        items = cast("dict[str, object]", value)
        total = len(items)
        for item in items.values():
            if item.__class__ is dict or item.__class__ is list:
                total += _keys(item, depth + 1)
        return total
    if isinstance(value, list):
        total = 0
        for item in cast("list[object]", value):
            if item.__class__ is dict or item.__class__ is list:
                total += _keys(item, depth + 1)
        return total
    return 0


def _refuse_duplicate_keys(body: bytes) -> None:
    """The count of `":` differs from the keys that survived: look properly.

    Spaces before a colon and quotes inside strings make the same difference, so this decides.
    """
    loads(body.decode())
