"""What the figures were measured with: read from the machine and the servers at run time."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.places import driver_connection, service_url

_PACKAGES = ("litellm", "genai-prices", "requests")
_QUERIES = {"postgres": ("PostgreSQL", "SHOW server_version"), "mysql": ("", "SELECT VERSION()")}


def machine() -> str:
    """Processor, memory and system."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB memory, "
        f"Linux {platform.release()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def versions(kinds: list[str]) -> str:
    """Of the interpreter, the databases and the peers."""
    found = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    found += [_server(kind) for kind in kinds if kind in _QUERIES]
    found += [f"{name} {found}" for name in _PACKAGES if (found := installed(name))]
    return ", ".join(found)


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _server(kind: str) -> str:
    name, query = _QUERIES[kind]
    connection: Any = driver_connection(service_url(kind), autocommit=True)
    try:
        cursor = connection.cursor()
        cursor.execute(query)
        text = str(cursor.fetchone()[0])
    finally:
        connection.close()
    name = name or ("MariaDB" if "MariaDB" in text else "MySQL")
    return f"{name} {text.replace('-', ' ').split()[0]}"
