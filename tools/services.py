"""PostgreSQL, MariaDB and Redis for the tests: private ports and directories, durable settings.

    python tools/services.py start     install what is absent (Debian, as root), start, wait,
                                       print the URLs; the browser of the tests is installed too
    python tools/services.py stop      stop the servers that `start` started
    python tools/services.py status    one line per server; exit 1 when one is down
    python tools/services.py env       the URLs as `export` lines

`--only postgres,mysql,redis` picks servers. `--dir DIR` keeps them elsewhere than `.services/` of
this checkout: a fault test that kills a server starts one of its own that way. Every command may
be repeated; `start` on running servers only prints. The URLs are also in `<dir>/env`, one NAME=URL
a line. Standard library only: this runs before any virtual environment exists.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server_process import HOST, Place, ServiceError, prepare, unprivileged
from servers import SERVERS, Server, wait_ready

ROOT = Path(__file__).resolve().parent.parent
POLICY = Path("/usr/sbin/policy-rc.d")
BROWSER = "chromium"


def install(absent: Sequence[Server], programs: Sequence[str] = ()) -> None:
    """Debian packages of servers, and programs that are named as theirs."""
    packages = [*(package for server in absent for package in server.packages), *programs]
    wanted = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ServiceError(
            f"What the tests need is not installed and only root on Debian can add it: {wanted}"
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_service_starts():
        for command in (["apt-get", "update", "-q"], [*wanted.split(), "-y", "-q"]):
            done = subprocess.run(command, env=quiet, check=False, stdout=sys.stderr)
            if done.returncode != 0:
                raise ServiceError(
                    f"`{' '.join(command)}` failed with exit code {done.returncode}."
                )
    if absent and shutil.which(
        "systemctl"
    ):  # nor may the next boot start them on their default ports
        units = [unit for server in absent for unit in server.units]
        subprocess.run(["systemctl", "disable", "-q", *units], check=False, stdout=sys.stderr)


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Debian packages start their service on installation unless policy-rc.d answers 101."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def data_root(base: Path, user: str | None) -> Path:
    """`base`, or a directory under /var/tmp when `user` may not pass the parents of `base`."""
    if user is None or reachable(base, user):
        return base
    mark = hashlib.sha256(str(base).encode()).hexdigest()[:12]
    other = Path("/var/tmp") / f"cost-ops-services-{mark}"  # noqa: S108 - owner is checked below
    other.mkdir(mode=0o755, exist_ok=True)
    if other.is_symlink() or other.stat().st_uid != os.geteuid():
        raise ServiceError(f"{other} belongs to somebody else; remove it or pass --dir.")
    return other


def reachable(base: Path, user: str) -> bool:
    account = pwd.getpwnam(user)
    for folder in (base, *base.parents):
        info = folder.stat()
        passes = info.st_mode & stat.S_IXOTH or (
            info.st_uid == account.pw_uid and info.st_mode & stat.S_IXUSR
        )
        if not passes:
            return False
    return True


def free_port(wanted: int) -> int:
    """`wanted`, or any free port: two checkouts may run their servers side by side."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # as the servers do: connections of the last run in TIME_WAIT must not move the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceError("No free TCP port on 127.0.0.1.")


class Services:
    def __init__(self, base: Path, servers: Sequence[Server]) -> None:
        self.base = base
        self.servers = servers
        self._known = base / "places.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Two test runs may start the servers at once: the second waits and finds them running."""
        self.base.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (self.base / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def places(self) -> dict[str, Place]:
        if not self._known.exists():
            return {}
        stored = json.loads(self._known.read_text(encoding="utf-8"))
        return {
            name: Place(Path(p["home"]), p["port"], p["password"], p["user"])
            for name, p in stored.items()
        }

    def start(self) -> None:
        absent = [server for server in self.servers if not server.installed()]
        whole = len(self.servers) == len(SERVERS)
        programs = [BROWSER] if whole and shutil.which(BROWSER) is None else []
        if absent or programs:
            install(absent, programs)
        places = self.places()
        for server in self.servers:
            place = places.get(server.name)
            if place is None or not server.ready(place):
                place = self._place(server, place)
                prepare(place)
                places[server.name] = place
                self._remember(places)
                server.start(place)
                wait_ready(server, place)

    def _place(self, server: Server, known: Place | None) -> Place:
        user = unprivileged(*server.users)
        home = known.home if known else data_root(self.base, user) / server.name
        password = known.password if known else secrets.token_hex(16)
        return Place(home, free_port(known.port if known else server.port), password, user)

    def _remember(self, places: dict[str, Place]) -> None:
        stored = {
            n: {"home": str(p.home), "port": p.port, "password": p.password, "user": p.user}
            for n, p in places.items()
        }
        urls = "".join(
            f"{s.variable}={s.url(places[s.name])}\n" for s in SERVERS if s.name in places
        )
        for path, text in ((self._known, json.dumps(stored, indent=1)), (self.base / "env", urls)):
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)

    def stop(self) -> None:
        places = self.places()
        for server in self.servers:
            if server.name in places:
                server.stop(places[server.name])

    def status(self) -> bool:
        places, all_up = self.places(), True
        for server in self.servers:
            place = places.get(server.name)
            up = place is not None and server.ready(place)
            all_up = all_up and up
            where = f"{HOST}:{place.port}  {place.home}" if place else "not set up"
            sys.stdout.write(f"{server.name:9} {'up' if up else 'down':5} {where}\n")
        return all_up

    def env(self, prefix: str = "") -> None:
        places = self.places()
        for server in self.servers:
            if server.name in places:
                sys.stdout.write(f"{prefix}{server.variable}={server.url(places[server.name])}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=("start", "stop", "status", "env"))
    parser.add_argument(
        "--dir", type=Path, default=ROOT / ".services", help="where the servers live"
    )
    parser.add_argument(
        "--only", default=",".join(s.name for s in SERVERS), help="comma-separated server names"
    )
    chosen = parser.parse_args(arguments)
    names = set(chosen.only.split(","))
    if unknown := names - {s.name for s in SERVERS}:
        parser.error(f"unknown server {', '.join(sorted(unknown))}")
    services = Services(chosen.dir.resolve(), [s for s in SERVERS if s.name in names])
    try:
        with services.locked():
            if chosen.command == "start":
                services.start()
                services.env()
            elif chosen.command == "stop":
                services.stop()
            elif chosen.command == "status":
                return 0 if services.status() else 1
            else:
                services.env("export ")
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
