"""CSV, TSV and Parquet files, and JSON lines of any shape, read through a column mapping."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO

from llm_cost_ops.importers.identity import Ordinals
from llm_cost_ops.importers.jsonvalues import rows_of
from llm_cost_ops.importers.lines import HEAD_BYTES, peek
from llm_cost_ops.importers.mapping import NO_ROW, ColumnMapping, identity_mapping
from llm_cost_ops.importers.problem import ImportFormatError, ImportProblem
from llm_cost_ops.importers.record import (
    ImportOptions,
    ItemStream,
    NumberedRow,
    Record,
    Row,
    RowStream,
    convert_rows,
)
from llm_cost_ops.importers.times import zone_of

MAX_COLUMNS = 1000


def read_csv(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    header, rows = csv_rows(stream, options.delimiter or ",", options.max_row_bytes)
    return mapped(rows, mapping_for(options, header), options, source="csv")


def read_tsv(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    return read_csv(
        stream,
        replace(options, delimiter=options.delimiter or "\t", source=options.source or "tsv"),
    )


def mapping_for(options: ImportOptions, header: Iterable[str]) -> ColumnMapping:
    """The caller's mapping, or the one that the column names give. Raises ImportFormatError."""
    columns = list(header)
    mapping = options.mapping or identity_mapping(columns)
    missing = sorted(mapping.columns() - set(columns))
    if missing:
        raise ImportFormatError(
            f"the file has no column {missing[0]!r}; it has {', '.join(columns[:20])}", field="map"
        )
    return mapping.check(_given(options))


def mapped(
    rows: RowStream, mapping: ColumnMapping, options: ImportOptions, *, source: str
) -> ItemStream:
    """Rows as records; a row without an event id is named by its whole content."""
    zone = zone_of(options.time_zone)
    ordinals = Ordinals()

    def convert(row: Row) -> Iterable[Record]:
        event_id = ordinals.event_id(row)
        record: Record = {"source": source, "event_id": event_id}
        record |= mapping.record(row, zone)
        record.setdefault("provider", options.provider)
        record.setdefault("model", options.model)
        yield record

    return convert_rows(rows, convert)


def mapped_json(
    stream: IO[bytes], mapping: ColumnMapping, options: ImportOptions, *, source: str
) -> ItemStream:
    rows = rows_of(stream, options.max_row_bytes, peek(stream, HEAD_BYTES))
    return mapped(rows, mapping.check(_given(options)), options, source=source)


def csv_rows(stream: IO[bytes], delimiter: str, limit: int) -> tuple[list[str], RowStream]:
    """The header, and the rows by column name. Raises ImportFormatError for an unusable header."""
    if len(delimiter) != 1:
        raise ImportFormatError("the delimiter must be one character", field="delimiter")
    csv.field_size_limit(limit)
    lines = _Lines(stream, limit)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, NO_ROW)]
    except csv.Error as error:
        raise ImportFormatError(f"the header cannot be read: {error}") from None
    if not header or not all(header):
        raise ImportFormatError("the first line must name every column")
    if len(set(header)) != len(header) or len(header) > MAX_COLUMNS:
        raise ImportFormatError(f"column names must be different, and at most {MAX_COLUMNS}")
    return header, _csv_body(reader, lines, header)


def _csv_body(reader: Iterator[list[str]], lines: _Lines, header: list[str]) -> RowStream:
    while True:
        line = lines.read + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield ImportProblem(line, None, f"not valid CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield ImportProblem(line, None, f"has {len(cells)} cells, the header has {len(header)}")
        elif any(not cell.isascii() and _undecodable(cell) for cell in cells):
            yield ImportProblem(line, None, "the row is not UTF-8")
        else:
            yield NumberedRow(line, dict(zip(header, cells, strict=True)))


class _Lines:
    """Lines for the CSV parser: bounded, and bytes that are no UTF-8 as lone surrogates."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.read = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self._limit)
        if not line:
            raise StopIteration
        self.read += 1
        if len(line) < self._limit or line.endswith(b"\n"):
            return line.decode("utf-8", "surrogateescape")
        while line and not line.endswith(b"\n"):
            line = self._stream.readline(HEAD_BYTES)
        raise csv.Error(f"the line is longer than {self._limit} bytes")


def _undecodable(cell: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in cell)


def _given(options: ImportOptions) -> list[str]:
    named = {"provider": options.provider, "model": options.model}
    return [*options.defaults, *(name for name, value in named.items() if value)]
