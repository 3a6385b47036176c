"""The locks rule, and the locks of this repository under it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tools.lint import locks
from tools.lint.source import Source, load

ROOT = Path(__file__).resolve().parents[2]
HASH = "--hash=sha256:" + "0" * 64
GOOD = f"# how it was made\nhttpx==0.28.1 \\\n    {HASH} \\\n    {HASH}\n    # via llm-cost-ops\n"
PROJECT = """
[project]
name = "llm-cost-ops"
dependencies = ["Requests>=2"]
[project.optional-dependencies]
async = ["httpx>=0.28"]
all = ["llm-cost-ops[async]"]
[dependency-groups]
build = ["hatchling"]
dev = [{ include-group = "build" }, "types_requests", "pytest>=8"]
"""


def lock(text: str, path: str = "requirements/run.txt") -> Source:
    return Source(PurePosixPath(path), text)


def pins(*names: str) -> str:
    return "".join(f"{name}==1.0 {HASH}\n" for name in names)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"--index-url https://example.net/simple\n{GOOD}", "address"),
        (f"--find-links wheels\n{GOOD}", "address"),
        (f"httpx @ https://example.net/httpx.whl {HASH}\n", "address"),
        (f"httpx>=0.28 {HASH}\n", "exact pin"),
        ("httpx==0.28.1\n", "no hash"),
        ("httpx==0.28.1 ; sys_platform == 'win32'\n", "no hash"),
    ],
)
def test_a_lock_that_would_install_something_else_is_found(text: str, complaint: str) -> None:
    found = list(locks.check(lock(text)))
    assert len(found) == 1
    assert complaint in found[0].message


def test_a_hashed_lock_without_addresses_is_clean() -> None:
    marked = (
        f"uvloop==0.23.0 ; sys_platform != 'win32' \\\n    {HASH}\npsycopg[binary]==3.3.9 {HASH}\n"
    )
    assert list(locks.check(lock(GOOD + marked))) == []


@pytest.mark.parametrize("name", ["uv.lock", "web/uv.lock", "poetry.lock"])
def test_lock_files_that_record_their_index_are_refused(name: str) -> None:
    assert len(list(locks.check(lock("", name)))) == 1


def test_npm_locks_may_not_record_addresses() -> None:
    text = '{\n "resolved": "https://example.net/x.tgz",\n "integrity": "sha512-x"\n}\n'
    assert [finding.line for finding in locks.check(lock(text, "web/package-lock.json"))] == [2]
    assert list(locks.check(lock('{"integrity": "sha512-x"}', "web/package-lock.json"))) == []


def test_every_direct_dependency_must_be_in_its_lock() -> None:
    project = lock(PROJECT, "pyproject.toml")
    run = lock(pins("requests", "httpx", "hatchling"))
    dev = lock(
        pins("requests", "httpx", "hatchling", "types-requests", "pytest"), "requirements/dev.txt"
    )
    assert list(locks.check_all([project, run, dev])) == []

    short = lock(pins("requests", "hatchling"))
    found = list(locks.check_all([project, short, dev]))
    assert [(finding.path.name, "httpx" in finding.message) for finding in found] == [
        ("run.txt", True)
    ]


def test_a_missing_lock_is_a_finding() -> None:
    found = list(locks.check_all([lock(PROJECT, "pyproject.toml")]))
    assert [finding.path.name for finding in found] == ["run.txt", "dev.txt"]


def test_running_installs_no_test_tool() -> None:
    run = next(source for source in load(ROOT) if source.path == locks.RUN_LOCK)
    assert not locks.pinned(run) & {"pytest", "ruff", "pyright", "coverage", "schemathesis"}


def test_both_locks_agree_on_every_version() -> None:
    versions = [
        {line.split()[0] for line in source.lines if "==" in line and not line.startswith(" ")}
        for path in (locks.RUN_LOCK, locks.DEV_LOCK)
        for source in load(ROOT)
        if source.path == path
    ]
    assert versions[0] <= versions[1]


def test_this_repository_keeps_every_rule() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.lint"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
