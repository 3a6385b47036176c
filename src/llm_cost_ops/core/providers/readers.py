"""Readers of usage blocks: a template of `shapes.json` compiled to nested closures.

A reader adds the counts that it finds to `usage` and tells whether there were any. It raises
UsageError with the path of a count that is missing or is no count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.counts import header, integral, seconds, whole
from llm_cost_ops.core.providers.paths import Body
from llm_cost_ops.core.usage import FRACTIONAL_KINDS, KINDS, MAX_QUANTITY, Quantity

Convert = Callable[[object, str], Quantity]
"""(value, its path) -> count, for a value that is not plainly one."""

Reader = Callable[[Body, dict[str, Quantity]], bool]

CONVERTERS: Mapping[str, Convert] = MappingProxyType(
    {"whole": whole, "integral": integral, "text": header}
)

_Leaf = tuple[str, tuple[str, ...], bool, str, Convert]


def object_reader(template: Mapping[str, Any], path: str, convert: Convert) -> Reader:
    leaves: list[_Leaf] = []
    spellings: list[_Leaf] = []
    inner: list[tuple[str, str, Reader, bool]] = []
    for key, spec in template.items():
        where = f"{path}.{key}" if path else key
        if isinstance(spec, Mapping):
            spec = cast("Mapping[str, Any]", spec)
            inner.append((key, where, *_inner_reader(spec, where, convert)))
        else:
            (spellings if spec.endswith("?") else leaves).append(_leaf(key, spec, where, convert))
    if not inner and not spellings:
        return _flat(tuple(leaves))
    return _nested(tuple(leaves), tuple(inner), tuple(spellings))


def _leaf(key: str, spec: str, where: str, convert: Convert) -> _Leaf:
    kinds = tuple(spec.rstrip("!?").split())
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"{where} names unknown usage kinds {unknown}")
    own = seconds if FRACTIONAL_KINDS.intersection(kinds) else convert
    return key, kinds, spec.endswith("!"), where, own


def _flat(leaves: tuple[_Leaf, ...]) -> Reader:
    def read(block: Body, usage: dict[str, Quantity]) -> bool:
        get = block.get
        seen = False
        for key, kinds, required, where, convert in leaves:
            value = get(key)
            if value is None:
                if required:
                    raise UsageError(where, "is missing")
                continue
            seen = True
            if type(value) is not int or not 0 <= value <= MAX_QUANTITY:
                value = convert(value, where)
            if value:
                for kind in kinds:
                    usage[kind] = usage.get(kind, 0) + value
        return seen

    return read


def _nested(
    leaves: tuple[_Leaf, ...],
    inner: tuple[tuple[str, str, Reader, bool], ...],
    spellings: tuple[_Leaf, ...],
) -> Reader:
    read_leaves = _flat(leaves)
    alternates = tuple((leaf[1][-1], _flat((leaf,))) for leaf in spellings)

    def read(block: Body, usage: dict[str, Quantity]) -> bool:
        seen = read_leaves(block, usage)
        for key, where, reader, listed in inner:
            value = block.get(key)
            if value is None:
                continue
            if not listed and not isinstance(value, dict):
                raise UsageError(where, "must be an object")
            if reader(cast("Body", value), usage):
                seen = True
        for kind, reader in alternates:
            if kind not in usage and reader(block, usage):
                seen = True
        return seen

    return read


def _inner_reader(template: Mapping[str, Any], where: str, convert: Convert) -> tuple[Reader, bool]:
    """Reader of what stands inside a key, and whether that is a list."""
    first, spec = next(iter(template.items()))
    if first == "[]":
        return _each_item(object_reader(spec, f"{where}[]", convert), where), True
    if first.startswith("["):
        field = first[1:-1]
        by_name = {
            name: _leaf(spec, kinds, f"{where}[{name}].{spec}", convert)
            for name, kinds in template.items()
            if name != first
        }
        return _named_items(field, by_name, where), True
    return object_reader(template, where, convert), False


def _each_item(reader: Reader, where: str) -> Reader:
    def read(block: object, usage: dict[str, Quantity]) -> bool:
        seen = False
        for item in _items(block, where):
            seen = reader(item, usage) or seen
        return seen

    return cast("Reader", read)


def _named_items(field: str, by_name: Mapping[str, _Leaf], where: str) -> Reader:
    def read(block: object, usage: dict[str, Quantity]) -> bool:
        seen = False
        for item in _items(block, where):
            name = item.get(field)
            leaf = by_name.get(name) if isinstance(name, str) else None
            value = None if leaf is None else item.get(leaf[0])
            if leaf is None or value is None:
                continue
            seen = True
            if type(value) is not int or not 0 <= value <= MAX_QUANTITY:
                value = leaf[4](value, leaf[3])
            if value:
                for kind in leaf[1]:
                    usage[kind] = usage.get(kind, 0) + value
        return seen

    return cast("Reader", read)


def _items(block: object, where: str) -> Iterator[Body]:
    if not isinstance(block, list):
        raise UsageError(where, "must be a list")
    for item in cast("list[object]", block):
        if not isinstance(item, dict):
            raise UsageError(where, "must hold objects only")
        yield cast("Body", item)
