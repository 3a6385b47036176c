"""All calls as one file, `GET /api/v1/costs/export`: rows a second in each format, how much more
memory the server takes for ten times the rows, and that the sum of the file's rows is the ledger's.

Beside it stand the plain server of `bench.single` (answers a second of its CPU), by which the goals
move between machines, and the bare driver, which reads the same columns in the same order and has
Python's `csv` write them as they come.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.fill import DAYS, KINDS, Filled, day_text, filled, sizes
from bench.load import HOST
from bench.places import driver_connection
from bench.serving import Server, serving
from bench.single import PLAIN_RATE
from bench.single import Round as SingleRound
from llm_cost_ops.core.money import E10, EXACT
from llm_cost_ops.server.analytics.pages import COLUMNS
from llm_cost_ops.server.analytics.stream import BATCH_ROWS

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
SLACK_BYTES = 24 * 2**20
"""What the peaks of two files of one kind may differ by: the allocator's doing, and a row group."""
READ_BYTES = 1 << 18


def csv_sum(path: Path) -> Decimal:
    with path.open(encoding="utf-8", newline="") as file:
        return _sum(row["total_cost"] for row in csv.DictReader(file))


def jsonl_sum(path: Path) -> Decimal:
    with path.open(encoding="utf-8") as file:
        return _sum(str(json.loads(line, parse_float=Decimal)["total_cost"]) for line in file)


def parquet_sum(path: Path) -> Decimal:
    return _batches_sum(batch.column(0) for batch in _parquet(path, "total_cost"))


def focus_sum(path: Path) -> Decimal:
    with path.open(encoding="utf-8", newline="") as file:
        return _sum(row["EffectiveCost"] for row in csv.DictReader(file))


def arrow_sum(path: Path) -> Decimal:
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as found:
        batches = map(found.get_batch, range(found.num_record_batches))
        return _batches_sum(batch.column("total_cost") for batch in batches)


def _parquet(path: Path, column: str) -> Sequence[pa.RecordBatch]:
    return list(pq.ParquetFile(path).iter_batches(columns=[column]))


def _batches_sum(columns: Iterable[Any]) -> Decimal:
    return _sum(str(value) for column in columns for value in column.to_pylist())


def _sum(texts: Iterable[str]) -> Decimal:
    total = Decimal()
    for text in texts:
        if text not in ("", "None"):
            total = EXACT.add(total, Decimal(text))
    return total


@dataclass(frozen=True, slots=True)
class Form:
    """A format: its parameters, what reads its sum, and its goal in rows a second."""

    name: str
    query: str
    total: Callable[[Path], Decimal] | None
    goal: int | None = None


FORMS = (
    Form("CSV", "format=csv", csv_sum, 150_000),
    Form("JSON Lines", "format=jsonl", jsonl_sum),
    Form("Parquet", "format=parquet", parquet_sum, 400_000),
    Form("Arrow", "format=arrow", arrow_sum),
    Form("FOCUS 1.2, CSV, a day a row", "format=focus&focus_grain=day", focus_sum),
    Form("Excel", "format=xlsx", None),
)


class Export:
    """A ledger with its server, and one format of its file."""

    def __init__(self, ledger: Filled, server: Server, form: Form, plain: SingleRound) -> None:
        self._ledger = ledger
        self._server = server
        self._plain = plain
        self.form = form
        self.drivers: list[float] = []
        first = ledger.last_day - DAYS + 1
        self._tenth = f"&start_date={day_text(first)}&end_date={day_text(first + DAYS // 10 - 1)}"

    def ours(self) -> float:
        """Rows of the ledger a second."""
        began = time.perf_counter()
        self.save(None)
        return self._ledger.rows / (time.perf_counter() - began)

    def save(self, path: Path | None, more: str = "") -> int:
        """Read the file, and keep it where a path is given; its bytes."""
        connection = http.client.HTTPConnection(HOST, self._server.port)
        headers = {"Authorization": f"Bearer {self._ledger.key}"}
        connection.request("GET", f"/api/v1/costs/export?{self.form.query}{more}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        size = 0
        with open(path or "/dev/null", "wb") as file:
            while data := answer.read1(READ_BYTES):
                size += len(data)
                file.write(data)
        connection.close()
        return size

    def growth(self, more: str = "") -> int:
        """Bytes that the server's memory is larger at its peak than before the file."""
        self._server.forget_peak()
        before = self._server.resident_bytes()
        self.save(None, more)
        return self._server.resident_bytes("VmHWM") - before

    def growths(self) -> tuple[int, int]:
        """For a tenth of the days, and for all."""
        return self.growth(self._tenth), self.growth()

    def check(self, expected: Decimal) -> int:
        """The file's size. Raises AssertionError when its rows do not add up to the ledger."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "file"
            size = self.save(path)
            if self.form.total is not None:
                found = self.form.total(path)
                assert found == expected, (self.form.name, found, expected)
        return size

    def beside(self) -> float:
        """The driver's turn, and the plain server's rate."""
        self.drivers.append(self.limit())
        return self._plain.plain()

    def limit(self) -> float:
        """Rows a second of the bare driver and `csv`."""
        connection = driver_connection(self._ledger.url)
        began = time.perf_counter()
        cursor = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM usage_records "
            f"WHERE organization_id = '{self._ledger.organization_id}' ORDER BY timestamp, id"
        )
        read = 0
        while batch := cursor.fetchmany(BATCH_ROWS):
            read += len(batch)
            csv.writer(io.StringIO()).writerows(batch)
        seconds = time.perf_counter() - began
        connection.close()
        return read / seconds


def ledger_total(ledger: Filled) -> Decimal:
    """The ledger's sum by the bare driver."""
    connection = driver_connection(ledger.url)
    statement = (
        "SELECT SUM(cost_e10) FROM usage_records "
        f"WHERE organization_id = '{ledger.organization_id}'"
    )
    ((units,),) = connection.execute(statement).fetchall()
    connection.close()
    return EXACT.divide(Decimal(int(units)), E10)


def figure(kind: str, export: Export, expected: Decimal, runs: int, rows: int) -> Figure:
    form = export.form
    size = export.check(expected)
    few, many = export.growths()
    found = paired(export.ours, export.beside, runs)
    goal, met = "stated", []
    if form.goal is not None:
        share = form.goal / PLAIN_RATE
        goal = (
            f"{share:.2f} of the plain server ({form.goal:,} rows/s where that does "
            f"{PLAIN_RATE:,} a second); constant memory"
        )
        met = [found.ratio >= share, many - few <= SLACK_BYTES]
    proof = "" if form.total is None else "; sum of the rows = the ledger's"
    return Figure(
        f"export of {rows:,} calls as {form.name} ({size / 2**20:.0f} MiB), {NAMES[kind]}",
        goal,
        f"plain ASGI server that stores nothing: {thousands(found.beside)} a second of its CPU; "
        f"raw driver and `csv.writer`: {thousands(statistics.median(export.drivers))} rows/s",
        f"{thousands(found.ours)} rows/s; peak memory +{many / 2**20:.1f} MiB "
        f"(a tenth of the days +{few / 2**20:.1f} MiB){proof}",
        ratio_text(found),
        met,
        kind,
    )


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    _, rows = sizes(chosen)
    warm, timed = (40, 200) if chosen.tiny else (1000, 12_000)
    for kind in (kind for kind in chosen.databases.split(",") if kind in KINDS):
        ledger = filled(kind, rows)
        expected = ledger_total(ledger)
        with serving(ledger.url) as server:
            for form in FORMS:
                export = Export(ledger, server, form, SingleRound(kind, warm, timed))
                say([figure(kind, export, expected, chosen.runs, ledger.rows)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
