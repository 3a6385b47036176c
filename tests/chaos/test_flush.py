"""Acknowledged means flushed: kill -9 cannot tell, because the page cache outlives the process."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pymysql
import pytest
import requests
from sqlalchemy import make_url

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.health import findings
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Caller, set_price
from tests.chaos.scale import SEED
from tests.support.server_process import ServerProcess

CALLS = 25
_ENDED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>.*= (?P<result>-?\d+)")
_WHOLE = re.compile(
    r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>.*= (?P<result>-?\d+)"
)
_BEGUN = re.compile(
    r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>.*<unfinished \.\.\.>"
)
FLUSHES = frozenset({"fsync", "fdatasync"})


def send(server: ServerProcess, history: History) -> None:
    """One call after the other on one connection, each of them acknowledged."""
    caller = Caller("c", SEED, history)
    with requests.Session() as session:
        session.headers.update(server.tenant.headers)
        for _ in range(CALLS):
            (call,) = caller.batch(1)
            answer = session.post(f"{server.base_url}/api/v1/usage", json=call, timeout=30)
            assert answer.status_code == 201
            history.acknowledge([answer.json()])


def events_of(trace: str) -> list[str]:
    """In the order in which they happened: `wal` for a flush of the log that has ended well,
    `201` for an answer that begins to leave."""
    events: list[str] = []
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if "HTTP/1.1 201" in line:
            events.append("201")
        elif (whole := _WHOLE.match(line)) and whole["name"] in FLUSHES:
            if whole["path"].endswith("-wal") and whole["result"] == "0":
                events.append("wal")
        elif (start := _BEGUN.match(line)) and start["name"] in FLUSHES:
            begun[start["pid"]] = start["path"]
        elif (end := _ENDED.match(line)) and end["name"] in FLUSHES:
            if begun.pop(end["pid"], "").endswith("-wal") and end["result"] == "0":
                events.append("wal")
    return events


def test_the_reader_of_traces() -> None:
    trace = (
        '7 fdatasync(9</d/x.db-wal> <unfinished ...>\n6 write(5<s>, "HTTP/1.1 201 C"..., 9) = 9\n'
        "7 <... fdatasync resumed>) = 0\n7 fsync(9</d/x.db-wal>) = -1 EIO (x)\n"
        "7 fsync(9</d/x.db-wal>) = 0\n7 fsync(8</d/x.db>) = 0\n"
    )
    assert events_of(trace) == ["201", "wal", "wal"]


def unflushed(events: list[str]) -> int:
    """Answers that left before a flush of their own."""
    pairs = zip(["", *events], events, strict=False)
    return sum(1 for before, event in pairs if event == "201" and before != "wal")


def traced(server: ServerProcess, history: History, output: Path) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("watching system calls needs strace (Debian: apt-get install strace)")
    calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg"
    strace = subprocess.Popen(
        ["strace", "-f", "-y", "-s", "24", "-e", calls, "-o", str(output), "-p", str(server.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace may not attach here: {said.strip()}")
        time.sleep(0.2)
        send(server, history)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate()
    events = events_of(output.read_text(encoding="utf-8", errors="replace"))
    assert events.count("201") == CALLS
    return events


@pytest.mark.sqlite
@pytest.mark.parametrize(("synchronous", "too_early"), [("full", 0), ("normal", CALLS)])
def test_sqlite_flushes_before_each_answer(
    sqlite_settings: DatabaseSettings,
    launch: Launch,
    tmp_path: Path,
    synchronous: str,
    too_early: int,
) -> None:
    """`normal` is the setting that production refuses; here it shows that the trace can tell."""
    server = launch(replace(sqlite_settings, sqlite_synchronous=synchronous))
    set_price(server)
    history = History()
    assert unflushed(traced(server, history, tmp_path / "trace")) == too_early
    server.kill()
    check_ledger(sqlite_settings, history)


def flushes_of_postgres(url: str) -> int:
    """Flushes of the write-ahead log since its start, by all sessions."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT wal_sync FROM pg_stat_wal").fetchone()
    assert row is not None
    return int(row[0])


def flushes_of_mysql(url: str) -> int:
    at = make_url(url)
    connection = pymysql.connect(
        host=at.host or "", port=at.port or 3306, user=at.username, password=str(at.password or "")
    )
    with connection, connection.cursor() as cursor:
        # MariaDB 10.8 and later count the log's flushes with those of the data files
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_%fsyncs'")
        found = {name.lower(): int(count) for name, count in cursor.fetchall()}
    return found.get("innodb_os_log_fsyncs", found["innodb_data_fsyncs"])


def test_the_server_flushes_each_commit(server_settings: DatabaseSettings, launch: Launch) -> None:
    """The settings in force on our own connections ask for it, and the counters show it."""
    database = open_database(server_settings)
    assert [str(finding) for finding in findings(database) if finding.unsafe] == []
    database.dispose()
    server = launch(server_settings)
    set_price(server)
    history = History()
    url = server_settings.url
    count = flushes_of_postgres if url.startswith("postgres") else flushes_of_mysql
    before = count(url)
    send(server, history)
    server.kill()  # PostgreSQL adds what a session did when it ends
    until = time.monotonic() + 10
    while count(url) - before < CALLS:
        assert time.monotonic() < until, count(url) - before
        time.sleep(0.1)
    check_ledger(server_settings, history)
