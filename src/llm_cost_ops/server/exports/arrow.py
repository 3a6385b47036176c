"""Tables as Parquet and Arrow files: amounts are decimal128 with ten places, instants are UTC.

pyarrow (extra `files`) writes a row group or record batch at a time into a buffer that is sent on
and emptied. What it is made of becomes columns as it is read: rows would be several times as large.
Where a group ends its rows alone decide, not the pages they were read by: those are others once a
closed month has a late call, and its file has to stay the same.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from llm_cost_ops.core.money import EXACT, from_e10
from llm_cost_ops.server.exports.arrays import Values, array_of, listed
from llm_cost_ops.server.exports.columns import Exported, Kind
from llm_cost_ops.server.http.problems import Problem, invalid

GROUP_ROWS = 50_000
GROUP_BYTES = 32 * 2**20
"""A group ends with the row by which it has so many rows, or so many bytes of texts."""
_DIGITS, _PLACES = 38, 10


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
    """Parquet, zstd inside, a row group per 50,000 rows, or fewer long ones. Raises
    FilesMissing."""
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    schema, sink = _schema(arrow, table), Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _groups(arrow, schema, table):
            writer.write_table(group, row_group_size=GROUP_ROWS)
            yield sink.taken()
    yield sink.taken()


def write_arrow(table: Exported) -> Iterator[bytes]:
    """An Arrow IPC file (Feather version 2). Raises FilesMissing."""
    arrow = library("pyarrow")
    schema, sink = _schema(arrow, table), Sink()
    with arrow.ipc.new_file(sink, schema) as writer:
        for group in _groups(arrow, schema, table):
            writer.write_table(group)
            yield sink.taken()
    yield sink.taken()


def _groups(arrow: Any, schema: Any, table: Exported) -> Iterator[Any]:
    parts: list[_Part] = []
    rows = size = 0
    for batch in table.batches:
        if not batch:
            continue
        arrays = _arrays(arrow, schema, table, batch)
        ends = _text_ends(arrays)
        start = before = 0
        while start < len(ends):
            fitting = _count_below(ends, before + GROUP_BYTES - size)
            stop = min(fitting + 1, start + GROUP_ROWS - rows, len(ends))
            parts.append(_Part(arrays, start, stop))
            passed = ends[stop - 1].as_py()
            rows, size = rows + stop - start, size + passed - before
            start, before = stop, passed
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                yield _whole(arrow, schema, parts)
                parts, rows, size = [], 0, 0
    if parts:
        yield _whole(arrow, schema, parts)


class _Part(NamedTuple):
    """Rows of a batch from `start` to before `stop`; columns that are alike are one object."""

    arrays: Sequence[Any]
    start: int
    stop: int


def _text_ends(arrays: Sequence[Any]) -> Any:
    """How many bytes of texts a batch has up to the end of each row, as int64."""
    arrow, compute = library("pyarrow"), library("pyarrow.compute")
    total = arrow.repeat(arrow.scalar(0, arrow.int64()), len(arrays[0]))
    times = Counter(map(id, arrays))
    for array in {id(array): array for array in arrays}.values():
        if arrow.types.is_string(array.type):
            lengths = compute.multiply(compute.binary_length(array), times[id(array)])
            total = compute.add(total, compute.coalesce(lengths, 0))
    return compute.cumulative_sum(total)


def _count_below(ends: Any, limit: int) -> int:
    return library("pyarrow.compute").sum(library("pyarrow.compute").less(ends, limit)).as_py()


def _whole(arrow: Any, schema: Any, parts: Sequence[_Part]) -> Any:
    """The parts as one, copied: of a slice the writers keep bits that are not its own."""
    made: dict[tuple[int, ...], Any] = {}
    columns: list[Any] = []
    for n in range(len(schema)):
        alike = tuple(id(part.arrays[n]) for part in parts)
        if alike not in made:
            own = [each.arrays[n].slice(each.start, each.stop - each.start) for each in parts]
            made[alike] = arrow.concat_arrays(own)
        columns.append(made[alike])
    return arrow.Table.from_arrays(columns, schema=schema)


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


def _arrays(
    arrow: Any, schema: Any, table: Exported, rows: Sequence[Sequence[Any]]
) -> Sequence[Any]:
    """The columns of the rows. Those that are alike, as the costs of FOCUS mostly are, are made
    once. Raises Problem 422 for what is beyond the type of its column."""
    made: dict[Kind, list[tuple[Values, Any]]] = {}
    arrays: list[Any] = []
    for place, (column, values) in enumerate(zip(table.columns, table.arrays(rows), strict=True)):
        of_kind = made.setdefault(column.kind, [])
        array = next((array for others, array in of_kind if others == values), None)
        if array is None:
            try:
                array = _array(arrow, column.kind, schema.field(place).type, values)
            except (OverflowError, arrow.ArrowInvalid):
                raise _too_large(column.name) from None
            of_kind.append((values, array))
        arrays.append(array)
    return arrays


def _too_large(name: str) -> Problem:
    return invalid(
        "format",
        f"Parquet and Arrow have no room for a number of the column {name[:64]!r}: counts have 64 "
        "bits there. CSV and JSON have all its digits.",
    )


def _array(arrow: Any, kind: Kind, wanted: Any, values: Values) -> Any:
    if kind is Kind.MONEY:
        try:
            units = array_of(arrow, values, arrow.int64())
        except (OverflowError, arrow.ArrowInvalid):  # sums may be beyond 64 bits
            found = listed(values)
            return arrow.array([None if v is None else from_e10(v) for v in found], wanted)
        # The same bytes, and much faster: a whole number of 1e-10 is a decimal with ten places.
        units = units.cast(arrow.decimal128(_DIGITS, 0))
        return arrow.Array.from_buffers(wanted, len(units), units.buffers())
    if kind is Kind.NUMBER:
        quantum = Decimal(1).scaleb(-20)
        found = listed(values)
        values = [None if v is None else Decimal(v).quantize(quantum, context=EXACT) for v in found]
    if kind is Kind.INSTANT:
        return array_of(arrow, values, arrow.int64()).cast(wanted)
    return array_of(arrow, values, wanted)
