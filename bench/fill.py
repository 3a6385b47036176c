"""Ledgers filled with calls of 90 days, kept under bench/out for as long as schema and recipe are
the same.

One day is recorded by a server over HTTP, priced, rolled up and all; the other 89 are copies of
its rows and of its rollups' rows under other ids and times, made by the database without the
secondary indexes, which follow. `cost-ops verify` finds nothing to object to in such a ledger.

python -m bench.fill    fills all that the other modules read, each kind of database in a process
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import calls
from bench.figures import arguments
from bench.load import request, run
from bench.places import (
    OUT,
    ROOT,
    Place,
    create_database,
    database_url,
    driver_connection,
    drop_database,
    prepared,
)
from bench.serving import serving
from llm_cost_ops.core.ids import batch_stem
from llm_cost_ops.server.ledger.entry import COLUMNS
from llm_cost_ops.server.ledger.rollup import DAY_US, ROLLUPS
from llm_cost_ops.server.ledger.upsert import columns

KINDS = ("sqlite", "postgres")
DAYS = 90
ROWS, TINY_ROWS = 10_000_000, 9_000
SMALLER = 10
"""The small ledger has a tenth of the rows of the large one."""
BATCH = 1000
VERSIONS = ROOT / "src" / "llm_cost_ops" / "server" / "db" / "migrations" / "versions"
_ROLLUPS = tuple((rollup.table.name, rollup.key, rollup.buckets) for rollup in ROLLUPS)
_ID_TIME = len("usg_") + 10
_EVENT_DAY = len("evt-") + 2


@dataclass(frozen=True, slots=True)
class Filled:
    """A ledger of at least the rows that were asked for; `last_day` is in days since 1970."""

    url: str
    organization_id: str
    key: str
    rows: int
    last_day: int
    recipe: str

    def month(self) -> tuple[int, int]:
        """30 days in the middle: the first, and the one after the last."""
        first = self.last_day - DAYS + 1 + 30
        return first, first + 30


def sizes(chosen: Any) -> tuple[int, int]:
    """The large and the small number of rows."""
    rows = chosen.rows or (TINY_ROWS if chosen.tiny else ROWS)
    return rows, max(rows // SMALLER, DAYS)


def day_text(day: int) -> str:
    """Midnight as the API reads it."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return at.strftime("%Y-%m-%dT00:00:00Z")


def filled(kind: str, rows: int) -> Filled:
    """The ledger of this size: one that is there already, or a new one."""
    note = OUT / f"filled-{kind}-{rows}.json"
    known = _known(note)
    if known is not None:
        return known
    made = _fill(kind, rows)
    note.write_text(json.dumps(asdict(made)), encoding="utf-8")
    return made


def _known(note: Path) -> Filled | None:
    if not note.exists():
        return None
    known = Filled(**json.loads(note.read_text(encoding="utf-8")))
    if known.recipe != _recipe():
        return None
    try:
        connection = driver_connection(known.url)
        connection.execute("SELECT 1 FROM usage_records LIMIT 1")
        connection.close()
    except Exception:  # of any driver: whatever is wrong with it, it is made anew
        return None
    return known


def _recipe() -> str:
    """What a filled ledger depends on: the schema and how it is filled."""
    sources = [*sorted(VERSIONS.glob("*.py")), Path(__file__), Path(str(calls.__file__))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _fill(kind: str, rows: int) -> Filled:
    empty = _empty(kind, rows)
    last_day = (calls.now() - timedelta(days=1)).date().toordinal() - _EPOCH
    recorded = _record_day(empty, -(-rows // DAYS), last_day)
    connection = driver_connection(empty.url, autocommit=True)
    _SPREAD[kind](connection, last_day)
    connection.close()
    total = recorded * DAYS
    return Filled(empty.url, empty.organization_id, empty.key, total, last_day, _recipe())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def _empty(kind: str, rows: int) -> Place:
    if kind == "sqlite":
        folder = OUT / f"filled-{rows}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return prepared(f"sqlite:///{folder / 'ledger.db'}")
    name = f"cost_ops_bench_filled_{rows}"
    drop_database(kind, name)
    create_database(kind, name)
    return prepared(database_url(kind, name))


def _record_day(empty: Place, rows: int, day: int) -> int:
    """Record a day's calls over HTTP; how many they were."""
    count = -(-rows // BATCH)
    size = -(-rows // count)
    end = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day + 1)
    made = calls.batches(count, size, over=timedelta(days=1), until=end, models=calls.MANY_MODELS)
    requests = [
        request("POST", "/api/v1/usage/batch", empty.key, calls.body_of(batch)) for batch in made
    ]
    with serving(empty.url) as server:
        run(server.port, requests, 1).check(200)
    return count * size


def _spread_sqlite(connection: Any, last_day: int) -> None:
    for name, value in (("journal_mode", "OFF"), ("synchronous", "OFF"), ("cache_size", -(2**20))):
        connection.execute(f"PRAGMA {name} = {value}").fetchone()
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master "
        "WHERE type = 'index' AND tbl_name = 'usage_records' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    _spread(connection, last_day)
    for _, create in indexes:
        connection.execute(create)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL").fetchone()


def _spread_postgres(connection: Any, last_day: int) -> None:
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET maintenance_work_mem = '1GB'")
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = 'usage_records'::regclass AND contype IN ('p', 'u')"
    ).fetchall()
    for name, _ in constraints:
        connection.execute(f"ALTER TABLE usage_records DROP CONSTRAINT {name}")
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE schemaname = current_schema() AND tablename = 'usage_records'"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    _spread(connection, last_day)
    for name, definition in constraints:
        connection.execute(f"ALTER TABLE usage_records ADD CONSTRAINT {name} {definition}")
    for _, create in indexes:
        connection.execute(create)
    connection.execute("VACUUM ANALYZE")


_SPREAD = {"sqlite": _spread_sqlite, "postgres": _spread_postgres}


def _spread(connection: Any, last_day: int) -> None:
    """Put the recorded day in place of itself and of each day before, the oldest first."""
    tables = [("usage_records", COLUMNS, 0, "timestamp, id")]
    tables += [(name, columns(key), width, ", ".join(key)) for name, key, width in _ROLLUPS]
    for name, names, width, order in tables:
        day = f"day_of_{name}"
        listed = ", ".join(names)
        connection.execute(
            f"CREATE TEMPORARY TABLE {day} AS SELECT {listed} FROM {name} ORDER BY {order}"
        )
        connection.execute(f"DELETE FROM {name}" if _is_sqlite(connection) else f"TRUNCATE {name}")
        for back in range(DAYS - 1, -1, -1):
            shifted = {"bucket": f"bucket - {back * width}"}
            if name == "usage_records":
                shifted = _call_of_day(last_day - back, back)
            chosen = ", ".join(shifted.get(column, column) for column in names)
            connection.execute(f"INSERT INTO {name} ({listed}) SELECT {chosen} FROM {day}")
        connection.execute(f"DROP TABLE {day}")


def _call_of_day(day: int, back: int) -> dict[str, str]:
    """The columns that differ in a copy `back` days before the recorded one."""
    if back == 0:
        return {}
    stem = batch_stem("usg", day * DAY_US // 1000, 0)[:_ID_TIME]
    return {
        "id": f"'{stem}' || substr(id, {_ID_TIME + 1})",
        "event_id": f"'evt-{back:02d}' || substr(event_id, {_EVENT_DAY + 1})",
        "timestamp": f"timestamp - {back * DAY_US}",
        "received_at": f"received_at - {back * DAY_US}",
    }


def _is_sqlite(connection: Any) -> bool:
    return type(connection).__module__ == "sqlite3"


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    kinds = [kind for kind in chosen.databases.split(",") if kind in KINDS]
    if len(kinds) <= 1:
        for kind in kinds:
            for rows in sizes(chosen):
                filled(kind, rows)
        return 0
    passed = [
        *(["--tiny"] if chosen.tiny else []),
        *(["--rows", str(chosen.rows)] if chosen.rows else []),
    ]
    started = [
        subprocess.Popen([sys.executable, "-m", "bench.fill", "--databases", kind, *passed])
        for kind in kinds
    ]
    return max([process.wait() for process in started])


if __name__ == "__main__":
    sys.exit(main())
