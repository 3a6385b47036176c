"""Tables as Parquet and Arrow files: amounts are decimal128 with ten places, instants are UTC.

pyarrow (extra `files`) writes each batch as a row group or record batch into a buffer that is sent
on and emptied, so that memory holds one batch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from llm_cost_ops.core.money import EXACT, from_e10
from llm_cost_ops.server.exports.columns import Exported, Kind
from llm_cost_ops.server.http.problems import Problem

GROUP_ROWS = 50_000
_DIGITS, _PLACES = 38, 10
_INT64 = 1 << 63


class FilesMissing(Problem):
    """503: the server lacks a library of the extra `files` or `reports`."""

    def __init__(self, name: str, extra: str) -> None:
        super().__init__(
            503,
            "SERVICE_UNAVAILABLE",
            f"This server cannot write {name}: pip install 'llm-cost-ops[{extra}]'.",
            headers={"Retry-After": "3600"},
        )


def library(name: str) -> Any:
    """pyarrow or a module of it. Raises FilesMissing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise FilesMissing("Parquet and Arrow", "files") from None


class Sink:
    """A file that is read while it is written: `taken` is what came since the last time."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to close."""

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def write_parquet(table: Exported) -> Iterator[bytes]:
    """Parquet, zstd inside, a row group per 50,000 rows. Raises FilesMissing."""
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    schema, sink = _schema(arrow, table), Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for rows in _groups(table):
            writer.write_batch(_batch(arrow, schema, table, rows))
            yield sink.taken()
    yield sink.taken()


def write_arrow(table: Exported) -> Iterator[bytes]:
    """An Arrow IPC file (Feather version 2). Raises FilesMissing."""
    arrow = library("pyarrow")
    schema, sink = _schema(arrow, table), Sink()
    with arrow.ipc.new_file(sink, schema) as writer:
        for rows in _groups(table):
            writer.write_batch(_batch(arrow, schema, table, rows))
            yield sink.taken()
    yield sink.taken()


def _groups(table: Exported) -> Iterator[list[Sequence[Any]]]:
    rows: list[Sequence[Any]] = []
    for batch in table.batches:
        rows += batch
        if len(rows) >= GROUP_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _schema(arrow: Any, table: Exported) -> Any:
    types = {
        Kind.TEXT: arrow.string(),
        Kind.JSON: arrow.string(),
        Kind.COUNT: arrow.int64(),
        Kind.MONEY: arrow.decimal128(_DIGITS, _PLACES),
        Kind.NUMBER: arrow.decimal128(_DIGITS, 20),
        Kind.INSTANT: arrow.timestamp("us", tz="UTC"),
    }
    return arrow.schema([(column.name, types[column.kind]) for column in table.columns])


def _batch(arrow: Any, schema: Any, table: Exported, rows: Sequence[Sequence[Any]]) -> Any:
    arrays = [
        _array(arrow, column.kind, schema.field(place).type, values)
        for place, (column, values) in enumerate(
            zip(table.columns, table.values(rows), strict=True)
        )
    ]
    return arrow.record_batch(arrays, schema=schema)


def _array(arrow: Any, kind: Kind, wanted: Any, values: Sequence[Any]) -> Any:
    if kind is Kind.MONEY:
        if any(v is not None and not -_INT64 <= v < _INT64 for v in values):
            return arrow.array([None if v is None else from_e10(v) for v in values], wanted)
        # The same bytes, and much faster: a whole number of 1e-10 is a decimal with ten places.
        units = arrow.array(values, arrow.int64()).cast(arrow.decimal128(_DIGITS, 0))
        return arrow.Array.from_buffers(wanted, len(units), units.buffers())
    if kind is Kind.NUMBER:
        quantum = Decimal(1).scaleb(-20)
        values = [
            None if v is None else Decimal(v).quantize(quantum, context=EXACT) for v in values
        ]
    return arrow.array(values, wanted)
