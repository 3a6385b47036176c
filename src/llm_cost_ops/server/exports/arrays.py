"""Columns of Arrow: of values, or of texts that SQLite joined."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from llm_cost_ops.server.db.joined import ABSENT, SEPARATOR, Joined

Values = Sequence[Any] | Joined


def array_of(arrow: Any, values: Values, wanted: Any) -> Any:
    """The values as an array of the type `wanted`, byte for byte the same of both: an exported
    month has to be. Raises what pyarrow does of values that are not of the type."""
    if not isinstance(values, Joined):
        return arrow.array(values, wanted)
    if values.known == 0:
        return arrow.array([None] * values.rows, wanted)
    compute = importlib.import_module("pyarrow.compute")
    text = arrow.large_string() if arrow.types.is_large_string(wanted) else arrow.string()
    parts = compute.split_pattern(arrow.array([values.text], text), SEPARATOR).values
    if values.known < values.rows:
        absent = compute.equal(parts, ABSENT)  # `if_else` would keep what stands under it
        parts = compute.replace_with_mask(parts, absent, arrow.scalar(None, text))
    return parts if parts.type == wanted else parts.cast(wanted)


def listed(values: Values) -> Sequence[Any]:
    """The values one by one."""
    return values.values() if isinstance(values, Joined) else values
