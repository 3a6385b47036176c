"""A disk that is full or fails under the server (fault rows 7 and 8): nothing is acknowledged that
is not stored, reads go on, and it is over when the disk is well again."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Crowd, set_price
from tests.chaos.scale import SEED, patient
from tests.support.server_process import ServerProcess

READ = "/api/v1/costs/summary"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def eventually(happened: Callable[[], object], within_s: float = patient(15)) -> None:
    until = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


def integrity(settings: DatabaseSettings) -> str:
    database = open_database(settings)
    with read(database) as session:
        found = session.scalar(text("PRAGMA integrity_check"))
    database.dispose()
    return str(found)


@pytest.mark.sqlite
def test_a_full_disk(tmp_path: Path, launch: Launch) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        settings = DatabaseSettings(url=f"sqlite:///{disk}/ledger.db", pool_size=4)
        Migrations().upgrade(settings)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(5 << 20))
        server = launch(settings)
        set_price(server)
        with Crowd([server], seed=SEED, clients=4) as crowd:
            eventually(lambda: crowd.history.statuses()[503] > 20)
            stored = len(crowd.history.acknowledged)
            assert stored > 0
            for path in ("/live", "/health", READ, "/api/v1/costs"):
                assert server.get(path).status_code == 200
            assert server.get(READ).json()["total_requests"] >= stored
            assert integrity(settings) == "ok"
            ballast.unlink()
            crowd.acknowledged_more(20)
        _check_refusals(crowd.history)
        server.kill()
        assert integrity(settings) == "ok"
        check_ledger(settings, crowd.history)


def _check_refusals(history: History) -> None:
    assert history.statuses().keys() <= {200, 201, 503}
    for answer in history.answers:
        assert answer.status != 503 or int(answer.retry_after or 0) >= 1


@pytest.mark.sqlite
def test_files_that_may_not_grow(sqlite_settings: DatabaseSettings, launch: Launch) -> None:
    """The limit on file sizes makes write(2) fail; it needs no tools and no rights."""
    server = launch(sqlite_settings)
    set_price(server)
    server.get("/live")
    size = max(path.stat().st_size for path in Path(server.folder).rglob("server.log"))
    with Crowd([server], seed=SEED, clients=4) as crowd:
        crowd.acknowledged_more(50)
        wal = Path(sqlite_settings.url.removeprefix("sqlite:///") + "-wal")
        limit = max(wal.stat().st_size, size)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        eventually(lambda: crowd.history.statuses()[503] > 20)
        assert server.get("/live").status_code == 200
        assert server.get(READ).status_code == 200
        endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, endless)
        crowd.acknowledged_more(20)
    _check_refusals(crowd.history)
    server.kill()
    assert integrity(sqlite_settings) == "ok"
    check_ledger(sqlite_settings, crowd.history)


@contextmanager
def failing(server: ServerProcess, call: str, error: str, when: str) -> Iterator[None]:
    """A system call of a running server fails, whichever of its threads makes it."""
    if shutil.which("strace") is None:
        pytest.skip("making writes fail needs strace (Debian: apt-get install strace)")
    inject = f"inject={call}:error={error}:when={when}"
    command = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
    strace = subprocess.Popen([*command, "-p", str(server.pid)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: strace.poll() is not None or _traced(server.pid))
        if strace.poll() is not None:
            pytest.skip(f"strace may not attach here: {strace.communicate()[1]!r}")
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.communicate()


def _traced(pid: int) -> bool:
    """Whether every thread of the process is watched."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return all("TracerPid:\t0\n" not in status for status in statuses)


FAULTS = {
    "fdatasync": ("fdatasync", "EIO"),
    "a bad disk": ("pwrite64", "EIO"),
    "a full disk": ("pwrite64", "ENOSPC"),
}


@pytest.mark.sqlite
@pytest.mark.parametrize(("call", "error"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("when", ["1+", "1+3"], ids=["always", "every third"])
def test_writes_that_fail(
    sqlite_settings: DatabaseSettings, launch: Launch, call: str, error: str, when: str
) -> None:
    server = launch(sqlite_settings)
    set_price(server)
    with Crowd([server], seed=SEED, clients=4) as crowd:
        crowd.acknowledged_more(50)
        with failing(server, call, error, when):
            # Until every client has met the fault: what was flushed before it is acknowledged.
            eventually(lambda: crowd.history.statuses()[503] > 20)
            before = len(crowd.history.acknowledged)
            eventually(lambda: crowd.history.statuses()[503] > 40)
            if when == "1+":
                assert len(crowd.history.acknowledged) == before
            assert server.get("/live").status_code == 200
            assert server.get(READ).status_code == 200
        crowd.acknowledged_more(20)
    _check_refusals(crowd.history)
    server.kill()
    assert integrity(sqlite_settings) == "ok"
    check_ledger(sqlite_settings, crowd.history)


@pytest.mark.sqlite
def test_a_log_that_cannot_be_written(sqlite_settings: DatabaseSettings, launch: Launch) -> None:
    """A full disk of the log costs the log, not the calls."""
    server = launch(sqlite_settings)
    set_price(server)
    server.kill()
    server.starts += 1
    server.log_path.parent.mkdir()
    server.log_path.symlink_to("/dev/full")
    server.starts -= 1
    server.start()
    with Crowd([server], seed=SEED, clients=2) as crowd:
        crowd.acknowledged_more(50)
        assert server.get(READ).status_code == 200
    assert crowd.history.statuses().keys() <= {200, 201}
    assert server.terminate() == 0
    check_ledger(sqlite_settings, crowd.history)
