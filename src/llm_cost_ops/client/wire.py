"""Between Python values and the wire: JSON bodies with exact numbers, and query parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

from llm_cost_ops.client.amount import PLACES, WIDE, Amount, Number, exact
from llm_cost_ops.core import jsontext
from llm_cost_ops.exceptions import ValidationError

Params = list[tuple[str, str]]
NAME_LISTS = frozenset(("group_by", "metrics", "fields", "order_by"))
"""Lists of our own names, sent with commas; other lists repeat the key: values may hold commas."""


def encode(body: object) -> bytes:
    """Compact JSON. A float goes out as the digits it prints as, a Decimal digit by digit.

    None entries of objects are left out: None means "not given". Raises ValidationError for a value
    that JSON cannot carry.
    """
    return jsontext.dumps(prepare(body)).encode()


def decode(text: bytes) -> Any:
    """JSON with every fractional number as an exact Amount. Raises ValueError."""
    return json.loads(text, parse_float=Amount)


def money(value: Number | str | None) -> Decimal | str | None:
    """A caller's amount, rounded half-even to the ledger's ten places; 3 * 0.003 becomes 0.009.

    A string is sent as it is, for the server to judge.
    """
    if value is None or isinstance(value, str):
        return value
    number = exact(value)
    if not number.is_finite():
        raise unfit("cost", f"{value!r} is not an amount")
    return number.quantize(PLACES, context=WIDE)


def instant(value: date) -> str:
    """ISO 8601: a bare date stays a whole day, a naive datetime is local time, the rest is UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat()


def query(params: Mapping[str, Any]) -> Params:
    """Query parameters, None left out; `filters={..}` is spread, `metadata={..}` is metadata.x."""
    pairs: Params = []
    for name, value in params.items():
        if value is None:
            continue
        if name == "filters":
            pairs += query(cast("Mapping[str, Any]", value))
        elif isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            pairs += query({f"{name}.{key}": item for key, item in inner.items()})
        elif isinstance(value, list | tuple | set | frozenset):
            texts = [_text(item) for item in cast("Iterable[Any]", value)]
            if name in NAME_LISTS and texts:
                texts = [",".join(texts)]
            elif len(texts) == 1 and "," in texts[0]:
                texts *= 2  # a value that stands alone would be read as a list with commas
            pairs += [(name, text) for text in texts]
        else:
            pairs.append((name, _text(value)))
    return pairs


def fields_of(value: object) -> dict[str, Any]:
    """The fields of a record given as mapping, dataclass, pydantic model or plain object."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if hasattr(value, "__dataclass_fields__"):
        from dataclasses import asdict

        return asdict(cast("Any", value))
    dump = getattr(value, "model_dump", None) or getattr(value, "to_dict", None)
    if callable(dump):
        return dict(cast("Mapping[str, Any]", dump()))
    if hasattr(value, "__dict__"):
        return dict(vars(value))
    raise unfit("record", f"must be a mapping or an object with fields, not {type(value).__name__}")


def unfit(field: str, text: str) -> ValidationError:
    """The error for an argument that is refused before anything is sent."""
    return ValidationError(f"{field} {text}", field_errors={field: text}, code="VALIDATION_ERROR")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return instant(value)
    if isinstance(value, float | Decimal):
        return f"{exact(value):f}"
    return str(value)


def prepare(value: Any) -> Any:
    """The value in JSON types, floats as the digits they print as, None fields left out."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | Decimal):
        number = exact(value)
        if not number.is_finite():
            raise unfit("value", f"{value!r} is not a JSON number")
        return number
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): prepare(item) for key, item in items if item is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [prepare(item) for item in cast("Iterable[Any]", value)]
    if isinstance(value, date):
        return instant(value)
    try:
        return prepare(fields_of(value))
    except ValidationError:
        raise unfit("value", f"of type {type(value).__name__} cannot be sent as JSON") from None
