"""Starts servers in a tenth of a second: a process that has imported everything forks them.

Python spends seconds on imports, which have nothing to do with what a crash leaves behind. What is
forked has opened nothing yet: settings, database, sockets and threads are the server's own. Tests
that judge the start itself, or several workers, start cold.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

_PROGRAM = """
import os, pickle, sys
import psycopg, pymysql, uvicorn.protocols.http.httptools_impl, uvloop
import sqlalchemy.dialects.mysql.pymysql, sqlalchemy.dialects.postgresql.psycopg
from llm_cost_ops.server import serve

def start(given, log_path):
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, opened in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(opened, number)
    with open(given, "rb") as file:
        settings = pickle.load(file)
    sys.exit(serve.run(settings))

def wait(pid):
    ended, status = os.waitpid(int(pid), os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else ""

print("warm", flush=True)
for line in iter(sys.stdin.readline, ""):
    name, *arguments = line.rstrip("\\n").split("\\t")
    print({"start": start, "wait": wait}[name](*arguments), flush=True)
"""


class WarmStart:
    """`start` gives the pid of a new server in a session of its own; `wait` its exit code."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self._line() == "warm"

    def start(self, given: Path, log_path: Path) -> int:
        return int(self._ask("start", str(given), str(log_path)))

    def wait(self, pid: int) -> int | None:
        """The exit code of a server that has ended, else None."""
        code = self._ask("wait", str(pid))
        return int(code) if code else None

    def _ask(self, *words: str) -> str:
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write("\t".join(words) + "\n")
            self._process.stdin.flush()
            return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
