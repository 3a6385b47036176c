"""The slow door: aliases resolved, and every fault of a record named in the documented words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar, cast

import msgspec

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.money import parse_decimal
from llm_cost_ops.server.ingest.schema import ALIASES, COST_ALIASES, WireCost, WireRecord

_Wire = TypeVar("_Wire", WireRecord, WireCost)
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_RECORD_FIELDS = frozenset(WireRecord.__struct_fields__)
_COST_FIELDS = frozenset(WireCost.__struct_fields__)
_AT = re.compile(r" - at `\$\.?([^`]*)`")
_COUNTS = (
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "latency_ms",
    "tokens_used",
)


@dataclass(frozen=True, slots=True)
class Invalid:
    """A refused item: code, message and the fields at fault."""

    code: str
    message: str
    field_errors: Mapping[str, str]

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.field_errors:
            body["field_errors"] = dict(self.field_errors)
        return body


def invalid(errors: Mapping[str, str]) -> Invalid:
    """Field faults as one refusal."""
    first = next(iter(errors.items()))
    return Invalid("VALIDATION_ERROR", f"{first[0]} {first[1]}", dict(errors))


def of_domain(error: DomainError) -> Invalid:
    """A domain error as a refusal: with a field it is a validation error (C-14)."""
    if error.field:
        return Invalid("VALIDATION_ERROR", f"{error.field} {error.message}", error.field_errors)
    return Invalid(error.code, error.message, {})


NOT_AN_OBJECT = Invalid("USAGE_001", "Invalid usage record format", {})


def record_from(value: object) -> WireRecord | Invalid:
    """A usage record from any documented spelling, or what is wrong with it."""
    if not isinstance(value, dict):
        return NOT_AN_OBJECT
    fields, errors = _canonical(cast("dict[str, object]", value), ALIASES, _RECORD_FIELDS)
    _flatten_model(fields)
    _require(fields, errors, ("provider",))
    if "response" not in fields:
        _require(fields, errors, ("model",))
    if "usage" not in fields and "response" not in fields:
        _require(fields, errors, ("prompt_tokens", "completion_tokens"))
    _check_counts(fields, errors)
    _normalise_common(fields, errors)
    return invalid(errors) if errors else _convert(fields, WireRecord)


def cost_from(value: object) -> WireCost | Invalid:
    """A caller-priced cost from any documented spelling, or what is wrong with it."""
    if not isinstance(value, dict):
        return NOT_AN_OBJECT
    fields, errors = _canonical(cast("dict[str, object]", value), COST_ALIASES, _COST_FIELDS)
    _require(fields, errors, ("model", "cost"))
    if "cost" in fields and "cost" not in errors:
        try:
            fields["cost"] = parse_decimal(fields["cost"], "cost")
        except DomainError as error:
            errors.update(error.field_errors)
    if "list_cost" in fields:
        try:
            fields["list_cost"] = parse_decimal(fields["list_cost"], "list_cost")
        except DomainError as error:
            errors.update(error.field_errors)
    _check_counts(fields, errors)
    _normalise_common(fields, errors)
    currency = fields.get("currency")
    if isinstance(currency, str):
        fields["currency"] = currency.upper()
    return invalid(errors) if errors else _convert(fields, WireCost)


def _canonical(
    value: dict[str, object], aliases: Mapping[str, str], known: frozenset[str]
) -> tuple[dict[str, object], dict[str, str]]:
    fields: dict[str, object] = {}
    errors: dict[str, str] = {}
    for name, item in value.items():
        snake = name if name in known else _CAMEL.sub(lambda m: f"_{m[1].lower()}", name)
        canonical = snake if snake in known else aliases.get(snake)
        if canonical is None:
            errors[name[:255]] = "is not a known field"
        elif canonical in fields and fields[canonical] != item:
            errors[canonical] = "is given twice with different values"
        elif item is not None:
            fields[canonical] = item
    return fields, errors


def _flatten_model(fields: dict[str, object]) -> None:
    """`model` may be an object with a name, as the command line's record format has it."""
    model = fields.get("model")
    if isinstance(model, dict):
        fields["model"] = cast("dict[str, object]", model).get("name")


def _require(fields: dict[str, object], errors: dict[str, str], names: tuple[str, ...]) -> None:
    for name in names:
        if fields.get(name) is None:
            errors.setdefault(name, "is required")


def _check_counts(fields: dict[str, object], errors: dict[str, str]) -> None:
    for name in ("prompt_tokens", *_COUNTS):
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            errors[name] = "must be an integer"
        elif value < 0:
            prompt = name == "prompt_tokens"
            errors[name] = f"must be greater than {'' if prompt else 'or equal to '}0"


def _normalise_common(fields: dict[str, object], errors: dict[str, str]) -> None:
    if "timestamp" in fields:
        try:
            fields["timestamp"] = _instant(fields["timestamp"])
        except DomainError as error:
            errors.update(error.field_errors)
    if "metadata" in fields:
        metadata = fields["metadata"]
        if isinstance(metadata, dict):
            fields["metadata"] = msgspec.Raw(_encode(cast("object", metadata)))
        else:
            errors["metadata"] = "must be an object"


def _instant(value: object) -> datetime:
    """As the fast door reads it, which rounds to microseconds; other spellings by our own rules."""
    if isinstance(value, str):
        try:
            return msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            pass  # a bare date, or no instant at all
    return parse_instant(value)


_ENCODER = msgspec.json.Encoder(decimal_format="number")


def _encode(value: object) -> bytes:
    return _ENCODER.encode(value)


def _convert(fields: dict[str, object], shape: type[_Wire]) -> _Wire | Invalid:
    raw = fields.pop("metadata", None)
    try:
        record = msgspec.convert(fields, shape, strict=True)
    except msgspec.ValidationError as error:
        return explain(str(error))
    if isinstance(raw, msgspec.Raw):
        record.metadata = raw
    return record


def explain(text: str) -> Invalid:
    """msgspec's sentence as a field and a text of ours."""
    match = _AT.search(text)
    field = match[1] if match and match[1] else "record"
    head = text[: match.start()] if match else text
    words = head.replace("Expected", "must be").replace("`", "")
    words = words.replace(", got", ", not").replace(" | null", "").replace("str", "a string", 1)
    return invalid({field: words})
