"""`POST /usage`, one call each over 32 kept connections, acknowledged when flushed.

Beside it stand a server that only decodes the record and answers (raw ASGI, msgspec, uvicorn; its
requests a second of its own CPU, so that the client does not bound it), the disk (an 8 KB write and
fdatasync, one after another, on the same file system) and the raw driver: the same rows, one commit
for each, one connection. Concurrent calls share commits, so they may pass both of the latter.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bench.batch import READERS, WRITERS
from bench.calls import batches, now
from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.load import Load, request, run
from bench.places import OUT, driver_connection, place
from bench.serving import plainly_serving, serving

PATH = "/api/v1/usage"
CONNECTIONS = 32
GOALS = {"sqlite": 3000}
PLAIN_RATE = 48_000
"""Requests a second of such a plain server on a core of its own, where the goal was set."""
NAMES = {"sqlite": "SQLite, synchronous FULL", "postgres": "PostgreSQL", "mysql": "MariaDB"}
WRITE = b"\x5a" * 8192


class Round:
    """One run of ours, and of the driver with what ours stored."""

    def __init__(self, kind: str, warm: int, timed: int) -> None:
        self._kind = kind
        self._warm = warm
        made = batches(1, warm + timed, over=timedelta(hours=1), until=now())[0]
        self._bodies = [json.dumps(record, separators=(",", ":")).encode() for record in made]
        self._stored: list[Any] = []
        self.drivers: list[float] = []
        self.loads: list[Load] = []

    def ours(self) -> float:
        with place(self._kind) as ledger:
            requests = [request("POST", PATH, ledger.key, body) for body in self._bodies]
            with serving(ledger.url) as server:
                run(server.port, requests[: self._warm], CONNECTIONS).check(201)
                load = run(server.port, requests[self._warm :], CONNECTIONS)
            load.check(201)
            self._stored = READERS[self._kind](ledger, 1)
        assert len(self._stored) == len(self._bodies), "rows are missing"
        self.loads.append(load)
        return load.rate

    def limit(self) -> float:
        timed = self._stored[self._warm :]
        with place(self._kind) as ledger:
            connection = driver_connection(ledger.url)
            store = WRITERS[self._kind](connection)
            began = time.perf_counter()
            for row in timed:
                store(row)
            seconds = time.perf_counter() - began
            connection.close()
        return len(timed) / seconds

    def beside(self) -> float:
        """The driver's turn, and the plain server's rate."""
        self.drivers.append(self.limit())
        return self.plain()

    def plain(self) -> float:
        requests = [request("POST", PATH, "", body) for body in self._bodies]
        with plainly_serving() as server:
            run(server.port, requests[: self._warm], CONNECTIONS).check(201)
            before = server.cpu_seconds()
            load = run(server.port, requests[self._warm :], CONNECTIONS)
            seconds = server.cpu_seconds() - before
        load.check(201)
        return load.requests / max(seconds, 0.01)

    def latencies(self) -> str:
        """The median and the 99th percentile of all runs."""
        cuts = statistics.quantiles((ms for load in self.loads for ms in load.latencies_ms), n=100)
        return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"


def flushes(count: int) -> float:
    """Writes of 8 KB with an fdatasync each, a second."""
    path = OUT / f"flush-{os.getpid()}"
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        began = time.perf_counter()
        for index in range(count):
            os.pwrite(file, WRITE, index * len(WRITE))
            os.fdatasync(file)
        return count / (time.perf_counter() - began)
    finally:
        os.close(file)
        path.unlink()


def _goal_text(goal: int) -> str:
    return (
        f"{goal / PLAIN_RATE:g} of the plain server ({goal:,} acknowledged calls/s where that "
        f"does {PLAIN_RATE:,} a second)"
    )


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    warm, timed = (40, 200) if chosen.tiny else (1000, 12_000)
    for kind in chosen.databases.split(","):
        one = Round(kind, warm, timed)
        found = paired(one.ours, one.beside, chosen.runs)
        disk = statistics.median(flushes(min(timed, 1000)) for _ in range(chosen.runs))
        goal = GOALS.get(kind)
        say(
            [
                Figure(
                    f"`POST /usage`, {CONNECTIONS} connections, {NAMES[kind]}",
                    "stated" if goal is None else _goal_text(goal),
                    f"plain ASGI server that stores nothing: {thousands(found.beside)} a second of "
                    "its CPU; raw driver, one commit a row: "
                    f"{thousands(statistics.median(one.drivers))}/s; "
                    f"8 KB write + fdatasync: {thousands(disk)}/s",
                    f"{thousands(found.ours)}/s ({one.latencies()})",
                    ratio_text(found, 3),
                    [] if goal is None else [found.ratio >= goal / PLAIN_RATE],
                    kind,
                )
            ]
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
