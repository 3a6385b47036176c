"""A server in a process of its own, on a real socket.

    live_server   one server per test run on SQLite (session-wide), for tests that need an address

`serving(settings)` starts one of your own; `tests.support.server_process` has one that is killed
and started again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import httpx
import pytest

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.settings import DatabaseSettings, ServerSettings, Settings
from tests.support.application import make_key, make_organization

START_SECONDS = 120.0
STOP_SECONDS = 45.0
_PROGRAM = """
import pickle, sys
from llm_cost_ops.server.serve import run
if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        settings = pickle.load(file)
    sys.exit(run(settings))
"""


@dataclass
class LiveServer:
    """A server process, one organization and a key that may do everything there."""

    process: subprocess.Popen[bytes]
    port: int
    organization_id: str
    api_key: str
    database: Database
    log_path: Path
    host: str = "127.0.0.1"
    log_file: TextIO | None = field(default=None, repr=False)

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.api_key}", **options.pop("headers", {})}
        return httpx.request(
            method, self.base_url + path, headers=headers, **{"timeout": 30, **options}
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def new_organization(self) -> tuple[str, str]:
        """A fresh organization and a key of it."""
        clock = SystemClock()
        organization_id = make_organization(self.database, clock)
        return organization_id, make_key(self.database, clock, organization_id)[1]

    def new_key(self, *scopes: str) -> tuple[str, str]:
        """The id and the secret of a further key of this server's organization."""
        return make_key(self.database, SystemClock(), self.organization_id, scopes or ("*",))

    def log(self) -> list[dict[str, Any]]:
        """The lines that the server has logged."""
        lines = self.log_path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def memory_bytes(self) -> int:
        return resident_bytes(self.process.pid)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def start_process(
    settings: Settings, folder: Path, environment: dict[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], Path]:
    """`serve.run(settings)` in a new process and the file that it logs to."""
    import pickle  # our own settings, to our own process

    folder.mkdir(parents=True, exist_ok=True)
    given = folder / "settings.pickle"
    given.write_bytes(pickle.dumps(settings))
    program = folder / "serve_settings.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    log_path = folder / "server.log"
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(
            [sys.executable, str(program), str(given)],
            stdout=log_file,
            stderr=log_file,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return process, log_path


def wait_for_port(process: subprocess.Popen[bytes], log_path: Path) -> int:
    """The port of a server, once it answers."""
    until = time.monotonic() + START_SECONDS
    port: int | None = None
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {_tail(log_path)}")
        port = port or _announced(log_path)
        if port is not None and _answers(port):
            return port
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"the server did not start: {_tail(log_path)}")


def _announced(log_path: Path) -> int | None:
    for line in log_path.read_text(encoding="utf-8").splitlines():
        if '"listening"' in line:
            return int(json.loads(line)["port"])
    return None


def _answers(port: int) -> bool:
    for scheme in ("http", "https"):
        try:
            return httpx.get(f"{scheme}://127.0.0.1:{port}/live", verify=False).is_success  # noqa: S501
        except httpx.TransportError:
            continue
    return False


def _tail(log_path: Path) -> str:
    return log_path.read_text(encoding="utf-8")[-2000:]


@contextmanager
def serving(settings: Settings, folder: Path, **options: Any) -> Iterator[LiveServer]:
    """A server on a migrated database, at the port that `settings` name or (0) any free one."""
    database = open_database(settings.database)
    clock = SystemClock()
    organization_id = make_organization(database, clock)
    _, key = make_key(database, clock, organization_id)
    process, log_path = start_process(settings, folder, **options)
    try:
        port = wait_for_port(process, log_path)
        yield LiveServer(process, port, organization_id, key, database, log_path)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        database.dispose()


def local(database: DatabaseSettings, **server: Any) -> Settings:
    """Settings of a server on this machine at any free port."""
    chosen = {"host": "127.0.0.1", "port": 0, **server}
    return Settings(database=database, server=ServerSettings(**chosen))


def sqlite_at(folder: Path) -> DatabaseSettings:
    """A migrated SQLite file."""
    settings = DatabaseSettings(url=f"sqlite:///{folder}/ledger.db")
    Migrations().upgrade(settings)
    return settings


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("live")
    with serving(local(sqlite_at(folder)), folder) as server:
        yield server


def children(process: subprocess.Popen[bytes]) -> Sequence[int]:
    """The process ids of the children that serve."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    found = [int(pid) for pid in listed.split()]
    return [pid for pid in found if "spawn_main" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def with_server(settings: Settings, **server: Any) -> Settings:
    """The settings with some of `[server]` changed."""
    return replace(settings, server=replace(settings.server, **server))
