"""A real server in a process group of its own, that a test can kill without asking it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.application import make_key, make_organization

READY_S = 30.0
_MAIN = (
    "import sys\n"
    "from llm_cost_ops.server.serve import run\n"
    "from llm_cost_ops.server.settings import DatabaseSettings, ServerSettings, Settings\n"
    "url, port, workers = sys.argv[1:]\n"
    "server = ServerSettings(host='127.0.0.1', port=int(port), workers=int(workers))\n"
    "sys.exit(run(Settings(database=DatabaseSettings(url=url, pool_size=4), server=server)))\n"
)


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ServerProcess:
    """Start it as often as it is killed; the database, organization and key stay the same."""

    url: str
    log: Path
    workers: int = 1
    port: int = field(default_factory=free_port)
    organization_id: str = ""
    key: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        database = open_database(DatabaseSettings(url=self.url))
        clock = SystemClock()
        self.organization_id = make_organization(database, clock)
        _, self.key = make_key(database, clock, self.organization_id)
        database.dispose()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start and wait until it is ready; the seconds that took."""
        began = time.monotonic()
        arguments = [sys.executable, "-c", _MAIN, self.url, str(self.port), str(self.workers)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COST_OPS_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        while True:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{self.base_url}/ready", timeout=5).status_code == 200:
                    return time.monotonic() - began
            if self._process.poll() is not None or time.monotonic() - began > READY_S:
                self.kill()
                raise AssertionError(f"the server did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL to the whole group: nothing gets to clean up."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def terminate(self, timeout_s: float = 35.0) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(timeout_s)
        self._process = None
        return code
