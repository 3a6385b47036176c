"""Pages of OpenAI's costs API (`/v1/organization/costs`): amounts as billed, per day and line item.

The amount is a JSON number that may carry binary noise in its last digits; it is taken digit by
digit and the ledger rounds it once. A line item reads `model, direction`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import IO

from llm_cost_ops.core.money import parse_decimal
from llm_cost_ops.importers.buckets import Bucket, identify, nested, read_buckets, texts
from llm_cost_ops.importers.fields import amount_of, text_of
from llm_cost_ops.importers.openai_usage import epoch_span
from llm_cost_ops.importers.problem import RowError
from llm_cost_ops.importers.record import ImportOptions, ItemStream, Record, Row, metadata

SOURCE = "openai-costs"
UNATTRIBUTED = "unattributed"
_OBJECT = "organization.costs.result"
_PER_UNIT = {"tokens": 1, "1000_tokens": 1000}
_MEASURES = frozenset({"quantity", "quantity_unit", "project_name", "organization_name"})


def read_openai_costs(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    def convert(result: Row, bucket: Bucket) -> Record | None:
        if result.get("object", _OBJECT) != _OBJECT:
            raise RowError("is no costs result", field="object")
        amount = nested(result, "amount")
        if amount.get("value") is None:
            raise RowError("is required", field="amount.value")
        item = text_of(result.get("line_item"), "line_item")
        record: Record = {
            "source": SOURCE,
            "provider": options.provider or "openai",
            "model": item.partition(",")[0].strip() if item else UNATTRIBUTED,
            "tokens_used": _tokens(result),
            "cost": parse_decimal(amount["value"], "amount.value"),
            "currency": (text_of(amount.get("currency"), "amount.currency") or "usd").upper(),
            **texts(result, "project_id", "api_key_id"),
            "metadata": metadata(
                line_item=item,
                bucket_end=bucket.end,
                quantity=amount_of(result.get("quantity"), "quantity"),
                **texts(
                    result, "quantity_unit", "organization_id", "project_name", "organization_name"
                ),
            ),
        }
        return identify(record, "costs", result, bucket, _MEASURES)

    return read_buckets(stream, options, epoch_span, convert)


def _tokens(result: Row) -> int | None:
    """Tokens of the line where it counts tokens; None where it counts something else or nothing."""
    factor = _PER_UNIT.get(text_of(result.get("quantity_unit"), "quantity_unit") or "")
    quantity = amount_of(result.get("quantity"), "quantity")
    if factor is None or quantity is None:
        return None
    tokens: Decimal = quantity * factor
    return int(tokens) if tokens == tokens.to_integral_value() else None
