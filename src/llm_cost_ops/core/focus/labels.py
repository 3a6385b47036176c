"""Tags and metadata as the specification's key-value format: an object of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from llm_cost_ops.core.focus.calls import Labels
from llm_cost_ops.core.jsontext import dumps


def key_values(labels: Labels | None) -> str | None:
    """JSON text with keys in order, None of no labels.

    A label without a value is `true`. Values are numbers, texts, booleans or null; a value that is
    an object or a list, which the format does not allow, is its JSON text.
    """
    if not labels:
        return None
    if isinstance(labels, str):
        return labels
    if isinstance(labels, Mapping):
        return dumps({key: _plain(labels[key]) for key in sorted(labels)})
    return _tags(tuple(labels))


@lru_cache(maxsize=4096)  # the same few lists of tags are on most calls
def _tags(labels: tuple[str, ...]) -> str:
    return dumps(dict.fromkeys(sorted(labels), True))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dumps(cast("Mapping[str, object]", value))
    if isinstance(value, list | tuple):
        return dumps(cast("list[object]", value))
    return value
