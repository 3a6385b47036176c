"""Scopes: which calls something is about, by who made them, with what and how they are labelled.

A scope names dimensions with one or more values each: a call is inside when every dimension has one
of its values. `tags` is met by any tag of the call, `metadata.KEY` by the value under that key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.money import plain

COLUMNS = (
    "provider",
    "model",
    "project_id",
    "team_id",
    "user_id",
    "api_key_id",
    "environment",
    "feature",
)
TAGS = "tags"
METADATA = "metadata."
MAX_VALUES = 100
MAX_LENGTH = 255
_NOBODY: frozenset[str] = frozenset()


def is_label(dimension: str) -> bool:
    """Whether it is none of the columns, but tags or a key of the metadata."""
    return dimension == TAGS or dimension.startswith(METADATA)


class ScopeError(DomainError):
    """A scope that names an unknown dimension, or values that no call can have."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a scope looks at in a call: the columns it has, its tags and its metadata as texts."""

    columns: Mapping[str, str | None]
    tags: frozenset[str] = _NOBODY
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def values(self, dimension: str) -> Iterable[str]:
        """The values of a dimension, none when the call has none."""
        if dimension == TAGS:
            return self.tags
        if dimension.startswith(METADATA):
            value = self.metadata.get(dimension[len(METADATA) :])
        else:
            value = self.columns.get(dimension)
        return () if value is None else (value,)


@dataclass(frozen=True, slots=True)
class Scope:
    """Dimensions in order, each with its values. Without any it is the whole organization."""

    dimensions: tuple[tuple[str, frozenset[str]], ...] = ()

    def holds(self, facts: Facts) -> bool:
        """Whether a call is inside."""
        return all(
            any(value in values for value in facts.values(dimension))
            for dimension, values in self.dimensions
        )

    def is_within(self, other: Scope) -> bool:
        """Whether every call inside this scope is inside the other one, as far as can be seen from
        their dimensions."""
        own = dict(self.dimensions)
        return all(
            dimension in own and own[dimension] <= values for dimension, values in other.dimensions
        )

    def also(self, dimension: str, value: str) -> Scope:
        """The part of this scope with one value of a dimension."""
        others = [each for each in self.dimensions if each[0] != dimension]
        return Scope(tuple(sorted([*others, (dimension, frozenset({value}))])))

    def wire(self) -> dict[str, Any]:
        """As people write it: one value bare, several as a list, metadata as an object."""
        shown: dict[str, Any] = {}
        for dimension, values in self.dimensions:
            listed = sorted(values)
            value: object = listed if len(listed) > 1 or dimension == TAGS else listed[0]
            if dimension.startswith(METADATA):
                shown.setdefault("metadata", {})[dimension[len(METADATA) :]] = value
            else:
                shown[dimension] = value
        return shown


WHOLE = Scope()


def parse_scope(
    given: Mapping[str, object], provider: Callable[[str], str] = str, field_name: str = "scope"
) -> Scope:
    """A scope from JSON; `provider` gives the canonical id of a provider. Raises ScopeError."""
    found: dict[str, frozenset[str]] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name == "metadata" and isinstance(value, Mapping):
            for key, inner in cast("Mapping[str, object]", value).items():
                found[METADATA + key] = _values(inner, f"{field_name}.metadata.{key}")
            continue
        dimension = TAGS if name == "tag" else name
        known = dimension in COLUMNS or dimension == TAGS or dimension.startswith(METADATA)
        if not known or dimension == METADATA:
            raise ScopeError("is not a known field", field=f"{field_name}.{name}")
        found[dimension] = _values(value, f"{field_name}.{name}")
    if "provider" in found:
        found["provider"] = frozenset(provider(name) for name in found["provider"])
    return Scope(tuple(sorted(found.items())))


def _values(value: object, where: str) -> frozenset[str]:
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    if not 1 <= len(listed) <= MAX_VALUES:
        raise ScopeError(f"must be a string or a list of 1 to {MAX_VALUES} strings", field=where)
    return frozenset(_text(item, where) for item in listed)


def _text(item: object, where: str) -> str:
    if not isinstance(item, str) or not 1 <= len(item) <= MAX_LENGTH:
        raise ScopeError(f"must be strings of 1 to {MAX_LENGTH} characters", field=where)
    if not item.isprintable() or item != item.strip():
        raise ScopeError("must not hold control characters or surrounding spaces", field=where)
    return item


def metadata_texts(metadata: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Metadata as a scope compares it: texts as they are, numbers in plain digits, anything else as
    JSON with sorted keys; null is no value."""
    for key, value in metadata.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, bool):
            yield key, "true" if value else "false"
        elif isinstance(value, int | Decimal):
            yield key, plain(Decimal(value))
        elif value is not None:
            yield key, dumps(_sorted(value))


def _sorted(value: object) -> object:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value)
        return {name: _sorted(items[name]) for name in sorted(items)}
    if isinstance(value, list):
        return [_sorted(item) for item in cast("list[object]", value)]
    return value
