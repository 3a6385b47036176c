"""The three servers that `tools/services.py` runs: how each is laid out, started and stopped.

Settings are the durable ones that production uses (fsync on, flush at each commit): the tests
prove durability, so a faster profile would prove something else. What our own code must set for
itself (character set, isolation, SQL mode, collation) is left at the server's default on purpose.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from server_process import (
    HOST,
    Place,
    ServiceError,
    greeting,
    pid_of,
    run_as,
    spawn,
    terminate,
    write_private,
)

START_SECONDS = 60.0
LOGIN = "cost_ops"


class PostgreSQL:
    name, variable, users = "postgres", "COST_OPS_TEST_POSTGRES_URL", ("postgres",)
    packages, units, port = ("postgresql",), ("postgresql",), 54329
    settings: Mapping[str, str] = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",  # a deep checkout would exceed a socket path of 107 bytes
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "300",
        "shared_buffers": "512MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
    }

    @staticmethod
    def binary(name: str) -> str | None:
        folders = sorted(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name == "15"
        )
        for folder in reversed(folders):
            if (folder / name).is_file():
                return str(folder / name)
        return shutil.which(name)

    def installed(self) -> bool:
        return self.binary("initdb") is not None and self.binary("pg_ctl") is not None

    def url(self, place: Place) -> str:
        return f"postgresql://{LOGIN}:{place.password}@{HOST}:{place.port}/postgres"

    def pid_file(self, place: Place) -> Path:
        return place.home / "data" / "postmaster.pid"

    def ready(self, place: Place) -> bool:
        command = (
            self.binary("pg_isready") or "pg_isready",
            "-q",
            "-h",
            HOST,
            "-p",
            str(place.port),
        )
        return (
            pid_of(place, self.pid_file(place)) is not None
            and run_as(place, command).returncode == 0
        )

    def start(self, place: Place) -> None:
        data = place.home / "data"
        if not (data / "PG_VERSION").exists():
            secret = write_private(place, "password", place.password)
            made = run_as(
                place,
                (
                    self.binary("initdb") or "initdb",
                    "-D",
                    str(data),
                    "-U",
                    LOGIN,
                    "--pwfile",
                    str(secret),
                    "-A",
                    "scram-sha-256",
                    "--data-checksums",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                ),
            )
            if made.returncode != 0:
                raise ServiceError(f"initdb failed: {made.stderr.strip()}")
        options = " ".join(f"-c {key}='{value}'" for key, value in self.settings.items())
        started = run_as(
            place,
            (
                self.binary("pg_ctl") or "pg_ctl",
                "start",
                "-w",
                "-t",
                f"{START_SECONDS:.0f}",
                "-D",
                str(data),
                "-l",
                str(place.log),
                "-o",
                f"-p {place.port} {options}",
            ),
        )
        if started.returncode != 0:
            raise ServiceError(f"PostgreSQL did not start; see {place.log}.")

    def stop(self, place: Place) -> None:
        if pid_of(place, self.pid_file(place)) is not None:
            command = (
                self.binary("pg_ctl") or "pg_ctl",
                "stop",
                "-w",
                "-m",
                "fast",
                "-D",
                str(place.home / "data"),
            )
            if run_as(place, command).returncode != 0:
                raise ServiceError(f"PostgreSQL did not stop; see {place.log}.")


class MariaDB:
    name, variable, users = "mysql", "COST_OPS_TEST_MYSQL_URL", ("mysql",)
    packages, units, port = ("mariadb-server",), ("mariadb",), 33069
    settings: Sequence[str] = (
        f"--bind-address={HOST}",
        "--socket=mysql.sock",  # relative to the data directory, for the same limit of 107 bytes
        "--skip-name-resolve",
        "--innodb-flush-log-at-trx-commit=1",
        "--innodb-doublewrite=1",
        "--sync-binlog=1",
        "--innodb-buffer-pool-size=512M",
        "--innodb-log-file-size=512M",
        "--max-connections=300",
    )

    @staticmethod
    def binary(name: str) -> str | None:
        return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")

    def installed(self) -> bool:
        return self.binary("mariadbd") is not None and self.binary("mariadb-install-db") is not None

    def url(self, place: Place) -> str:
        return f"mysql://{LOGIN}:{place.password}@{HOST}:{place.port}/"

    def pid_file(self, place: Place) -> Path:
        return place.home / "server.pid"

    def ready(self, place: Place) -> bool:
        return (
            pid_of(place, self.pid_file(place)) is not None and greeting(place.port)[4:5] == b"\x0a"
        )

    def start(self, place: Place) -> None:
        data = place.home / "data"
        if not (data / "mysql").is_dir():
            made = run_as(
                place,
                (
                    self.binary("mariadb-install-db") or "",
                    "--no-defaults",
                    f"--datadir={data}",
                    "--skip-test-db",
                    "--auth-root-authentication-method=socket",
                ),
            )
            if made.returncode != 0:
                raise ServiceError(
                    f"mariadb-install-db failed: {made.stdout.strip()} {made.stderr.strip()}"
                )
        account = f"'{LOGIN}'@'{HOST}'"
        grants = write_private(
            place,
            "grants.sql",
            (
                f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{place.password}';\n"
                f"GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;\n"
            ),
        )
        spawn(
            place,
            (
                self.binary("mariadbd") or "",
                "--no-defaults",
                f"--datadir={data}",
                f"--port={place.port}",
                f"--pid-file={self.pid_file(place)}",
                f"--init-file={grants}",
                *self.settings,
            ),
        )

    def stop(self, place: Place) -> None:
        terminate(place, self.pid_file(place))


class Redis:
    name, variable, users = "redis", "COST_OPS_TEST_REDIS_URL", ("redis",)
    packages, units, port = ("redis-server",), ("redis-server",), 63799

    def installed(self) -> bool:
        return shutil.which("redis-server") is not None

    def url(self, place: Place) -> str:
        return f"redis://:{place.password}@{HOST}:{place.port}/0"

    def pid_file(self, place: Place) -> Path:
        return place.home / "server.pid"

    def ready(self, place: Place) -> bool:
        # Redis rewrites its command line, so the answer to our own password tells that it is ours.
        return greeting(place.port, f"AUTH {place.password}\r\n".encode()) == b"+OK\r\n"

    def start(self, place: Place) -> None:
        lines = (
            f"bind {HOST}",
            f"port {place.port}",
            f"requirepass {place.password}",
            f"dir {place.home}",
            f"pidfile {self.pid_file(place)}",
            'save ""',
            "appendonly no",
            "daemonize no",
        )
        spawn(
            place,
            ("redis-server", str(write_private(place, "redis.conf", "\n".join(lines) + "\n"))),
        )

    def stop(self, place: Place) -> None:
        if self.ready(place):
            greeting(place.port, f"AUTH {place.password}\r\nSHUTDOWN NOSAVE\r\n".encode())


Server = PostgreSQL | MariaDB | Redis
SERVERS: tuple[Server, ...] = (PostgreSQL(), MariaDB(), Redis())


def wait_ready(server: Server, place: Place) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.ready(place):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"{server.name} was not ready within {START_SECONDS:.0f} s; see {place.log}."
            )
        time.sleep(0.05)
