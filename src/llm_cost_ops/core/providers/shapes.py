"""Shapes of provider responses: `shapes.json` compiled to readers, once and on first use.

A shape draws the usage part of a body with usage kinds in place of counts; the file explains its
own notation. `profile_for` gives the shapes as one provider speaks them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.paths import Body, Path, at_path
from llm_cost_ops.core.providers.readers import CONVERTERS, Reader, object_reader

_PACKAGE = "llm_cost_ops.core.providers"

CUSTOM = ""
"""Profile of providers that are not in the file: every shape in its most tolerant form."""


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


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    from importlib.resources import files  # a slow import that only the first extraction needs

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
    convert = CONVERTERS[definition.get("numbers", "whole")]
    region = definition.get("region")
    return Shape(
        name=name,
        at=at,
        template=counts,
        read=object_reader(counts, ".".join(at), convert),
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
