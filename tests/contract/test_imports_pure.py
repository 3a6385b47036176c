"""What an import pulls in: core is the pure standard library, the SDK never loads a server."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "llm_cost_ops"
CORE = sorted((PACKAGE / "core").rglob("*.py"))
# In the standard library, and still a door to the outside: core gets text, times and ids passed in.
OUTSIDE = {
    "asyncio", "concurrent", "glob", "http", "io", "locale", "logging", "multiprocessing", "os",
    "pathlib", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
SERVER_ONLY = {
    "alembic", "fastapi", "msgspec", "prometheus_client", "psycopg", "pyarrow", "pydantic",
    "pymysql", "redis", "rich", "sqlalchemy", "starlette", "structlog", "typer", "uvicorn",
    "uvloop", "yaml", "zstandard",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or ".")
    return names


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_core_imports_only_itself_and_the_pure_standard_library(path: Path) -> None:
    foreign = {
        name
        for name in imported(path)
        if not name.startswith("llm_cost_ops.core")
        and (name.split(".")[0] not in sys.stdlib_module_names or name.split(".")[0] in OUTSIDE)
    }
    assert foreign == set()


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


DOORS = [
    name
    for name in (
        "llm_cost_ops",
        "llm_cost_ops.core.estimate",
        "llm_cost_ops.client",
        "llm_cost_ops.exceptions",
        "llm_cost_ops.auth",
        "llm_cost_ops.middleware",
        "llm_cost_ops.testing",
    )
    if exists(name)
]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_of_the_sdk_loads_no_server_module(door: str) -> None:
    modules = loaded_by(f"import {door}")
    assert door in modules
    assert {name for name in modules if name.split(".")[0] in SERVER_ONLY} == set()
    assert {name for name in modules if name.startswith("llm_cost_ops.server")} == set()


def test_importing_the_package_loads_no_http_client() -> None:
    modules = loaded_by("import llm_cost_ops")
    assert modules & {"requests", "httpx", "urllib3", "llm_cost_ops.client"} == set()
