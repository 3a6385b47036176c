"""Starting, asking and ending one private server process for `tools/servers.py`."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 30.0
HOST = "127.0.0.1"


class ServiceError(Exception):
    """One sentence for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server lives: a directory of its own, a port, a password and the system user."""

    home: Path
    port: int
    password: str
    user: str | None  # None: run as the caller

    @property
    def log(self) -> Path:
        return self.home / "server.log"


def unprivileged(*names: str) -> str | None:
    """The first existing system user of `names` when we are root, else None (run as ourselves)."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ServiceError("No unprivileged system user exists to run the test servers as.")


def prepare(place: Place) -> None:
    place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.user is not None:
        account = pwd.getpwnam(place.user)
        os.chown(place.home, account.pw_uid, account.pw_gid)


def write_private(place: Place, name: str, text: str) -> Path:
    path = place.home / name
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    if place.user is not None:
        account = pwd.getpwnam(place.user)
        os.chown(path, account.pw_uid, account.pw_gid)
    return path


def run_as(place: Place, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    uid, gid, groups = _identity(place)
    return subprocess.run(
        command,
        cwd=place.home,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        user=uid,
        group=gid,
        extra_groups=groups,
    )


def spawn(place: Place, command: Sequence[str]) -> None:
    """Start a server that outlives us, its output in the server's log."""
    uid, gid, groups = _identity(place)
    place.log.touch()
    with place.log.open("ab") as log:
        subprocess.Popen(
            command,
            cwd=place.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=groups,
        )


def _identity(place: Place) -> tuple[int | None, int | None, list[int] | None]:
    if place.user is None:
        return None, None, None
    account = pwd.getpwnam(place.user)
    return account.pw_uid, account.pw_gid, []


def pid_of(place: Place, pid_file: Path) -> int | None:
    """The pid in `pid_file` when that process lives and its command line names our home."""
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError, IndexError):
        return None
    return pid if str(place.home) in command_line else None


def terminate(place: Place, pid_file: Path) -> None:
    pid = pid_of(place, pid_file)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while pid_of(place, pid_file) is not None:
        if time.monotonic() > deadline:
            raise ServiceError(
                f"Process {pid} did not stop within {STOP_SECONDS:.0f} s; see {place.log}."
            )
        time.sleep(0.05)


def greeting(port: int, question: bytes = b"") -> bytes:
    """The first bytes a server on `port` sends, after `question`; empty when nobody answers."""
    try:
        with socket.create_connection((HOST, port), timeout=2.0) as connection:
            connection.sendall(question)
            return connection.recv(256)
    except OSError:
        return b""
