"""URLs of the test servers, started on demand by `tools/services.py`.

A URL that is already in the environment wins (a CI that brings its own servers); otherwise the
servers of this checkout are started once per test process.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = "COST_OPS_TEST_POSTGRES_URL"
MYSQL = "COST_OPS_TEST_MYSQL_URL"
REDIS = "COST_OPS_TEST_REDIS_URL"
_SERVER = {POSTGRES: "postgres", MYSQL: "mysql", REDIS: "redis"}


@functools.cache
def service_url(variable: str) -> str:
    """The URL named by one of POSTGRES, MYSQL, REDIS; that server is running and ready."""
    given = os.environ.get(variable)
    return given if given else start_services(_SERVER[variable])[variable]


def start_services(*names: str, directory: Path | None = None) -> Mapping[str, str]:
    """Start servers (all three without names) and return their URLs by variable name.

    Pass a `directory` of your own to get servers that a test may kill without hurting others;
    stop those with `stop_services(directory)`.
    """
    done = _run("start", names, directory)
    if done.returncode != 0:
        raise RuntimeError(f"tools/services.py start failed: {done.stderr.strip()}")
    pairs = (line.partition("=") for line in done.stdout.splitlines() if "=" in line)
    return {name: url for name, _, url in pairs}


def stop_services(directory: Path) -> None:
    done = _run("stop", (), directory)
    if done.returncode != 0:
        raise RuntimeError(f"tools/services.py stop failed: {done.stderr.strip()}")


def _run(
    command: str, names: tuple[str, ...], directory: Path | None
) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, str(ROOT / "tools" / "services.py"), command]
    if names:
        arguments += ["--only", ",".join(names)]
    if directory is not None:
        arguments += ["--dir", str(directory)]
    return subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=900)
