"""Our own records: a JSON array, `{"records": [..]}`, or one record per line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, cast

from llm_cost_ops.importers.fields import text_of
from llm_cost_ops.importers.identity import Ordinals
from llm_cost_ops.importers.jsonvalues import json_values
from llm_cost_ops.importers.lines import json_lines
from llm_cost_ops.importers.record import (
    ImportOptions,
    ItemStream,
    Record,
    Row,
    RowStream,
    convert_rows,
)
from llm_cost_ops.importers.tabular import mapped_json

SOURCE = "file"


def read_json(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    if options.mapping:
        return mapped_json(stream, options.mapping, options, source="json")
    return _records(json_values(stream, options.max_row_bytes), options)


def read_jsonl(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    if options.mapping:
        return mapped_json(stream, options.mapping, options, source="json")
    return _records(json_lines(stream, options.max_row_bytes), options)


def _records(rows: RowStream, options: ImportOptions) -> ItemStream:
    """Records as they stand: which fields they may have is the ledger's door to decide.

    Both formats share a source, so that the same records in the other form add nothing.
    """
    ordinals = Ordinals()

    def convert(row: Row) -> Iterable[Record]:
        record = _modelled(row)
        identity = text_of(record.get("event_id"), "event_id")
        if identity is None:
            identity = text_of(record.pop("id", None), "id") or ordinals.event_id(row)
        record["event_id"] = identity
        record["source"] = text_of(record.get("source"), "source") or SOURCE
        if options.provider:
            record.setdefault("provider", options.provider)
        if options.model and "response" not in record:
            record.setdefault("model", options.model)
        yield record

    return convert_rows(rows, convert)


def _modelled(row: Row) -> Record:
    """A copy in which a model given as an object is its name, and its version metadata."""
    record = dict(row)
    model = record.get("model")
    if not isinstance(model, dict):
        return record
    described = cast("Row", model)
    record["model"] = described.get("name")
    known = record.get("metadata")
    extra = {f"model_{k}": v for k, v in described.items() if k != "name" and v is not None}
    record["metadata"] = {**extra, **(cast("Row", known) if isinstance(known, dict) else {})}
    return record
