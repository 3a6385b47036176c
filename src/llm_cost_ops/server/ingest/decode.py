"""Bytes of a request to wire records, each good or refused on its own, in order.

The whole body is decoded in C first; only when something in it does not fit are the items looked
at one by one. A bad item never poisons the others; what is not strict JSON is refused whole.
"""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import JsonError, bounded_decimal
from llm_cost_ops.server.ingest.schema import WireCost, WireRecord
from llm_cost_ops.server.ingest.strict import check_depth, say_all, settle_metadata, untyped
from llm_cost_ops.server.ingest.validate import Invalid, cost_from, record_from

NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_Wire = TypeVar("_Wire", WireRecord, WireCost)


class _Records(msgspec.Struct, forbid_unknown_fields=True):
    records: list[WireRecord]


class _RawItems(msgspec.Struct, forbid_unknown_fields=True):
    records: list[msgspec.Raw] | None = None
    costs: list[msgspec.Raw] | None = None
    entries: list[msgspec.Raw] | None = None


_one_record = msgspec.json.Decoder(WireRecord, float_hook=bounded_decimal)
_record_list = msgspec.json.Decoder(list[WireRecord], float_hook=bounded_decimal)
_record_object = msgspec.json.Decoder(_Records, float_hook=bounded_decimal)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_raw_object = msgspec.json.Decoder(_RawItems)


class TooManyRecords(DomainError):
    """More items than one request may carry."""

    code = "PAYLOAD_TOO_LARGE"


def decode_record(body: bytes) -> WireRecord | Invalid:
    """One usage record. Raises JsonError when the bytes are not strict JSON."""
    return _settled(_record(body, untyped(body)))


def decode_cost(body: bytes) -> WireCost | Invalid:
    """One caller-priced cost. Raises JsonError when the bytes are not strict JSON."""
    return _settled(cost_from(untyped(body)))


def decode_records(body: bytes, media_type: str, limit: int) -> list[WireRecord | Invalid]:
    """`{"records": [..]}`, a bare array, or one record a line.

    Raises JsonError for malformed bytes and TooManyRecords above `limit`.
    """
    return _all_settled(records_to_price(body, media_type, limit))


def records_to_price(body: bytes, media_type: str, limit: int) -> list[WireRecord | Invalid]:
    """The same, but their metadata, which no price depends on, are not looked into."""
    fast = _fast_records(body, media_type)
    if fast is not None:
        _check_count(len(fast), limit)
        return cast("list[WireRecord | Invalid]", fast)
    items = _raw_items(body, media_type, limit)
    return [_record(raw, untyped(raw)) for raw in items]


def decode_costs(body: bytes, media_type: str, limit: int) -> list[WireCost | Invalid]:
    """The same for caller-priced costs; the list may also be named `costs` or `entries`."""
    items = _raw_items(body, media_type, limit)
    return _all_settled([cost_from(untyped(raw)) for raw in items])


def _fast_records(body: bytes, media_type: str) -> list[WireRecord] | None:
    """All records decoded at once; None when one does not fit."""
    batch: object
    try:
        if media_type in NDJSON_TYPES:
            batch = records = _one_record.decode_lines(body)
        elif _is_list(body):
            batch = records = _record_list.decode(body)
        else:
            batch = _record_object.decode(body)
            records = batch.records
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not say_all(body, batch, records):
        if media_type in NDJSON_TYPES:
            return None
        untyped(body, _around(body))
    for record in records:
        if record.response is not None:
            check_depth(record.response, 1)
    return records


def _settled(item: _Wire | Invalid) -> _Wire | Invalid:
    if not isinstance(item, Invalid):
        settle_metadata([item])
    return item


def _all_settled(items: list[_Wire | Invalid]) -> list[_Wire | Invalid]:
    settle_metadata([item for item in items if not isinstance(item, Invalid)])
    return items


def _record(raw: bytes, value: object) -> WireRecord | Invalid:
    try:
        return _one_record.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return record_from(value)


def _raw_items(body: bytes, media_type: str, limit: int) -> list[bytes]:
    if media_type in NDJSON_TYPES:
        return _lines(body, limit)
    try:
        if _is_list(body):
            items = _raw_list.decode(body)
        else:
            batch = _raw_object.decode(body)
            items = batch.records or batch.costs or batch.entries
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if _begins_with_a_line(body):
            return _lines(body, limit)
        untyped(body)
        raise JsonError(f'must be {{"records": [..]}} or an array: {error}') from None
    if not items:
        raise JsonError("must hold at least one record")
    _check_count(len(items), limit)
    untyped(body, _around(body))
    return [bytes(item) for item in items]


def _around(body: bytes) -> int:
    """Levels of nesting around the records of a batch."""
    return 1 if _is_list(body) else 2


def _is_list(body: bytes) -> bool:
    return body.lstrip()[:1] == b"["


def _begins_with_a_line(body: bytes) -> bool:
    """Whether the first of several lines is JSON of its own: lines under the media type of JSON."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest:
        return False
    try:
        untyped(first)
    except JsonError:
        return False
    return True


def _lines(body: bytes, limit: int) -> list[bytes]:
    lines = [line for line in body.splitlines() if line.strip()]
    if not lines:
        raise JsonError("must hold at least one record")
    _check_count(len(lines), limit)
    return lines


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise TooManyRecords(f"a batch has at most {limit} records, this one has {count}")
    if count == 0:
        raise JsonError("must hold at least one record")
