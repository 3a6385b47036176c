"""A real server in a session of its own that a test kills and starts again, as often as it likes.

The port, the database and the tenant stay the same. `tests.support.live` has the server that is
started once.
"""

from __future__ import annotations

import contextlib
import os
import pickle  # our own settings, to our own process
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.support.application import make_key, make_organization
from tests.support.live import resident_bytes, start_process, with_server
from tests.support.warm_start import WarmStart

READY_S = 30.0
ENDED_S = 45.0


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Tenant:
    """An organization and a key that may do everything there."""

    organization_id: str
    key: str

    @classmethod
    def of(cls, settings: DatabaseSettings) -> Tenant:
        """A new one."""
        database, clock = open_database(settings), SystemClock()
        organization_id = make_organization(database, clock)
        _, key = make_key(database, clock, organization_id)
        database.dispose()
        return cls(organization_id, key)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass
class ServerProcess:
    """`warm` makes starts quick; `environment` is for cold starts alone."""

    settings: Settings
    folder: Path
    tenant: Tenant
    warm: WarmStart | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])
    starts: int = 0
    _pid: int | None = None
    _process: subprocess.Popen[bytes] | None = None
    _code: int | None = None

    def __post_init__(self) -> None:
        if self.settings.server.port == 0:
            self.settings = with_server(self.settings, port=free_port())

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.server.port}"

    @property
    def pid(self) -> int:
        assert self._pid is not None
        return self._pid

    @property
    def log_path(self) -> Path:
        """Of the last start."""
        return self.folder / f"start-{self.starts}" / "server.log"

    @property
    def log_text(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def start(self, *, cold: bool = False) -> float:
        """Start and wait until it is ready; the seconds that took."""
        began = time.monotonic()
        self.launch(cold=cold)
        while not self.is_ready():
            if self.exit_code() is not None or time.monotonic() - began > READY_S:
                self.kill()
                raise AssertionError(f"the server did not start: {self.log_text[-2000:]}")
            time.sleep(0.02)
        return time.monotonic() - began

    def launch(self, *, cold: bool = False) -> None:
        """Start and do not wait."""
        assert self._pid is None
        self.starts += 1
        folder = self.log_path.parent
        if cold or self.warm is None:
            self._process, _ = start_process(self.settings, folder, self.environment)
            self._pid = self._process.pid
        else:
            folder.mkdir(parents=True, exist_ok=True)
            given = folder / "settings.pickle"
            given.write_bytes(pickle.dumps(self.settings))
            self._pid = self.warm.start(given, self.log_path)

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.base_url}/ready", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def exit_code(self) -> int | None:
        """None while it runs."""
        if self._process is not None:
            return self._process.poll()
        if self._code is None:
            assert self.warm is not None
            self._code = self.warm.wait(self.pid)
        return self._code

    def wait(self, timeout_s: float = ENDED_S) -> int:
        """Until it has ended; its exit code."""
        until = time.monotonic() + timeout_s
        while (code := self.exit_code()) is None:
            assert time.monotonic() < until, f"still running: {self.log_text[-2000:]}"
            time.sleep(0.002)
        self._pid = self._process = self._code = None
        return code

    def kill(self) -> None:
        """SIGKILL to the whole session: nothing gets to clean up."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
            self.wait()

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self.tenant.headers, **options.pop("headers", {})}
        options.setdefault("timeout", 30)
        return requests.request(method, self.base_url + path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def memory_bytes(self) -> int:
        return resident_bytes(self.pid)
