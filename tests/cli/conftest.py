"""The command line run in this process and, where a process matters, as a program."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from llm_cost_ops.cli.app import run as run_command_line
from tests.support.database import (
    database_clones,
    database_kind,
    database_settings,
    mysql_settings,
    postgres_settings,
    sqlite_settings,
)
from tests.support.live import live_server

__all__ = [
    "database_clones",
    "database_kind",
    "database_settings",
    "live_server",
    "mysql_settings",
    "postgres_settings",
    "sqlite_settings",
]

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("COST_OPS_SHARED", REPOSITORY.parent / "shared"))
EXAMPLES = REPOSITORY / "examples"
_OURS = ("COST_OPS_", "LLM_COST_OPS_", "DATABASE_", "_COST_OPS_", "API_", "SERVER_")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON, numbers as the texts that they are."""
        assert self.code == 0, (self.code, self.out, self.err)
        return self.document()

    def document(self) -> Any:
        return json.loads(self.out, parse_float=str)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a JSON list answer."""
        return self.json()["data"]


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing of ours in the environment."""
    for name in list(os.environ):
        if name.startswith(_OURS) and not name.startswith("COST_OPS_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COST_OPS_CONFIG", "none")
    monkeypatch.setenv("COST_OPS_CREDENTIALS", str(tmp_path / "own" / "credentials"))
    monkeypatch.setattr(sys, "argv", ["cost-ops"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands say where this process logs to; the tests after them must not notice."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configured, config = structlog.is_configured(), structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    if configured:
        structlog.configure(**config)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("query", "-o", "json", stdin=b"..")` in this process."""

    def ran(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = run_command_line([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return ran


@pytest.fixture
def ledger(run: Run, monkeypatch: pytest.MonkeyPatch, place: Path) -> str:
    """An initialised SQLite ledger that the environment names; its URL."""
    url = f"sqlite:///{place}/ledger.db"
    monkeypatch.setenv("DATABASE_URL", url)
    assert run("init").code == 0
    return url


def program(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        command_line(arguments), capture_output=True, text=True, timeout=120, **options
    )


def command_line(arguments: Sequence[object]) -> list[str]:
    """The arguments that start the program with the interpreter of the tests."""
    return [sys.executable, "-m", "llm_cost_ops.cli", *map(str, arguments)]


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def call(number: int, **fields: Any) -> dict[str, Any]:
    """A usage record with a price: 0.0025 + 0.005 dollars."""
    return {
        "event_id": f"evt-{number}",
        "timestamp": "2026-11-05T12:00:00Z",
        "provider": "openai",
        "model": "gpt-4o",
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        **fields,
    }
