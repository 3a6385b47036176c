"""SQLite without space, with a disk that fails, and with a file that is not a database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import DatabaseUnavailable, Reason
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import DatabaseSettings

INSERT = text("INSERT INTO organizations (id, name, slug, created_at) VALUES (:id, :id, :id, 1)")
PADDING = text("INSERT INTO price_cards (id, card, first_used_at) VALUES (:id, :card, 1)")


def insert(database: Database, name: str) -> None:
    with write(database) as session:
        session.execute(INSERT, {"id": name})


def check(database: Database, cards: int) -> None:
    with read(database) as session:
        assert session.scalar(text("SELECT count(*) FROM price_cards")) == cards
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"


def reason_of_failure(database: Database, card: int) -> Reason | None:
    try:
        with write(database) as session:
            session.execute(PADDING, {"id": f"card-{card}", "card": "x" * 100_000})
    except DatabaseUnavailable as unavailable:
        return unavailable.reason
    return None


def acknowledged_until_full(database: Database) -> int:
    """How many transactions were acknowledged before there was no space left."""
    stored = 0
    while (reason := reason_of_failure(database, stored)) is None:
        stored += 1
    assert reason is Reason.FULL
    return stored


def test_a_full_file_refuses_writes_and_still_reads(sqlite_settings: DatabaseSettings) -> None:
    database = open_database(sqlite_settings)
    with write(database) as session:
        pages = int(session.scalar(text("PRAGMA page_count")))
        session.scalar(text(f"PRAGMA max_page_count = {pages + 100}"))
    stored = acknowledged_until_full(database)
    assert stored > 0
    check(database, stored)
    with write(database) as session:
        session.scalar(text(f"PRAGMA max_page_count = {pages + 1000}"))
    insert(database, "after")
    check(database, stored)
    database.dispose()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.sqlite
def test_a_full_disk_refuses_writes_and_recovers_when_freed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        settings = DatabaseSettings(url=f"sqlite:///{disk}/ledger.db")
        Migrations().upgrade(settings)
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 2**20)
        database = open_database(settings)
        stored = acknowledged_until_full(database)
        check(database, stored)
        ballast.unlink()
        insert(database, "after")
        check(database, stored)
        database.dispose()


FAILING_DISK = """
import resource, sys
from sqlalchemy import text
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.errors import DatabaseUnavailable
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import DatabaseSettings

database = open_database(DatabaseSettings(url=sys.argv[1]))
insert = text("INSERT INTO organizations (id, name, slug, created_at) VALUES (:id, :id, :id, 1)")

def add(name):
    with write(database) as session:
        session.execute(insert, {"id": name})
        return session.driver

first = add("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
try:
    add("during")
except DatabaseUnavailable as unavailable:
    print(unavailable.reason, unavailable.outcome_unknown)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
second = add("after")
print("reopened" if second is not first else "the same connection")
with read(database) as session:
    print(sorted(session.connection.scalars(text("SELECT id FROM organizations"))))
"""


@pytest.mark.sqlite
def test_a_failed_write_reopens_the_file(sqlite_settings: DatabaseSettings) -> None:
    """The limit on file sizes makes write(2) fail, as a broken disk does."""
    command = [sys.executable, "-c", FAILING_DISK, sqlite_settings.url]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["io True", "reopened", "['after', 'before']"], done.stderr


@pytest.mark.sqlite
def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 1000)
    database = open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/x.db"))
    for session in (read, write):
        with pytest.raises(DatabaseUnavailable) as caught, session(database):
            pass
        assert caught.value.reason is Reason.IO
    database.dispose()
