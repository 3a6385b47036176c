"""Shapes of provider responses: `shapes.json` compiled to readers, once and on first use.

A shape draws the usage part of a body with usage kinds in place of counts; the file explains its
own notation. `profile_for` gives the shapes as one provider speaks them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, NoReturn, cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.counts import header, integral, seconds, whole
from llm_cost_ops.core.usage import FRACTIONAL_KINDS, KINDS, MAX_QUANTITY, Quantity

Body = Mapping[str, object]
"""A decoded JSON object: the objects inside it are dicts, as every JSON decoder makes them."""
Reader = Callable[[Body, dict[str, Quantity]], bool]
"""Adds the counts of a block to usage; False when the block has none of them."""
Path = tuple[str, ...]
_Convert = Callable[[object, str], Quantity]
_Leaf = tuple[str, tuple[str, ...], bool, str, _Convert]

_PACKAGE = "llm_cost_ops.core.providers"

CUSTOM = ""
"""Profile of providers that are not in the file: every shape in its most tolerant form."""

_CONVERTERS: Mapping[str, _Convert] = {"whole": whole, "integral": integral, "text": header}


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to report usage: where the block is, how to read it, and what stands around it."""

    name: str
    at: Path
    template: Mapping[str, object]
    read: Reader
    marks: tuple[Path, ...]
    total: str | None
    adds: bool
    tier: tuple[Path, ...]
    region: Path | None
    model: tuple[Path, ...]
    id: tuple[Path, ...]
    notes: tuple[str, ...]

    def fits(self, body: Body) -> bool:
        """Whether the block is there with its first required count, or with any of its keys."""
        block = at_path(body, self.at)
        return any(at_path(block, mark) is not None for mark in self.marks)


@dataclass(frozen=True, slots=True)
class Cost:
    """Where a provider states its own charge, in USD or in 10**-scale USD."""

    at: Path
    scale: int


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes as one provider speaks them: by shape name, and in order of trial by flavour."""

    provider: str
    shapes: Mapping[str, Shape]
    flavours: Mapping[str, tuple[Shape, ...]]
    prefers: str
    cost: Cost | None


def at_path(body: object, path: Path) -> object:
    """The value at a path of keys; None when a step is missing or not an object."""
    for key in path:
        if not isinstance(body, dict):
            return None
        body = cast("dict[str, object]", body).get(key)
    return body


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return json.loads(files(_PACKAGE).joinpath("shapes.json").read_text("utf-8"))


@lru_cache(maxsize=1)
def _all_shapes() -> Mapping[str, Shape]:
    definitions = cast("dict[str, dict[str, Any]]", _document()["shapes"])
    return {name: _shape(name, _resolved(name, definitions)) for name in definitions}


def _resolved(name: str, definitions: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    own = definitions[name]
    if "like" not in own:
        return own
    base = _resolved(own["like"], definitions)
    counts = _without(base["counts"], frozenset(own.get("without", ())))
    return {**base, **own, "counts": _merged(counts, own.get("counts", {}))}


def _without(template: Mapping[str, Any], kinds: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, spec in template.items():
        if isinstance(spec, Mapping):
            inner = _without(cast("Mapping[str, Any]", spec), kinds)
            if any(name == "[]" or not name.startswith("[") for name in inner):
                kept[key] = inner
        elif spec.rstrip("!?").split()[-1] not in kinds:
            kept[key] = spec
    return kept


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, spec in over.items():
        both = isinstance(spec, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], cast("Mapping[str, Any]", spec)) if both else spec
    return merged


def _shape(name: str, definition: Mapping[str, Any]) -> Shape:
    at: Path = tuple(definition["at"])
    counts: Mapping[str, Any] = definition["counts"]
    convert = _CONVERTERS[definition.get("numbers", "whole")]
    region = definition.get("region")
    return Shape(
        name=name,
        at=at,
        template=counts,
        read=_object_reader(counts, ".".join(at), convert),
        marks=_marks(counts),
        total=definition.get("total"),
        adds=_adds(counts),
        tier=_paths(definition.get("tier", ())),
        region=_path(region) if region else None,
        model=_paths(definition.get("model", ("model",))),
        id=_paths(definition.get("id", ("id",))),
        notes=tuple(definition.get("notes", ())),
    )


def _path(text: str) -> Path:
    return tuple(text.split("."))


def _paths(texts: Sequence[str]) -> tuple[Path, ...]:
    return tuple(_path(text) for text in texts)


def _marks(template: Mapping[str, Any]) -> tuple[Path, ...]:
    required = _first_required(template)
    return (required,) if required else tuple((key,) for key in template)


def _first_required(template: Mapping[str, Any]) -> Path | None:
    for key, spec in template.items():
        if isinstance(spec, Mapping):
            inner = _first_required(cast("Mapping[str, Any]", spec))
            if inner:
                return (key, *inner)
        elif spec.endswith("!"):
            return (key,)
    return None


def _adds(template: Mapping[str, Any]) -> bool:
    """Whether several counts can go into one kind, so that a sum can leave the range of counts."""
    kinds = list(_kinds(template))
    return len(kinds) > len(set(kinds))


def _kinds(template: Mapping[str, Any]) -> Iterator[str]:
    """The kinds of a template, those of a list twice."""
    for key, spec in template.items():
        if isinstance(spec, Mapping):
            yield from _kinds(cast("Mapping[str, Any]", spec))
            if key == "[]":
                yield from _kinds(cast("Mapping[str, Any]", spec))
        elif key.startswith("["):
            yield from ("item", "item")
        elif not spec.endswith("?"):
            yield from spec.rstrip("!").split()


def _object_reader(template: Mapping[str, Any], path: str, convert: _Convert) -> Reader:
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


def _leaf(key: str, spec: str, where: str, convert: _Convert) -> _Leaf:
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


def _inner_reader(
    template: Mapping[str, Any], where: str, convert: _Convert
) -> tuple[Reader, bool]:
    """Reader of what stands inside a key, and whether that is a list."""
    first, spec = next(iter(template.items()))
    if first == "[]":
        return _each_item(_object_reader(spec, f"{where}[]", convert), where), True
    if first.startswith("["):
        field = first[1:-1]
        by_name = {
            name: _leaf(spec, kinds, f"{where}[{name}].{spec}", convert)
            for name, kinds in template.items()
            if name != first
        }
        return _named_items(field, by_name, where), True
    return _object_reader(template, where, convert), False


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


PROFILES: dict[str, Profile] = {}
"""Compiled profiles by canonical provider id: only ids of the file and CUSTOM, so it is bounded."""


def profile_for(provider: str) -> Profile:
    """The profile of a canonical provider id; the custom one when the file does not name it."""
    entries = cast("dict[str, dict[str, Any]]", _document()["providers"])
    key = provider if provider in entries else CUSTOM
    profile = PROFILES.get(key)
    if profile is None:
        profile = PROFILES[key] = _profile(key, entries.get(key, {}))
    return profile


def _profile(provider: str, entry: Mapping[str, Any]) -> Profile:
    shapes = _all_shapes()
    own = {general: shapes[name] for general, name in entry.get("shapes", {}).items()}
    spoken = {**shapes, **own}
    flavours = {
        flavour: tuple(spoken[name] for name in names)
        for flavour, names in cast("dict[str, list[str]]", _document()["flavours"]).items()
    }
    cost = entry.get("cost")
    return Profile(
        provider=provider,
        shapes=spoken,
        flavours=flavours,
        prefers=entry.get("prefers", "responses"),
        cost=Cost(_path(cost["at"]), cost.get("scale", 0)) if cost else None,
    )


def refuse_flavour(profile: Profile) -> NoReturn:
    """Raise the error for an api_flavor that does not exist."""
    raise UsageError("api_flavor", f"must be one of {', '.join(profile.flavours)}")
