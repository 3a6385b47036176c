"""Rows of a Parquet file, batch by batch. pyarrow is needed only here, and only when it is used."""

from __future__ import annotations

import importlib
from typing import IO, Any, cast

from llm_cost_ops.importers.problem import ImportFormatError, ImportProblem
from llm_cost_ops.importers.record import NumberedRow, Row, RowStream

_BATCH_ROWS = 4096
MISSING = "Parquet files need pyarrow: pip install 'llm-cost-ops[files]'"


def parquet_rows(stream: IO[bytes]) -> tuple[list[str], RowStream]:
    """Column names and rows. Raises ImportFormatError without pyarrow or for a broken file."""
    arrow, parquet = _pyarrow()
    try:
        file: Any = parquet.ParquetFile(_seekable(stream, arrow))
    except (arrow.ArrowException, OSError) as error:
        raise ImportFormatError(f"not a readable Parquet file: {error}") from None
    return list(file.schema_arrow.names), _rows(file, arrow)


def _rows(file: Any, arrow: Any) -> RowStream:
    number = 0
    batches = file.iter_batches(batch_size=_BATCH_ROWS)
    while True:
        try:
            batch = next(batches, None)
        except (arrow.ArrowException, OSError) as error:
            yield ImportProblem(
                number + 1, None, f"the file is damaged: {error}; the rest was not read"
            )
            return
        if batch is None:
            return
        for row in _microseconds(batch, arrow).to_pylist():
            number += 1
            yield NumberedRow(number, cast("Row", row))


def _microseconds(batch: Any, arrow: Any) -> Any:
    """Nanosecond stamps cut to microseconds: Python has none finer."""
    for index, column in enumerate(batch.schema):
        if arrow.types.is_timestamp(column.type) and column.type.unit == "ns":
            target = arrow.timestamp("us", tz=column.type.tz)
            batch = batch.set_column(
                index, column.name, batch.column(index).cast(target, safe=False)
            )
    return batch


def _seekable(stream: IO[bytes], arrow: Any) -> Any:
    if stream.seekable():
        return stream
    return arrow.BufferReader(stream.read())


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ImportFormatError(MISSING) from None
