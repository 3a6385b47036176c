"""Calls as an exported table, net of their corrections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.analytics.pages import COLUMNS, Order
from llm_cost_ops.server.analytics.prefetch import prefetched
from llm_cost_ops.server.analytics.restated import difference_rows, restated_calls
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.stream import call_batches, picker
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.joined import Joined, JoinedRows
from llm_cost_ops.server.exports.columns import Batch, Column, Exported, Kind

_TEXTS = (
    "id", "event_id", "source", "organization_id", "provider", "project_id", "team_id", "user_id",
    "api_key_id", "environment", "feature", "status", "service_tier", "processing", "region",
    "currency", "cost_status", "price_version", "price_rule", "import_id",
)  # fmt: skip
_STORED: dict[str, tuple[str, Kind]] = {
    **{name: (name, Kind.TEXT) for name in _TEXTS},
    "model": ("model_name", Kind.TEXT),
    "model_name": ("model_name", Kind.TEXT),
    "timestamp": ("timestamp", Kind.INSTANT),
    "created_at": ("timestamp", Kind.INSTANT),
    "received_at": ("received_at", Kind.INSTANT),
    **dict.fromkeys(("prompt_tokens", "input_tokens"), ("input_tokens", Kind.COUNT)),
    **dict.fromkeys(("completion_tokens", "output_tokens"), ("output_tokens", Kind.COUNT)),
    **dict.fromkeys(("tokens", "total_tokens", "tokens_used"), ("total_tokens", Kind.COUNT)),
    "cached_tokens": ("cached_tokens", Kind.COUNT),
    "cache_write_tokens": ("cache_write_tokens", Kind.COUNT),
    "reasoning_tokens": ("reasoning_tokens", Kind.COUNT),
    "requests": ("requests", Kind.COUNT),
    "latency_ms": ("latency_ms", Kind.COUNT),
    **dict.fromkeys(("total_cost", "cost", "amount", "calculated_cost"), ("cost_e10", Kind.MONEY)),
    "list_cost": ("list_cost_e10", Kind.MONEY),
    "provider_cost": ("provider_cost_e10", Kind.MONEY),
    "corrects": ("corrects", Kind.TEXT),
    "usage": ("usage", Kind.JSON),
    "tags": ("tags", Kind.JSON),
    "metadata": ("metadata", Kind.JSON),
}
CORRECTS = "corrects"
"""Not stored: the month whose closed books have the call, of which a row is what they lack."""
_OF_TOTALS = ("currency", "cost_status")
FIELDS = tuple(_STORED)
"""What a table of calls may have as a column."""
_WHO = ("project_id", "team_id", "user_id", "environment", "feature")
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")
DEFAULTS: dict[str, tuple[str, ...]] = {
    "costs": (
        "timestamp", "id", "event_id", "source", "provider", "model", *_WHO, *_COUNTS, "requests",
        "total_cost", "list_cost", "currency", "cost_status", "service_tier", "processing",
        "region", "price_version", "corrects", "tags", "metadata",
    ),
    "usage": (
        "timestamp", "id", "event_id", "source", "provider", "model", *_WHO, *_COUNTS,
        "cache_write_tokens", "reasoning_tokens", "requests", "latency_ms", "status", "corrects",
        "usage", "tags", "metadata",
    ),
    "calls": (
        "timestamp", "id", "event_id", "source", "provider", "model", *_WHO, "api_key_id",
        "requests", "total_tokens", "usage", "total_cost", "list_cost", "currency", "cost_status",
        "service_tier", "processing", "region", "latency_ms", "status", "price_version",
        "price_rule", "corrects", "tags", "metadata",
    ),
}  # fmt: skip
"""The columns of each type without `include_fields`."""


class FieldsError(DomainError):
    """A column that the table does not have."""


def columns_of(kind: str, names: Sequence[str]) -> tuple[Column, ...]:
    """The columns that were named, or those of the type. Raises FieldsError."""
    for name in names:
        if name not in _STORED:
            raise FieldsError(f"must be among: {', '.join(FIELDS)}", field="include_fields")
    chosen = tuple(dict.fromkeys(names)) or DEFAULTS[kind]
    return tuple(Column(name, _STORED[name][1]) for name in chosen)


def calls(
    database: Database,
    selection: Selection,
    kind: str,
    columns: tuple[Column, ...],
    month: str | None = None,
) -> Exported:
    """The calls of a selection, the oldest first; of a `month` those that its books have, then what
    these add to calls of earlier months."""
    hidden = _hidden(columns)
    rows = _rows(database, selection, (*columns, *hidden), month)
    return Exported(kind, columns, rows, hidden=hidden)


def _hidden(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """What the totals of amounts need besides: amounts of two currencies are never one sum, and a
    sum says what is not in it."""
    if all(column.kind is not Kind.MONEY for column in columns):
        return ()
    names = {column.name for column in columns}
    return tuple(Column(name, _STORED[name][1]) for name in _OF_TOTALS if name not in names)


def _rows(
    database: Database, selection: Selection, columns: tuple[Column, ...], month: str | None
) -> Iterator[Batch]:
    names = [_STORED[column.name][0] for column in columns]
    place = names.index(CORRECTS) if CORRECTS in names else None
    stored = [name for name in names if name != CORRECTS]
    pages = prefetched(call_batches(database, selection, Order(), month=month, columns=stored))
    yield from pages if place is None else (_without_corrections(page, place) for page in pages)
    if month is None:
        return
    pick = picker(stored)
    for restated in restated_calls(database, selection, month):
        rows: list[Sequence[Any]] = []
        for row in (row for each in restated for row in difference_rows(each)):
            values = pick([row[name] for name in COLUMNS])
            corrects = row.get(CORRECTS)
            rows.append(values if place is None else _between(values, place, corrects))
        yield rows


def _without_corrections(page: Batch, place: int) -> Batch:
    """The page with a column in which nothing stands."""
    if isinstance(page, JoinedRows):
        return JoinedRows(_between(page.columns, place, Joined("", len(page), 0, whole=False)))
    return [_between(row, place, None) for row in page]


def _between(values: Sequence[Any], place: int, value: Any) -> Sequence[Any]:
    return (*values[:place], value, *values[place:])
