"""Bodies: exact JSON out, strict JSON in.

Out: a Decimal is written digit by digit, never with an exponent and never through a float. In:
duplicate keys, NaN, lone surrogates, NUL, byte order marks, UTF-16, deep nesting and numbers of
thousands of digits are refused, so that no two readers see two documents in the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import msgspec
from starlette.responses import Response

from llm_cost_ops.core.instant import format_instant
from llm_cost_ops.core.jsontext import JsonError, dumps, loads
from llm_cost_ops.core.money import plain

MEDIA_TYPE = "application/json; charset=utf-8"
_CONTENT_TYPE = (b"content-type", MEDIA_TYPE.encode("ascii"))
_encode = msgspec.json.Encoder().encode
_PLAIN = (str, int, bool, type(None))
_PLAIN_TYPES = frozenset(_PLAIN)
_Written = dict[int, tuple[Decimal, msgspec.Raw]]


def encode(value: object) -> bytes:
    """Compact JSON. Raises TypeError for a float: money must not pass through one."""
    prepared = _exact(value, {})
    try:
        return _encode(prepared)
    except OverflowError:  # a whole number beyond 64 bits
        return dumps(_without_raw(prepared)).encode()


def encode_written(value: Mapping[str, object]) -> bytes:
    """The same for values that hold no Decimal, because their numbers are written out as
    `msgspec.Raw` already, and no whole number beyond 64 bits."""
    return _encode(value)


def _exact(value: object, written: _Written) -> object:
    """The value with its decimals written out, each object once: a group shows the same cost under
    three names. `written` also keeps them, so that no other object gets the identity of one."""
    kind = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if kind is dict:
        given = cast("dict[str, object]", value)
        made = given.copy()  # and only what is not plain is put in its place
        for name, item in given.items():
            if type(item) in _PLAIN_TYPES:
                continue
            if type(item) is Decimal:
                known = written.get(id(item))
                if known is None:
                    known = written[id(item)] = (item, msgspec.Raw(plain(item)))
                made[name] = known[1]
            else:
                made[name] = _exact(item, written)
        return made
    if kind is list or kind is tuple:
        return [_exact(item, written) for item in cast("Sequence[object]", value)]
    return _exact_other(value, written)


def _exact_other(value: object, written: _Written) -> object:
    if isinstance(value, Decimal):
        return msgspec.Raw(plain(value))
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Mapping):
        return _exact(dict(cast("Mapping[str, object]", value)), written)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return _exact(list(cast("Sequence[object]", value)), written)
    kind = type(cast("object", value)).__name__
    raise TypeError(f"{kind} has no exact JSON form")


def _without_raw(value: object) -> object:
    if isinstance(value, msgspec.Raw):
        return Decimal(bytes(value).decode())
    if isinstance(value, dict):
        return {k: _without_raw(v) for k, v in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_without_raw(item) for item in cast("list[object]", value)]
    return value


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in exact JSON."""
    return json_bytes(encode(value), status, headers)


def json_bytes(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer whose JSON is already written."""
    return _JsonResponse(body, status, headers)


class _JsonResponse(Response):
    """Starlette's response without the work of finding out what the headers of JSON are: length and
    type are its own, `headers` are others."""

    media_type = MEDIA_TYPE

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str] | None) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _CONTENT_TYPE]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))


def decode(data: bytes) -> Any:
    """Strict JSON with numbers as int or Decimal. Raises JsonError (INVALID_REQUEST, 400)."""
    if not data or data.isspace():
        raise JsonError("The body is empty; JSON was expected.")
    if data[:2] in (b"\xfe\xff", b"\xff\xfe") or data.startswith(b"\xef\xbb\xbf"):
        raise JsonError("The body begins with a byte order mark; plain UTF-8 was expected.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonError("The body is not UTF-8.") from None
    value = loads(text)
    if "\\u0000" in text:
        _refuse_nul(value)
    return value


def _refuse_nul(value: object) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise JsonError("JSON text holds a NUL character.")
        elif isinstance(item, dict):
            for key, inner in cast("dict[str, object]", item).items():
                pending += (key, inner)
        elif isinstance(item, list):
            pending += cast("list[object]", item)
