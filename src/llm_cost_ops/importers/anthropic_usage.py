"""Pages of Anthropic's admin API: the messages usage report and the cost report.

Input is reported in disjoint parts (uncached, cache reads, cache writes by lifetime), which add up
to the inclusive counts of a record. Neither report says how many calls a bucket sums. Cost amounts
are decimal text in cents, and do not contain the priority tier.
"""

from __future__ import annotations

from decimal import Decimal
from typing import IO

from llm_cost_ops.core.instant import format_instant, parse_instant
from llm_cost_ops.core.money import EXACT, parse_decimal
from llm_cost_ops.importers.buckets import Bucket, identify, read_buckets, texts
from llm_cost_ops.importers.counts import anthropic_counts, anthropic_terms
from llm_cost_ops.importers.fields import text_of
from llm_cost_ops.importers.openai_costs import UNATTRIBUTED
from llm_cost_ops.importers.problem import RowError
from llm_cost_ops.importers.record import ImportOptions, ItemStream, Record, Row, metadata

USAGE_SOURCE = "anthropic-usage"
COSTS_SOURCE = "anthropic-costs"
_CENTS = -2
_TOOL_MODELS = {"web_search": "web-search", "code_execution": "code-execution"}
_MEASURES = frozenset({"amount"})
_COST_TEXTS = (
    "cost_type", "token_type", "service_tier", "context_window", "description", "inference_geo",
)  # fmt: skip


def read_anthropic_usage(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    def convert(result: Row, bucket: Bucket) -> Record | None:
        usage = anthropic_counts({**result, "input_tokens": result.get("uncached_input_tokens")})
        if not usage:
            return None
        model = text_of(result.get("model"), "model") or options.model
        if model is None:
            raise RowError(
                "the page is not grouped by model: ask for group_by[]=model", field="model"
            )
        record: Record = {
            "source": USAGE_SOURCE,
            "provider": options.provider or "anthropic",
            "model": model,
            "usage": usage,
            **anthropic_terms(result),
            "user_id": text_of(result.get("account_id"), "account_id"),
            **_workspace(result),
            "metadata": metadata(
                bucket_end=bucket.end, **texts(result, "context_window", "service_account_id")
            ),
        }
        return identify(record, "usage.messages", result, bucket, _MEASURES)

    return read_buckets(stream, options, _span, convert)


def read_anthropic_costs(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    def convert(result: Row, bucket: Bucket) -> Record | None:
        currency = text_of(result.get("currency"), "currency") or "USD"
        if currency != "USD":
            raise RowError("is a currency whose smallest unit is not known here", field="currency")
        if not isinstance(result.get("amount"), str):
            raise RowError("must be decimal text in cents", field="amount")
        cents: Decimal = parse_decimal(result["amount"], "amount")
        kind = text_of(result.get("cost_type"), "cost_type")
        record: Record = {
            "source": COSTS_SOURCE,
            "provider": options.provider or "anthropic",
            "model": text_of(result.get("model"), "model") or _sold_apart(kind),
            "cost": cents.scaleb(_CENTS, EXACT),
            "currency": currency,
            **_workspace(result),
            "metadata": metadata(
                bucket_end=bucket.end,
                **texts(result, *_COST_TEXTS),
            ),
        }  # fmt: skip
        return identify(record, "cost_report", result, bucket, _MEASURES)

    return read_buckets(stream, options, _span, convert)


def _sold_apart(cost_type: str | None) -> str:
    """The model name of a cost that belongs to no model."""
    return _TOOL_MODELS.get(cost_type or "", UNATTRIBUTED)


def _workspace(result: Row) -> dict[str, object]:
    """A workspace is what the ledger calls a project; the default workspace has no id."""
    return {
        "project_id": text_of(result.get("workspace_id"), "workspace_id"),
        "api_key_id": text_of(result.get("api_key_id"), "api_key_id"),
    }


def _span(bucket: Row) -> Bucket:
    def instant(name: str) -> str:
        return format_instant(parse_instant(bucket.get(name), name))

    return Bucket(instant("starting_at"), instant("ending_at") if bucket.get("ending_at") else None)
