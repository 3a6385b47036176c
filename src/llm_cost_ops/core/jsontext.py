"""JSON text with exact numbers: Decimal goes out digit by digit and comes in as Decimal.

Reading is strict: duplicate keys, NaN, infinities and lone surrogates are refused, so that every
reader of the same bytes sees the same document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.money import plain

MAX_DEPTH = 64
_text = json.encoder.encode_basestring  # `json.dumps` makes an encoder for each text


class JsonError(DomainError):
    """Text that is not strict JSON."""

    code = "INVALID_REQUEST"


def dumps(value: object) -> str:
    """Compact JSON. Raises TypeError for a float: money must not pass through one."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value).items()
        return "{" + ",".join(f"{_text(k)}:{dumps(v)}" for k, v in pairs) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(dumps(item) for item in cast("Sequence[object]", value)) + "]"
    raise TypeError(f"{type(value).__name__} has no exact JSON form")


def canonical(text: str) -> str:
    """The one text of a JSON document: keys in order, numbers without exponent, trailing zeros or
    the sign of zero. What a database that parses JSON gives back has the same. Raises JsonError."""
    try:
        return dumps(_in_order(json.loads(text, parse_float=Decimal)))
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise JsonError(f"not valid JSON: {error}") from None


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: _in_order(items[key]) for key in sorted(items)}
    if isinstance(value, list):
        return [_in_order(item) for item in cast("list[Any]", value)]
    return value


def loads(text: str) -> Any:
    """Strict JSON with numbers as int or Decimal. Raises JsonError."""
    try:
        value = json.loads(
            text,
            parse_float=bounded_decimal,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
        text.encode()
    except RecursionError:
        raise JsonError("JSON is nested too deeply") from None
    except UnicodeEncodeError:
        raise JsonError("JSON text holds a lone surrogate") from None
    except ValueError as error:
        raise JsonError(f"not valid JSON: {error}") from None
    _check(value, 0)
    return value


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise JsonError(f"JSON is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise JsonError("JSON text holds a lone surrogate") from None
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            _check(key, depth)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _check(item, depth + 1)


def bounded_decimal(text: str) -> Decimal:
    """A JSON number that every database can hold. Raises ValueError for any other."""
    number = Decimal(text)
    if len(text) > 100 or (number and abs(number.adjusted()) > 400):
        raise ValueError("number out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > 100:
        raise ValueError("number out of range")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names a key twice")
    return result
