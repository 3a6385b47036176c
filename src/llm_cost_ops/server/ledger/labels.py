"""Metadata and tags of a call: their bounds and their one spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.jsontext import dumps

MAX_METADATA_BYTES = 16_384
MAX_TAGS = 64
MAX_TAG_LENGTH = 255


def is_sane(text: str) -> bool:
    """Databases disagree about trailing spaces and NUL: neither gets in."""
    return text.isprintable() and text == text.strip()


def checked_labels(body: Mapping[str, object]) -> dict[str, Any]:
    """The columns `metadata` and `tags`, as far as the body names them. Raises UsageError."""
    values: dict[str, Any] = {}
    if "metadata" in body:
        values["metadata"] = _metadata(body["metadata"])
    if "tags" in body:
        values["tags"] = _tags(body["tags"])
    return values


def _metadata(metadata: object) -> str | None:
    if metadata is not None and not isinstance(metadata, dict):
        raise UsageError("metadata", "must be an object")
    if not metadata:
        return None
    text = dumps(_sorted(cast("dict[str, object]", metadata)))
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise UsageError("metadata", f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    return text


def _tags(given: object) -> str | None:
    if given is not None and not isinstance(given, list):
        raise UsageError("tags", f"must be a list of at most {MAX_TAGS} strings")
    tags = cast("list[object]", given or [])
    if len(tags) > MAX_TAGS:
        raise UsageError("tags", f"must be a list of at most {MAX_TAGS} strings")
    for tag in tags:
        if not isinstance(tag, str) or not 1 <= len(tag) <= MAX_TAG_LENGTH or not is_sane(tag):
            raise UsageError(
                "tags", f"must be strings of 1 to {MAX_TAG_LENGTH} printable characters"
            )
    return dumps(tags) if tags else None


def _sorted(value: object) -> object:
    """Keys in order at every level, as they are when a call is recorded."""
    if isinstance(value, dict):
        items = cast("dict[str, object]", value)
        return {name: _sorted(items[name]) for name in sorted(items)}
    if isinstance(value, list):
        return [_sorted(item) for item in cast("list[object]", value)]
    return value
