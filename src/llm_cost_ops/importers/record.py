"""What a reader gives: record dicts in the shape of the usage and costs endpoints, and problems.

Keys of a record that begin with an underscore are signals to the ingest layer and no part of the
record; `pop_signals` takes them out:

- `_growing`: the source may report the same `event_id` again with other counts (a log that is
  still written, a bucket that is not yet over). Other counts are then a correction, no conflict.
- `_aggregate`: the counts are sums over several calls, so their total must not select a price
  tier. `usage.requests` says how many calls, where the source does.
- `_line`: the line of the file that the record came from, where `ImportOptions.lines` asks for it
  and the reader knows it: what the ledger refuses can then be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import format_instant, parse_instant
from llm_cost_ops.importers.mapping import ColumnMapping
from llm_cost_ops.importers.problem import ImportFormatError, ImportProblem, problem_at

GROWING = "_growing"
AGGREGATE = "_aggregate"
LINE = "_line"

Record = dict[str, object]
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read a file.

    `defaults` are record fields for rows that name none themselves (project_id, environment ...).
    `source` replaces the reader's own source name, which is half of a record's identity: two
    exports whose equal rows are different calls need different sources. `time_zone` is the IANA
    zone of stamps without an offset. `start` is the instant of relative stamps. `lines` adds
    the signal `_line`.
    """

    source: str | None = None
    provider: str | None = None
    model: str | None = None
    mapping: ColumnMapping | None = None
    time_zone: str = "UTC"
    start: str | None = None
    delimiter: str | None = None
    defaults: Mapping[str, object] = field(default_factory=dict[str, object])
    max_row_bytes: int = 32 * 1024 * 1024
    lines: bool = False


@dataclass(frozen=True, slots=True)
class NumberedRow:
    line: int
    row: Row


RowStream = Iterator[NumberedRow | ImportProblem]
ItemStream = Iterator[Record | ImportProblem]
Reader = Callable[[IO[bytes], ImportOptions], ItemStream]


def convert_rows(rows: RowStream, convert: Callable[[Row], Iterable[Record]]) -> ItemStream:
    """Each row through `convert`; what it refuses becomes a problem and the file goes on."""
    for item in rows:
        if isinstance(item, ImportProblem):
            yield item
            continue
        try:
            for record in convert(item.row):
                record[LINE] = item.line
                yield record
        except DomainError as error:
            yield problem_at(item.line, error)


def finish(record: Record, options: ImportOptions) -> Record:
    """The record with the caller's source and defaults, and without empty fields."""
    for name, value in options.defaults.items():
        if record.get(name) is None:
            record[name] = value
    if options.source:
        record["source"] = options.source
    if not options.lines:
        record.pop(LINE, None)
    return {name: value for name, value in record.items() if value is not None and value != {}}


def pop_signals(record: Record) -> frozenset[str]:
    """Take the signals out of the record and return those that were set."""
    names = [name for name in record if name.startswith("_")]
    return frozenset(name for name in names if record.pop(name))


def start_of(options: ImportOptions) -> str | None:
    """The start of relative stamps in canonical form. Raises ImportFormatError."""
    if options.start is None:
        return None
    try:
        return format_instant(parse_instant(options.start, "start"))
    except DomainError as error:
        raise ImportFormatError(error.message, field="start") from None


def metadata(**values: object) -> dict[str, object]:
    """Metadata without the values that are not known; decimals as text, to the last digit."""
    known = {name: value for name, value in values.items() if value is not None and value != ""}
    return {name: str(v) if isinstance(v, Decimal) else v for name, v in known.items()}
