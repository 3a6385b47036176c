"""Rows of an export that may be JSON, JSON lines or CSV."""

from __future__ import annotations

from typing import IO

from llm_cost_ops.importers.jsonvalues import rows_of
from llm_cost_ops.importers.lines import HEAD_BYTES, peek
from llm_cost_ops.importers.record import ImportOptions, RowStream
from llm_cost_ops.importers.tabular import csv_rows


def export_rows(stream: IO[bytes], options: ImportOptions) -> RowStream:
    """JSON when the first character begins an object or an array, else CSV with a header."""
    head = peek(stream, HEAD_BYTES)
    if head.lstrip()[:1] in (b"{", b"["):
        return rows_of(stream, options.max_row_bytes, head)
    return csv_rows(stream, options.delimiter or ",", options.max_row_bytes)[1]
