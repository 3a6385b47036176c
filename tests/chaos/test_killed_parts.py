"""kill -9 of other parts than the server: one of its workers, its database."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Crowd, set_price
from tests.chaos.scale import SEED, in_full, patient, up_to
from tests.support.database import small_pool
from tests.support.server_process import ServerProcess
from tests.support.services import MYSQL, POSTGRES, start_services, stop_services

BACK_WITHIN_S = patient(15)
PID_FILES = {"postgres": "data/postmaster.pid", "mysql": "server.pid"}


def workers_of(server: ServerProcess, count: int, killed: int | None = None) -> list[int]:
    """As many workers as they should be, without the killed one, that may be dying still."""
    until = time.monotonic() + patient(20)
    while len(found := _workers(server.pid)) != count or killed in found:
        assert time.monotonic() < until, (found, killed)
        time.sleep(0.05)
    return found


def _workers(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    found: list[int] = []
    for pid in map(int, listed.split()):
        try:
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except FileNotFoundError:  # it ended while we looked
            continue
    return found


@pytest.mark.chaos
def test_a_worker_is_killed(database_settings: DatabaseSettings, launch: Launch) -> None:
    """Its calls are repeated at the other one; the parent starts another."""
    server = launch(database_settings, cold=True, workers=2)
    set_price(server)
    chance = random.Random(SEED)
    # With SQLite one more works off jobs.
    count = 3 if database_settings.url.startswith("sqlite") else 2
    with Crowd([server], seed=SEED, clients=4) as crowd:
        for _ in range(2):  # the parent gives up after five that died within ten seconds
            crowd.acknowledged_more(30)
            victim = chance.choice(workers_of(server, count))
            os.kill(victim, signal.SIGKILL)
            crowd.acknowledged_more(30)
            workers_of(server, count, victim)
    assert server.terminate() == 0
    check_ledger(database_settings, crowd.history)


@contextmanager
def private_database(kind: str, folder: Path) -> Iterator[str]:
    """A database server of our own that may be killed."""
    variable = {"postgres": POSTGRES, "mysql": MYSQL}[kind]
    try:
        yield start_services(kind, directory=folder)[variable]
    finally:
        stop_services(folder)
        shutil.rmtree(folder)


def kill_database(folder: Path, kind: str) -> None:
    """SIGKILL to the server and what it started: no checkpoint, no goodbye."""
    (pid_file,) = folder.rglob(PID_FILES[kind])
    pid = int(pid_file.read_text(encoding="ascii").split()[0])
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    assert str(pid_file.parent) in command or str(pid_file.parent.parent) in command
    below = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    for victim in [pid, *map(int, below.split())]:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)


@in_full
@pytest.mark.chaos
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_the_database_is_killed(kind: str, launch: Launch, tmp_path: Path) -> None:
    folder = Path(f"/var/tmp/cost-ops-killed-{os.getpid()}-{kind}")
    chance = random.Random(SEED)
    with private_database(kind, folder) as url:
        name = url.rsplit("/", 1)[0] + "/cost_ops_killed"
        _create(kind, url)
        settings = small_pool(name)
        Migrations().upgrade(settings)
        server = launch(settings)
        set_price(server)
        with Crowd([server], seed=SEED, clients=6) as crowd:
            for _ in range(up_to(5, 20)):
                crowd.acknowledged_more(20)
                time.sleep(chance.uniform(0.05, 0.5))
                kill_database(folder, kind)
                start_services(kind, directory=folder)
                crowd.acknowledged_more(20, BACK_WITHIN_S)
        assert crowd.history.statuses().keys() <= {200, 201, 503}
        server.kill()
        check_ledger(settings, crowd.history)


def _create(kind: str, url: str) -> None:
    driver = {"postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}[kind]
    engine = create_engine(driver + "://" + url.split("://", 1)[1], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE cost_ops_killed"))
    engine.dispose()
