"""Decoded JSON bodies and paths of keys into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

Body = Mapping[str, object]
"""A decoded JSON object: the objects inside it are dicts, as every JSON decoder makes them."""

Path = tuple[str, ...]


def at_path(body: object, path: Path) -> object:
    """The value at a path of keys; None when a step is missing or not an object."""
    for key in path:
        if not isinstance(body, dict):
            return None
        body = cast("dict[str, object]", body).get(key)
    return body


def objects_in(value: object) -> Iterator[Body]:
    """The objects of a list; nothing when it is no list."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            if isinstance(item, dict):
                yield cast("Body", item)
