"""Formats of files: under which names they are asked for, and how each is made."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

import zstandard

from llm_cost_ops.server.exports.arrow import write_arrow, write_parquet
from llm_cost_ops.server.exports.columns import Exported
from llm_cost_ops.server.exports.focus import Focus
from llm_cost_ops.server.exports.sheets import write_xlsx
from llm_cost_ops.server.exports.text import Locale, write_csv, write_json, write_jsonl
from llm_cost_ops.server.exports.totals import Totals

MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
}
ALIASES: Mapping[str, str] = {
    "excel": "xlsx",
    "ndjson": "jsonl",
    "json_lines": "jsonl",
    "jsonlines": "jsonl",
    "feather": "arrow",
}
SUFFIXES: Mapping[str, str] = {"gzip": ".gz", "zstd": ".zst"}
COMPRESSED: Mapping[str, str] = {"gzip": "application/gzip", "zstd": "application/zstd"}
_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 6
FOCUS = "focus"


@dataclass(frozen=True, slots=True)
class Form:
    """How a table is written. `compression` is None, gzip or zstd; `zone` None is UTC; `totals`
    puts them behind the rows of a CSV file; `focus` makes it a FOCUS dataset, in CSV or Parquet. A
    workbook is dated `created_us` (microseconds), or now; its days are those of `days`."""

    format: str = "csv"
    focus: Focus | None = None
    compression: str | None = None
    zone: tzinfo | None = None
    locale: Locale = field(default_factory=Locale)
    totals: bool = False
    created_us: int | None = None
    days: tzinfo | None = None

    @property
    def suffix(self) -> str:
        return f".{self.format}{SUFFIXES.get(self.compression or '', '')}"

    @property
    def media_type(self) -> str:
        return COMPRESSED.get(self.compression or "") or MEDIA_TYPES[self.format]


def written(table: Exported, form: Form) -> Iterator[bytes]:
    """The file of a table, piece by piece. Raises FilesMissing before the first one."""
    return packed(_plain(table, form), form)


def packed(chunks: Iterator[bytes], form: Form) -> Iterator[bytes]:
    """The pieces of a file, compressed where that was asked for."""
    if form.compression == "gzip":
        return _gzipped(chunks)
    return chunks if form.compression is None else _zstandard(chunks)


def _plain(table: Exported, form: Form) -> Iterator[bytes]:
    totals = Totals(table)
    if form.format == "csv":
        return write_csv(table, form.zone, form.locale, totals=totals if form.totals else None)
    if form.format == "json":
        return write_json(table, form.zone, totals)
    if form.format == "jsonl":
        return write_jsonl(table, form.zone)
    if form.format == "xlsx":
        return write_xlsx(table, form.zone, totals, form.created_us, form.days)
    return write_parquet(table) if form.format == "parquet" else write_arrow(table)


def _gzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()


def _zstandard(chunks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zstandard.ZstdCompressor().compressobj()
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()
