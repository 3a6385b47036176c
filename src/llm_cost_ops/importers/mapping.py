"""Column mappings: `prompt_tokens=ContextTokens,timestamp=TIMESTAMP,model:=gpt-4o`.

Entries are separated by commas (put an entry into double quotes when a column name holds one).
`field=column` takes a column, `field:=text` a constant. A timestamp column may carry the unit of
its numbers and the instant that they count from: `timestamp=at@ms+2026-11-01T00:00:00Z`.
Fields are those of a usage record, `metadata.<key>`, `usage.<kind>` and, for rows that carry their
own price, `cost` and `tokens_used`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.usage import FRACTIONAL_KINDS, KINDS, check_quantity
from llm_cost_ops.importers.fields import amount_of, count_of, text_of, texts_of
from llm_cost_ops.importers.problem import ImportFormatError, RowError
from llm_cost_ops.importers.times import stamp

ALIASES = {
    "model_id": "model",
    "input_tokens": "prompt_tokens",
    "inputTokens": "prompt_tokens",
    "tokens_prompt": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "outputTokens": "completion_tokens",
    "tokens_completion": "completion_tokens",
    "organizationId": "organization_id",
}
COUNTS = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
     "reasoning_tokens", "latency_ms", "tokens_used"}
)  # fmt: skip
TEXTS = frozenset(
    {"event_id", "source", "provider", "model", "organization_id", "service_tier", "processing",
     "region", "project_id", "team_id", "user_id", "api_key_id", "environment", "feature", "status",
     "currency", "api_flavor"}
)  # fmt: skip
FIELDS = COUNTS | TEXTS | {"timestamp", "tags", "cost"}
_DIRECTIONS = ("prompt_tokens", "completion_tokens")
_QUANTITIES = (*_DIRECTIONS, "cost")
NO_ROW: list[str] = []
_UNIT = re.compile(r"(.+)@(s|ms|us|ns)(?:\+(.+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field's value comes from: a column, or a constant when `column` is None."""

    column: str | None
    constant: str | None = None
    unit: str | None = None
    start: datetime | None = None


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Record fields by name, each with its column; made by `parse_mapping`."""

    fields: Mapping[str, Column]

    def columns(self) -> frozenset[str]:
        return frozenset(
            column.column for column in self.fields.values() if column.column is not None
        )

    def merged(self, other: ColumnMapping | None) -> ColumnMapping:
        """This mapping with the other's entries over it."""
        return ColumnMapping({**self.fields, **other.fields}) if other else self

    def check(self, given: Iterable[str] = ()) -> ColumnMapping:
        """Refuse a mapping whose records cannot be priced, whatever the rows hold.

        `given` names the fields that come from elsewhere (defaults). Raises ImportFormatError.
        """
        known = {*self.fields, *given}
        kinds = [name for name in self.fields if name.startswith("usage.")]
        if "model" not in known:
            raise ImportFormatError(
                "the mapping names no model: add model=COLUMN or model:=NAME", field="map"
            )
        if "provider" not in known and "cost" not in known:
            raise ImportFormatError(
                "the mapping names no provider: add provider=COLUMN or provider:=NAME", field="map"
            )
        if not kinds and not any(name in known for name in _QUANTITIES):
            raise ImportFormatError(
                "the mapping names no quantity, such as prompt_tokens=COLUMN", field="map"
            )
        if kinds and any(name in self.fields for name in COUNTS - {"latency_ms"}):
            raise ImportFormatError("map either usage.* or *_tokens, not both", field="map")
        return self

    def record(self, row: Mapping[str, object], zone: tzinfo) -> dict[str, object]:
        """The row as record fields; empty cells are left out. Raises RowError and its siblings."""
        record: dict[str, object] = {}
        nested: dict[str, dict[str, object]] = {}
        for name, source in self.fields.items():
            value = source.constant if source.column is None else _cell(row, source.column)
            group, dot, key = name.partition(".")
            converted = _convert(name, value, source, zone)
            if converted is None:
                if name in _DIRECTIONS:
                    raise RowError("is empty", field=name)
                continue
            if dot:
                nested.setdefault(group, {})[key] = converted
            else:
                record[name] = converted
        if any(name in record for name in _DIRECTIONS):
            # A mapping without one of the directions says that there is none (embeddings).
            record = {**dict.fromkeys(_DIRECTIONS, 0), **record}
        return {**record, **nested}


def parse_mapping(text: str) -> ColumnMapping:
    """Raises ImportFormatError naming the entry at fault."""
    fields: dict[str, Column] = {}
    try:
        entries = next(csv.reader([text], skipinitialspace=True, strict=True), NO_ROW)
    except csv.Error as error:
        raise ImportFormatError(f"the mapping cannot be read: {error}", field="map") from None
    for entry in entries:
        left, equals, value = entry.partition("=")
        constant = left.endswith(":")
        name = left.removesuffix(":").strip()
        name = ALIASES.get(name, name)
        if not equals or not value.strip() or not name:
            raise ImportFormatError(
                f"{entry!r} is not field=column or field:=constant", field="map"
            )
        if name in fields:
            raise ImportFormatError(f"{name} is mapped twice", field="map")
        _check_name(name)
        fields[name] = Column(None, value.strip()) if constant else _column(name, value.strip())
    return ColumnMapping(fields)


def identity_mapping(header: Iterable[str]) -> ColumnMapping:
    """The mapping of columns that are named like record fields. Raises ImportFormatError."""
    fields: dict[str, Column] = {}
    for column in header:
        name = ALIASES.get(column, column)
        try:
            _check_name(name)
        except ImportFormatError:
            raise ImportFormatError(
                f"the column {column!r} is not a record field: name the columns with --map",
                field="map",
            ) from None
        fields[name] = Column(column)
    return ColumnMapping(fields)


def _check_name(name: str) -> None:
    group, dot, key = name.partition(".")
    if group == "usage" and dot:
        if key not in KINDS:
            raise ImportFormatError(f"{key!r} is not a known usage kind", field="map")
    elif not (group == "metadata" and key) and name not in FIELDS:
        raise ImportFormatError(f"{name!r} is not a record field", field="map")


def _column(name: str, value: str) -> Column:
    match = _UNIT.fullmatch(value) if name == "timestamp" else None
    if match is None:
        return Column(value)
    column, unit, start = match.groups()
    try:
        return Column(column, None, unit, parse_instant(start, "timestamp") if start else None)
    except DomainError as error:
        raise ImportFormatError(f"the start {start!r} {error.message}", field="map") from None


def _cell(row: Mapping[str, object], column: str) -> object:
    """The column, or the member of nested objects that its dotted name leads to."""
    if column in row:
        return row[column]
    value: object = row.get(column.partition(".")[0])
    for part in column.split(".")[1:]:
        value = cast("dict[str, object]", value).get(part) if isinstance(value, dict) else None
    return value


def _convert(name: str, value: object, source: Column, zone: tzinfo) -> object:
    if name == "timestamp":
        return stamp(value, name, unit=source.unit, start=source.start, zone=zone)
    if name in COUNTS:
        return count_of(value, name)
    if name == "cost":
        return amount_of(value, name)
    if name == "tags":
        return texts_of(value, name) or None
    if name.startswith("usage."):
        return _quantity(name, value)
    if name.startswith("metadata."):
        return value if isinstance(value, bool) else text_of(value, name)
    return text_of(value, name)


def _quantity(name: str, value: object) -> object:
    kind = name.partition(".")[2]
    if kind in FRACTIONAL_KINDS:
        amount = amount_of(value, name)
        return None if amount is None else check_quantity(kind, amount)
    return count_of(value, name)
