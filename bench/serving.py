"""One server process, as `cost-ops serve` runs it, on a port of its own.

python -m bench.serving URL PORT    serve until SIGTERM
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.places import OUT, ROOT

HOST = "127.0.0.1"
START_SECONDS = 120.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    pid: int

    def resident_bytes(self, field: str = "VmRSS") -> int:
        """Memory in use now, or with VmHWM at its peak."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """Used so far by the process, in its own code and in the kernel."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        user, system = after_name.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Let VmHWM begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")


def serving(url: str) -> AbstractContextManager[Server]:
    """A server with default settings on a database."""
    return _running("bench.serving", url)


def plainly_serving() -> AbstractContextManager[Server]:
    """The server of `bench.plain`."""
    return _running("bench.plain")


@contextmanager
def _running(module: str, *arguments: str) -> Generator[Server]:
    port = free_port()
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"server-{os.getpid()}.log"
    with path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_ready(process, port, path)
        yield Server(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    path.unlink(missing_ok=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}: see {log}")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main(given: Sequence[str]) -> int:
    from llm_cost_ops.server.serve import run
    from llm_cost_ops.server.settings import (
        DatabaseSettings,
        RateLimitSettings,
        ServerSettings,
        Settings,
    )

    url, port = given
    return run(
        Settings(
            database=DatabaseSettings(url=url),
            server=ServerSettings(host=HOST, port=int(port)),
            rate_limit=RateLimitSettings(requests_per_minute=10**9),
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
