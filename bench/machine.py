"""What the figures were measured with: read from the machine and the servers at run time."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.places import driver_connection, service_url

_QUERIES = {"postgres": ("PostgreSQL", "SHOW server_version"), "mysql": ("", "SELECT VERSION()")}


def machine() -> str:
    """Processor, memory, system and interpreter."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB memory, "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def database_version(kind: str) -> str:
    """The product and its version, as "SQLite 3.40.1"; nothing for no database."""
    if kind not in _QUERIES:
        return f"SQLite {sqlite3.sqlite_version}" if kind else ""
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
