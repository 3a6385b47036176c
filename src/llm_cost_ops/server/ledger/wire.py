"""One call as the API shows it: the flat row with every documented spelling of its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, cast

import msgspec

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.money import from_e10, plain_e10

_SAME = (
    "id",
    "event_id",
    "source",
    "organization_id",
    "provider",
    "project_id",
    "team_id",
    "user_id",
    "api_key_id",
    "environment",
    "feature",
    "status",
    "latency_ms",
    "requests",
    "service_tier",
    "processing",
    "region",
    "currency",
    "cost_status",
    "price_version",
    "import_id",
)


def stored_json(value: str | None, empty: object) -> Any:
    """A JSON column, which holds text on every database, as a value with exact numbers."""
    return empty if value is None else json.loads(value, parse_float=Decimal)


def amount_or_none(units: int | None) -> Decimal | None:
    """Units of 1e-10 as money; None stays None, because unknown is not zero."""
    return None if units is None else from_e10(int(units))


class Forms(NamedTuple):
    """What amounts (units of 1e-10) and JSON columns become, None included."""

    amount: Callable[[int | None], Any]
    document: Callable[[str | None, object], Any]


VALUES = Forms(amount_or_none, stored_json)


def call_row(row: Mapping[str, Any], forms: Forms = VALUES) -> dict[str, object]:
    """The wire form of one `usage_records` row whose amounts, counts and status are already net of
    its corrections."""
    cost = forms.amount(row["cost_e10"])
    list_cost = forms.amount(row["list_cost_e10"])
    instant = format_micros(row["timestamp"])
    wire: dict[str, object] = {name: row[name] for name in _SAME}
    wire.update(
        model=row["model_name"],
        model_name=row["model_name"],
        prompt_tokens=row["input_tokens"],
        completion_tokens=row["output_tokens"],
        total_tokens=row["total_tokens"],
        tokens_used=row["total_tokens"],
        cached_tokens=row["cached_tokens"],
        cache_write_tokens=row["cache_write_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        usage=usage_of(row, forms),
        calculated_cost=cost,
        total_cost=cost,
        cost=cost,
        amount=cost,
        list_cost=cost if list_cost is None else list_cost,
        provider_cost=forms.amount(row["provider_cost_e10"]),
        price_rule=row["price_rule"],
        timestamp=instant,
        created_at=instant,
        received_at=format_micros(row["received_at"]),
        tags=forms.document(row["tags"], []),
        metadata=forms.document(row["metadata"], {}),
    )
    return wire


def _written_amount(units: int | None) -> Any:
    return None if units is None else msgspec.Raw(plain_e10(units))


def _written_document(text: str | None, empty: object) -> Any:
    return empty if text is None else msgspec.Raw(text)


WRITTEN = Forms(_written_amount, _written_document)
"""For a row that no database has rewritten: its JSON goes out as it was checked and stored. Numbers
of metadata are then spelled as the caller did, where a later read says the same value in plain
digits."""


COLUMN_KINDS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
}
"""Usage kinds that have a column of their own; a call with any other kind also has `usage`."""


def usage_of(row: Mapping[str, Any], forms: Forms = VALUES) -> dict[str, Any]:
    """Inclusive counts per usage kind, zero kinds left out."""
    stored = forms.document(row["usage"], None)
    if stored is not None:
        return cast("dict[str, Any]", stored)
    return {kind: int(row[column]) for kind, column in COLUMN_KINDS.items() if row[column]}
