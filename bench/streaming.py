"""All calls as one NDJSON stream, `GET /api/v1/costs?stream=true`: rows a second, and how much more
memory the server takes for ten times the rows.

Beside it stand the plain server of `bench.single` (answers a second of its CPU), by which the goal
moves between machines, and the bare driver, which reads the same columns in the same order, in
batches of as many rows, and makes nothing of them.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import time
from collections.abc import Sequence

from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.fill import KINDS, Filled, filled, sizes
from bench.load import HOST
from bench.places import driver_connection
from bench.serving import Server, serving
from bench.single import PLAIN_RATE
from bench.single import Round as SingleRound
from llm_cost_ops.server.analytics.pages import COLUMNS
from llm_cost_ops.server.analytics.stream import BATCH_ROWS

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
GOAL = 50_000
SLACK_BYTES = 8 * 2**20
"""What the peaks of two equal streams may differ by: the allocator's doing."""
READ_BYTES = 1 << 18


class Stream:
    """A ledger with its server; so many rows of it each time."""

    def __init__(self, ledger: Filled, server: Server, rows: int, plain: SingleRound) -> None:
        self._ledger = ledger
        self._server = server
        self._plain = plain
        self.rows = rows
        self.bytes = 0
        self.drivers: list[float] = []

    def ours(self) -> float:
        """Rows a second."""
        began = time.perf_counter()
        assert self.read(self.rows) == self.rows, "rows are missing"
        return self.rows / (time.perf_counter() - began)

    def read(self, rows: int) -> int:
        """How many lines come when so many rows are asked for."""
        connection = http.client.HTTPConnection(HOST, self._server.port)
        headers = {"Authorization": f"Bearer {self._ledger.key}"}
        connection.request("GET", f"/api/v1/costs?stream=true&limit={rows}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        lines = self.bytes = 0
        while data := answer.read1(READ_BYTES):
            lines += data.count(b"\n")
            self.bytes += len(data)
        connection.close()
        return lines

    def growth(self, rows: int) -> int:
        """Bytes that the server's memory is larger at its peak than before the stream."""
        self._server.forget_peak()
        before = self._server.resident_bytes()
        self.read(rows)
        return self._server.resident_bytes("VmHWM") - before

    def beside(self) -> float:
        """The driver's turn, and the plain server's rate."""
        self.drivers.append(self.limit())
        return self._plain.plain()

    def limit(self) -> float:
        """Rows a second of the bare driver."""
        connection = driver_connection(self._ledger.url)
        began = time.perf_counter()
        cursor = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM usage_records "
            f"WHERE organization_id = '{self._ledger.organization_id}' "
            f"ORDER BY timestamp, id LIMIT {self.rows}"
        )
        read = 0
        while batch := cursor.fetchmany(BATCH_ROWS):
            read += len(batch)
        seconds = time.perf_counter() - began
        connection.close()
        assert read == self.rows
        return read / seconds


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    _, rows = sizes(chosen)
    tenth = max(rows // 10, 1)
    warm, timed = (40, 200) if chosen.tiny else (1000, 12_000)
    for kind in (kind for kind in chosen.databases.split(",") if kind in KINDS):
        ledger = filled(kind, rows)
        with serving(ledger.url) as server:
            stream = Stream(ledger, server, rows, SingleRound(kind, warm, timed))
            stream.read(rows)  # fills the page cache, whose size is bounded
            growths = [
                [stream.growth(asked) for asked in (tenth, rows)] for _ in range(chosen.runs)
            ]
            found = paired(stream.ours, stream.beside, chosen.runs)
        few, all_rows = (statistics.median(sides) for sides in zip(*growths, strict=True))
        say(
            [
                Figure(
                    f"stream of {rows:,} calls as NDJSON "
                    f"({stream.bytes // rows} bytes each), {NAMES[kind]}",
                    f"{GOAL / PLAIN_RATE:.2f} of the plain server ({GOAL:,} rows/s where that does "
                    f"{PLAIN_RATE:,} a second); constant memory",
                    f"plain ASGI server that stores nothing: {thousands(found.beside)} a second of "
                    "its CPU; raw driver reading the same columns: "
                    f"{thousands(statistics.median(stream.drivers))} rows/s",
                    f"{thousands(found.ours)} rows/s; peak memory +{all_rows / 2**20:.1f} MiB "
                    f"(for {tenth:,} rows +{few / 2**20:.1f} MiB)",
                    ratio_text(found),
                    [found.ratio >= GOAL / PLAIN_RATE, all_rows - few <= SLACK_BYTES],
                    kind,
                )
            ]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
