"""Public traces of LLM services, read through fixed mappings: times and token counts, no models.

Azure LLM inference traces (CSV) give stamps without an offset, which are UTC, and context and
generated tokens. The Mooncake traces (JSON lines) give milliseconds since an unnamed start and
input and output length. Neither names a model, so the caller does.
"""

from __future__ import annotations

from typing import IO

from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.importers.mapping import Column, ColumnMapping, parse_mapping
from llm_cost_ops.importers.problem import ImportFormatError
from llm_cost_ops.importers.record import ImportOptions, ItemStream, start_of
from llm_cost_ops.importers.tabular import csv_rows, mapped, mapped_json

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOONCAKE_FIELDS = frozenset({"timestamp", "input_length", "output_length"})
_AZURE = parse_mapping(
    "timestamp=TIMESTAMP,prompt_tokens=ContextTokens,completion_tokens=GeneratedTokens,provider:=azure"
)
_MOONCAKE = parse_mapping("prompt_tokens=input_length,completion_tokens=output_length")


def read_azure_trace(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    header, rows = csv_rows(stream, options.delimiter or ",", options.max_row_bytes)
    if not set(AZURE_COLUMNS) <= set(header):
        raise ImportFormatError(f"an Azure trace has the columns {', '.join(AZURE_COLUMNS)}")
    fixed = (
        _AZURE
        if not options.provider
        else ColumnMapping({**_AZURE.fields, "provider": Column(None, options.provider)})
    )
    mapping = fixed.merged(options.mapping).check(_named(options))
    return mapped(rows, mapping, options, source="azure-llm-trace")


def read_mooncake_trace(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    start = start_of(options)
    fields = dict(_MOONCAKE.fields)
    if start is not None:
        fields["timestamp"] = Column("timestamp", None, "ms", parse_instant(start))
    mapping = ColumnMapping(fields).merged(options.mapping)
    if "timestamp" not in mapping.fields:
        raise ImportFormatError(
            "the trace counts from an unnamed start: give one with --start 2026-11-01T00:00:00Z",
            field="start",
        )
    return mapped_json(stream, mapping, options, source="mooncake-trace")


def _named(options: ImportOptions) -> list[str]:
    return ["model"] if options.model or "model" in options.defaults else []
