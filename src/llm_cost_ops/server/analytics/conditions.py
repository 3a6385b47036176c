"""Conditions on calls: which operators a field takes, and each as SQL.

Absent values: `ne` and `nin` hold for a call without the field (it does not have that value);
every other operator but `exists` does not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from typing import cast as typed

from sqlalchemy import ColumnElement, Text, and_, cast, exists, false, not_, or_, select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant, to_micros
from llm_cost_ops.core.money import parse_e10
from llm_cost_ops.server.analytics.fields import Field, Shape
from llm_cost_ops.server.db.dialects import contains, exactly, json_text, json_texts
from llm_cost_ops.server.db.urls import DatabaseKind

Expression = ColumnElement[Any]

MAX_VALUES = 1_000
MAX_TEXT = 255
MAX_COUNT = 2**63 - 1
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_ORDERED = (Shape.COUNT, Shape.MONEY, Shape.INSTANT)
OPERATORS = ("eq", "ne", "in", "nin", *_ORDER, "contains", "exists")


class ConditionError(DomainError):
    """A filter that cannot be applied to its field."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with values; `eq` and `ne` are `in` and `nin` of one."""

    field: Field
    relation: str
    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Sets of conditions, of which a call must meet one whole; none is met by no call."""

    ways: tuple[tuple[Condition, ...], ...]


def fields_of(item: Condition | AnyOf) -> frozenset[str]:
    """The names of the fields that are compared."""
    if isinstance(item, Condition):
        return frozenset({item.field.name})
    return frozenset(each.field.name for way in item.ways for each in way)


def condition(field: Field, relation: str, given: object, name: str) -> Condition:
    """A checked condition; `name` is what the caller called it. Raises ConditionError."""
    if relation not in OPERATORS:
        raise ConditionError(f"must be one of: {', '.join(OPERATORS)}", field=name)
    if relation == "exists":
        if not isinstance(given, bool):
            raise ConditionError("exists must be true or false", field=name)
        return Condition(field, "exists", (int(given),))
    if relation in ("in", "nin"):
        listed = typed("Sequence[object]", given) if isinstance(given, list | tuple) else None
        if listed is None or not 0 < len(listed) <= MAX_VALUES:
            raise ConditionError(f"{relation} takes a list of 1 to {MAX_VALUES} values", field=name)
        return Condition(field, relation, tuple(_value(field, v, name) for v in listed))
    if relation in _ORDER and field.shape not in _ORDERED:
        raise ConditionError(f"{relation} needs a number or a time", field=name)
    if relation == "contains" and field.shape in _ORDERED:
        raise ConditionError("contains needs a text or tags", field=name)
    kept = {"eq": "in", "ne": "nin"}.get(relation, relation)
    return Condition(field, kept, (_value(field, given, name),))


def _value(field: Field, given: object, name: str) -> str | int:
    try:
        return _PARSERS[field.shape](given, name)
    except ConditionError:
        raise
    except DomainError as error:
        raise ConditionError(error.message, field=name) from None


def _text(given: object, name: str) -> str:
    if isinstance(given, str) and 0 < len(given) <= MAX_TEXT and "\x00" not in given:
        return given
    raise ConditionError(f"must be a text of 1 to {MAX_TEXT} characters", field=name)


def _metadata_value(given: object, name: str) -> str:
    """Metadata compares by its text: true, 5 and "5" are what they look like."""
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given) if isinstance(given, int | Decimal) else _text(given, name)


def _count(given: object, name: str) -> int:
    digits = given if isinstance(given, str) and given.isascii() and given.isdigit() else None
    number = int(digits) if digits and len(digits) <= 19 else given
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) <= MAX_COUNT:
        return number
    raise ConditionError("must be a whole number", field=name)


def _instant(given: object, name: str) -> int:
    return to_micros(parse_instant(given, name))


_PARSERS: dict[Shape, Callable[[object, str], str | int]] = {
    Shape.TEXT: _text,
    Shape.TAGS: _text,
    Shape.METADATA: _metadata_value,
    Shape.COUNT: _count,
    Shape.MONEY: parse_e10,
    Shape.INSTANT: _instant,
}


def holds(
    item: Condition | AnyOf, value: Callable[[Field], Expression], kind: DatabaseKind
) -> ColumnElement[bool]:
    """The condition in SQL; `value` gives the value of a field."""
    if isinstance(item, AnyOf):
        ways = (and_(*(holds(each, value, kind) for each in way)) for way in item.ways)
        return or_(false(), *ways)
    field, relation = item.field, item.relation
    if field.shape is Shape.TAGS:
        return _tags_hold(item, value(field), kind)
    compared = value(field)
    if field.shape is Shape.METADATA:
        compared = json_text(kind, compared, field.metadata_key)
    given = item.values[0]
    if relation == "exists":
        return compared.is_not(None) if given else compared.is_(None)
    if relation == "contains":
        return contains(kind, compared, str(given))
    if relation in _ORDER:
        return _ORDER[relation](compared, given)
    among = compared.in_(item.values)
    return among if relation == "in" else or_(compared.is_(None), not_(among))


def _tags_hold(item: Condition, listed: Expression, kind: DatabaseKind) -> ColumnElement[bool]:
    if item.relation == "exists":
        any_tag = and_(listed.is_not(None), cast(listed, Text()) != "[]")
        return any_tag if item.values[0] else not_(any_tag)
    tags = json_texts(kind, listed, "wanted")
    wanted = exactly(tags.c.value).in_(item.values)
    among = exists(select(1).select_from(tags).where(wanted))
    return not_(among) if item.relation == "nin" else among
