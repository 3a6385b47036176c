"""Several server processes behind one listening socket, kept alive by one parent.

The parent serves nothing but the metrics of all: it starts the workers, starts another when one
dies, and on SIGTERM waits until all have drained. A worker ends by itself when its parent is gone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from prometheus_client import multiprocess

from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.http.metrics import MULTIPROCESS_VARIABLE

STARTUP_FAILURE = 3
"""uvicorn's exit code of an app that cannot start: another try would fail the same way."""
STABLE_SECONDS = 10.0
MAX_QUICK_DEATHS = 5
KILL_MARGIN_SECONDS = 5.0
Target = Callable[[Any, list[socket.socket], Connection], None]


class Workers:
    """A process for each target, which runs `target(argument, sockets, parent)`.

    `parent` is a connection on which nothing is ever sent; it ends when the parent does.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        argument: Any,
        sockets: list[socket.socket],
        drain_s: float,
    ) -> None:
        self._targets = targets
        self._argument = argument
        self._sockets = sockets
        self._drain_s = drain_s
        self._spawn = get_context("spawn")
        self._processes: dict[SpawnProcess, tuple[Target, Connection, float]] = {}
        self._stopping = asyncio.Event()
        self._quick_deaths = 0
        self._exit_code = 0
        self._log = logger("workers")

    async def run(self, beside: Coroutine[Any, Any, None] | None = None) -> int:
        """Keep the workers alive until SIGTERM or SIGINT, `beside` running too; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        side = loop.create_task(beside) if beside is not None else None
        for target in self._targets:
            self._start(target)
        await self._stopping.wait()
        await self._drain()
        if side is not None:
            side.cancel()
            await asyncio.gather(side, return_exceptions=True)
        return self._exit_code

    def _start(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(
            target=target, args=(self._argument, self._sockets, theirs), daemon=False
        )
        process.start()
        theirs.close()
        self._processes[process] = (target, ours, loop.time())
        loop.add_reader(process.sentinel, self._ended, process)

    def _ended(self, process: SpawnProcess) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(process.sentinel)
        process.join()
        target, ours, started_s = self._processes.pop(process)
        ours.close()
        if process.pid is not None and MULTIPROCESS_VARIABLE in os.environ:
            cast("Any", multiprocess).mark_process_dead(process.pid)
        if self._stopping.is_set():
            clean = process.exitcode in (0, -signal.SIGTERM)  # the latter before it served
            self._exit_code = self._exit_code or (0 if clean else 1)
            return
        self._log.error("worker ended", pid=process.pid, exit_code=process.exitcode)
        if process.exitcode == STARTUP_FAILURE:
            self._give_up(STARTUP_FAILURE)
            return
        stable = loop.time() - started_s >= STABLE_SECONDS
        self._quick_deaths = 0 if stable else self._quick_deaths + 1
        if self._quick_deaths >= MAX_QUICK_DEATHS:
            self._give_up(1)
        else:
            self._start(target)

    def _give_up(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._stopping.set()

    async def _drain(self) -> None:
        """SIGTERM to all, and SIGKILL to those that have not drained in time."""
        for opened in self._sockets:
            opened.close()
        for process in list(self._processes):
            process.terminate()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._drain_s + KILL_MARGIN_SECONDS
        while self._processes and loop.time() < until_s:
            await asyncio.sleep(0.05)
        for process in list(self._processes):
            self._log.error("worker killed", pid=process.pid)
            process.kill()
        while self._processes:
            await asyncio.sleep(0.05)


class MetricsDirectory:
    """The directory in which the workers keep their metrics; gone with the parent."""

    def __enter__(self) -> str:
        self._path = tempfile.mkdtemp(prefix="llm-cost-ops-metrics-")
        os.environ[MULTIPROCESS_VARIABLE] = self._path
        return self._path

    def __exit__(self, *_: object) -> None:
        os.environ.pop(MULTIPROCESS_VARIABLE, None)
        shutil.rmtree(self._path, ignore_errors=True)


def end_with_parent(parent: Connection, stop: Callable[[], None]) -> None:
    """Call `stop` when the parent process is gone. To be called in the worker's event loop."""
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(parent.fileno())
        stop()

    loop.add_reader(parent.fileno(), gone)
