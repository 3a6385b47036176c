"""The raw usage part of a body, safe to store: counts and short labels, never text of the call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from llm_cost_ops.core.providers.paths import Body
from llm_cost_ops.core.providers.shapes import Shape

_MAX_INTEGER = 2**63 - 1
_MAX_LABEL = 64
_MAX_NAMES = 1024
_MAX_ITEMS = 64
_MAX_DEPTH = 6
_DROPPED = object()


def usage_block(shape: Shape, block: Body) -> dict[str, object]:
    """The usage part under the keys that it has in the body, so that it can be read again.

    Of a body without a block of its own only the keys that the shape reads are kept. Floats become
    exact Decimals; long text, text that is not printable ASCII, huge numbers and deep nesting are
    left out.
    """
    if not shape.at:
        return _object(_drawn(block, shape.template), 0)
    kept: object = block if _plain(block) else _object(block, 0)
    for key in reversed(shape.at):
        kept = {key: kept}
    return cast("dict[str, object]", kept)


def _drawn(block: object, template: object) -> dict[str, object]:
    """The part of a body that a template names."""
    drawn: dict[str, object] = {}
    for key, spec in cast("Mapping[str, object]", template).items():
        value = cast("Body", block).get(key)
        if isinstance(spec, dict) and isinstance(value, dict):
            value = _drawn(cast("object", value), cast("object", spec))
        elif isinstance(spec, dict) and isinstance(value, list):
            item = cast("Mapping[str, object]", spec)
            value = _drawn_items(cast("list[object]", value), item)
        if value is not None:
            drawn[key] = value
    return drawn


def _drawn_items(items: list[object], spec: Mapping[str, object]) -> list[object]:
    selector, inner = next(iter(spec.items()))
    if selector == "[]":
        return [_drawn(item, inner) for item in items]
    names = {selector[1:-1]: "", cast("str", inner): ""}
    return [_drawn(item, names) for item in items]


def _plain(block: Body) -> bool:
    """Whether a block can be kept as it is: the usual case, and cheaper than a copy."""
    if not _plain_names(block):
        return False
    for value in block.values():
        kind = type(value)
        if kind is int:
            if not -_MAX_INTEGER <= cast("int", value) <= _MAX_INTEGER:
                return False
        elif kind is dict:
            if not _plain_inner(cast("dict[str, object]", value)):
                return False
        elif kind is list:
            if not _plain_items(cast("list[object]", value)):
                return False
        elif value is not None and kind is not bool and not (kind is str and _label(value)):
            return False
    return True


def _plain_inner(block: Body) -> bool:
    if not _plain_names(block):
        return False
    for value in block.values():
        if type(value) is int:
            if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
                return False
        elif value is not None and not (type(value) is str and _label(value)):
            return False
    return True


def _plain_items(items: list[object]) -> bool:
    return len(items) <= _MAX_ITEMS and all(
        type(item) is dict and _plain_inner(cast("Body", item)) for item in items
    )


def _plain_names(block: Body) -> bool:
    names = "".join(block)
    return len(names) <= _MAX_NAMES and names.isascii() and names.isprintable()


def _label(value: object) -> bool:
    text = cast("str", value)
    return len(text) <= _MAX_LABEL and text.isascii() and text.isprintable()


def _object(block: Body, depth: int) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in block.items():
        safe = _safe(value, depth + 1)
        if safe is not _DROPPED and _label(key):
            kept[key] = safe
    return kept


def _safe(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_MAX_INTEGER <= value <= _MAX_INTEGER else _DROPPED
    if isinstance(value, str):
        return value if _label(value) else _DROPPED
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else _DROPPED
    if isinstance(value, Decimal):
        short = value.is_finite() and len(value.as_tuple().digits) <= 40
        return value if short and abs(value.adjusted()) <= 40 else _DROPPED
    if depth >= _MAX_DEPTH:
        return _DROPPED
    if isinstance(value, dict):
        return _object(cast("Body", value), depth)
    if isinstance(value, list):
        items = [_safe(item, depth + 1) for item in cast("list[object]", value)[:_MAX_ITEMS]]
        return [item for item in items if item is not _DROPPED]
    return _DROPPED
