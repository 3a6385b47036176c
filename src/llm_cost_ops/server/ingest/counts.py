"""The counts of a usage record, and the columns that hold them."""

from __future__ import annotations

from collections.abc import Mapping

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.core.usage import Quantity, check_consistent, check_usage
from llm_cost_ops.core.usage import inferred_total as inferred
from llm_cost_ops.server.ingest.schema import WireRecord
from llm_cost_ops.server.ledger.entry import Entry
from llm_cost_ops.server.ledger.wire import COLUMN_KINDS

UsualCounts = tuple[int, int, int, int, int]
"""Input, output, cached, written to the cache, reasoning."""


def given_usage(record: WireRecord) -> dict[str, Quantity]:
    """The checked `usage` of a record. Raises UsageError."""
    refuse_counts(record, "usage")
    checked = check_usage(record.usage or {})
    if not checked:
        raise UsageError("usage", "must name at least one quantity greater than 0")
    check_consistent(checked)
    return checked


def refuse_counts(record: WireRecord, beside: str) -> None:
    """Counts one by one beside an object that holds them all. Raises UsageError."""
    given = (
        record.prompt_tokens,
        record.completion_tokens,
        record.cached_tokens,
        record.cache_write_tokens,
        record.reasoning_tokens,
    )
    if given != _NO_COUNTS:
        raise UsageError(beside, "must not be given together with counts")


_NO_COUNTS = (None,) * 5


def check_total(record: WireRecord, entry: Entry) -> None:
    """Raises UsageError for a stated total that is not the sum of what was found."""
    if record.total_tokens is not None and record.total_tokens != entry.total_tokens:
        raise UsageError("total_tokens", f"must be the sum of all tokens, {entry.total_tokens}")


def usual_counts(record: WireRecord) -> UsualCounts:
    """The counts of a record that gives them one by one. Raises UsageError naming the field."""
    prompt, completion = record.prompt_tokens, record.completion_tokens
    if prompt is None or completion is None:
        missing = "prompt_tokens" if prompt is None else "completion_tokens"
        raise UsageError(missing, "is required")
    if not prompt and not completion:
        raise UsageError("prompt_tokens", "must be greater than 0")
    if record.total_tokens is not None and record.total_tokens != prompt + completion:
        raise UsageError("total_tokens", "must be the sum of prompt_tokens and completion_tokens")
    cached, written = record.cached_tokens or 0, record.cache_write_tokens or 0
    if cached + written > prompt:
        if cached > prompt:
            raise UsageError("cached_tokens", "must not exceed prompt_tokens")
        raise UsageError("cache_write_tokens", "must not exceed prompt_tokens less cached_tokens")
    reasoning = record.reasoning_tokens or 0
    if reasoning > completion:
        raise UsageError("reasoning_tokens", "must not exceed completion_tokens")
    return prompt, completion, cached, written, reasoning


def usage_of_usual(counts: UsualCounts) -> dict[str, Quantity]:
    """The same counts by usage kind, zero kinds left out."""
    return {kind: count for kind, count in zip(COLUMN_KINDS, counts, strict=True) if count}


def fill_usual(entry: Entry, counts: UsualCounts) -> None:
    """Write the usual counts into an entry."""
    prompt, completion, cached, written, reasoning = counts
    entry.input_tokens = prompt
    entry.output_tokens = completion
    entry.total_tokens = prompt + completion
    entry.cached_tokens = cached
    entry.cache_write_tokens = written
    entry.reasoning_tokens = reasoning


def fill_counts(entry: Entry, usage: Mapping[str, Quantity]) -> None:
    """Write any counts into an entry: those without a column of their own go into `usage`."""
    get = usage.get
    if usage.keys() <= COLUMN_KINDS.keys():
        entry.input_tokens = int(get("input_tokens", 0))
        entry.output_tokens = int(get("output_tokens", 0))
        entry.cached_tokens = int(get("cache_read_tokens", 0))
        entry.cache_write_tokens = int(get("cache_write_tokens", 0))
    else:
        entry.usage = dumps(usage)
        entry.requests = int(get("requests", 1))
        entry.input_tokens = int(get("input_tokens") or inferred("input_tokens", usage))
        entry.output_tokens = int(get("output_tokens") or inferred("output_tokens", usage))
        entry.cached_tokens = int(get("cache_read_tokens") or inferred("cache_read_tokens", usage))
        entry.cache_write_tokens = int(
            get("cache_write_tokens") or inferred("cache_write_tokens", usage)
        )
    entry.reasoning_tokens = int(get("output_reasoning_tokens", 0))
    entry.total_tokens = entry.input_tokens + entry.output_tokens
