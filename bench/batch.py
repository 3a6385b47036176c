"""`POST /usage/batch`, 1,000 records a call over HTTP, beside the raw driver storing the same rows.

Each run starts a server process on an empty ledger of its own and sends all batches from another
process. Then the rows that the server stored are read back and stored again by the driver alone:
the same table, columns and indexes, one commit for each 1,000 rows, the same durability, a tuned
cache and checkpoint, rows made beforehand. SQLite: `executemany INSERT .. ON CONFLICT`. PostgreSQL:
COPY of text into a temporary table, then `INSERT .. ON CONFLICT`, on one connection. MariaDB:
`executemany INSERT .. ON DUPLICATE KEY`.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from bench.calls import batches, body_of, now
from bench.figures import Figure, Pair, arguments, paired, ratio_text, say, thousands
from bench.load import request, run
from bench.places import Place, driver_connection, place
from bench.serving import serving
from llm_cost_ops.server.ledger.entry import COLUMNS

PATH = "/api/v1/usage/batch"
BATCH = 1000
LIVE, BACKFILL = timedelta(hours=1), timedelta(days=90)
GOALS = {
    ("sqlite", 1): 0.50,
    ("sqlite", 4): 0.50,
    ("postgres", 1): 0.45,
    ("postgres", 4): 0.75,
}
NAMES = {"sqlite": "SQLite, synchronous FULL", "postgres": "PostgreSQL", "mysql": "MariaDB"}
LIMITS = {
    "sqlite": "raw `executemany INSERT .. ON CONFLICT`",
    "postgres": "raw COPY + `INSERT .. ON CONFLICT`, one connection",
    "mysql": "raw `executemany INSERT .. ON DUPLICATE KEY`",
}
_COLUMNS = ", ".join(COLUMNS)
_MYSQL_COLUMNS = ", ".join(f"`{name}`" for name in COLUMNS)


class Round:
    """One run of ours, and of the limit with what ours stored."""

    def __init__(self, kind: str, clients: int, warm: int, timed: int, over: timedelta) -> None:
        self._kind = kind
        self._clients = clients
        self._warm = warm
        made = batches(warm + timed, BATCH, over=over, until=now())
        self._bodies = [body_of(batch) for batch in made]
        self._stored: list[Any] = []

    def ours(self) -> float:
        with place(self._kind) as ledger:
            requests = [request("POST", PATH, ledger.key, body) for body in self._bodies]
            with serving(ledger.url) as server:
                run(server.port, requests[: self._warm], self._clients).check(200)
                load = run(server.port, requests[self._warm :], self._clients)
            load.check(200)
            self._stored = READERS[self._kind](ledger, BATCH)
        assert len(self._stored) == len(self._bodies), "rows are missing"
        return load.rate * BATCH

    def limit(self) -> float:
        with place(self._kind) as ledger:
            connection = driver_connection(ledger.url)
            store = WRITERS[self._kind](connection)
            for rows in self._stored[: self._warm]:
                store(rows)
            timed = self._stored[self._warm :]
            began = time.perf_counter()
            for rows in timed:
                store(rows)
            seconds = time.perf_counter() - began
            connection.close()
        return len(timed) * BATCH / seconds


def _read_sqlite(ledger: Place, size: int) -> list[Any]:
    connection = driver_connection(ledger.url)
    rows = connection.execute(f"SELECT {_COLUMNS} FROM usage_records ORDER BY id").fetchall()
    connection.close()
    return _chunks(rows, size)


def _write_sqlite(connection: Any) -> Callable[[Any], object]:
    insert = (
        f"INSERT INTO usage_records ({_COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS))}) "
        "ON CONFLICT (organization_id, source, event_id) DO NOTHING"
    )

    def store(rows: Any) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows)
        connection.execute("COMMIT")

    return store


def _read_postgres(ledger: Place, size: int) -> list[Any]:
    connection = driver_connection(ledger.url)
    query = f"COPY (SELECT {_COLUMNS} FROM usage_records ORDER BY id) TO STDOUT"
    with connection.cursor().copy(query) as copy:
        text = b"".join(copy)
    connection.close()
    return [b"".join(chunk) for chunk in _chunks(text.splitlines(keepends=True), size)]


def _write_postgres(connection: Any) -> Callable[[Any], object]:
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE raw_stage (LIKE usage_records) ON COMMIT DELETE ROWS")
    connection.commit()

    def store(text: Any) -> None:
        with cursor.copy(f"COPY raw_stage ({_COLUMNS}) FROM STDIN") as copy:
            copy.write(text)
        cursor.execute(
            f"INSERT INTO usage_records ({_COLUMNS}) SELECT {_COLUMNS} FROM raw_stage "
            "ON CONFLICT (organization_id, source, event_id) DO NOTHING"
        )
        connection.commit()

    return store


def _read_mysql(ledger: Place, size: int) -> list[Any]:
    connection = driver_connection(ledger.url)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_MYSQL_COLUMNS} FROM usage_records ORDER BY id")
        rows = list(cursor.fetchall())
    connection.close()
    return _chunks(rows, size)


def _write_mysql(connection: Any) -> Callable[[Any], object]:
    insert = (
        f"INSERT INTO usage_records ({_MYSQL_COLUMNS}) "
        f"VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON DUPLICATE KEY UPDATE id = id"
    )

    def store(rows: Any) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(insert, rows)
        connection.commit()

    return store


# Rows as stored, in chunks of a size; what stores one chunk and commits it.
READERS = {"sqlite": _read_sqlite, "postgres": _read_postgres, "mysql": _read_mysql}
WRITERS = {"sqlite": _write_sqlite, "postgres": _write_postgres, "mysql": _write_mysql}


def _chunks(rows: Sequence[Any], size: int) -> list[Any]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def figure(kind: str, clients: int, over: timedelta, pair: Pair) -> Figure:
    goal = GOALS.get((kind, clients)) if over == LIVE else None
    spread = "calls of the last hour" if over == LIVE else "a backfill over 90 days, in no order"
    many = "1 client" if clients == 1 else f"{clients} clients"
    return Figure(
        f"`POST /usage/batch`, 1,000 a call, {NAMES[kind]}, {many}; {spread}",
        "stated" if goal is None else f"{goal:.0%} of the limit",
        f"{LIMITS[kind]}: {thousands(pair.beside)} rows/s",
        f"{thousands(pair.ours)} rows/s",
        ratio_text(pair),
        [] if goal is None else [pair.ratio >= goal],
        kind,
    )


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    warm, timed = (1, 2) if chosen.tiny else (10, 60)
    kinds = chosen.databases.split(",")
    for kind, clients, over in itertools.product(kinds, (1, 4), (LIVE, BACKFILL)):
        if chosen.tiny and (clients, over) not in ((1, LIVE), (4, BACKFILL)):
            continue
        if over == BACKFILL and clients == 1:
            continue
        one = Round(kind, clients, warm, timed, over)
        say([figure(kind, clients, over, paired(one.ours, one.limit, chosen.runs))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
