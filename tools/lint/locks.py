"""Locks pin every package by hash and name no index; every direct dependency is in its lock.

Prevents an installation that is not the tested one: an unpinned or unhashed package can change
under us, an index address in a lock fails wherever that index is not, and a dependency that never
reached the lock works only where somebody installed it by hand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tools.lint.source import Finding, Source

NAME = "locks"
DEV_LOCK = PurePosixPath("requirements/dev.txt")
RUN_LOCK = PurePosixPath("requirements/run.txt")
_FORBIDDEN = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock"}
_ADDRESS = re.compile(r"https?://|^\s*--(?:index-url|extra-index-url|find-links|trusted-host)\b")
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w,.-]+\])?==\S+")
_NAME_ONLY = re.compile(r"^[A-Za-z0-9][\w.-]*")


def check(source: Source) -> Iterator[Finding]:
    """What one lock file shows by itself."""
    if source.path.name in _FORBIDDEN:
        yield Finding(source.path, 0, NAME, "records the index that made it")
    elif source.path.name in {"package-lock.json", "npm-shrinkwrap.json"}:
        yield from _check_npm(source)
    elif source.path.parent == DEV_LOCK.parent and source.path.suffix == ".txt":
        yield from _check_pip(source)


def check_all(sources: Sequence[Source]) -> Iterator[Finding]:
    """What only pyproject.toml and the locks together show."""
    files = {source.path: source for source in sources}
    project = files.get(PurePosixPath("pyproject.toml"))
    if project is None:
        return
    run, dev = direct_dependencies(tomllib.loads(project.text))
    for path, wanted in ((RUN_LOCK, run), (DEV_LOCK, run | dev)):
        if path not in files:
            yield Finding(path, 0, NAME, "is missing: run `make lock`")
            continue
        for name in sorted(wanted - pinned(files[path])):
            yield Finding(path, 0, NAME, f"lacks {name} of pyproject.toml: run `make lock`")


def direct_dependencies(project: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Normalised names: what running needs (all extras, the build group); the other groups."""
    table = project["project"]
    extras = [item for group in table.get("optional-dependencies", {}).values() for item in group]
    groups = project.get("dependency-groups", {})
    run = [*table.get("dependencies", []), *extras, *groups.get("build", [])]
    dev = [item for name, group in groups.items() if name != "build" for item in group]
    own = _normal(table["name"])
    return _names(run) - {own}, _names(dev) - {own}


def pinned(lock: Source) -> set[str]:
    return {_normal(match["name"]) for line in lock.lines if (match := _PIN.match(line))}


def _check_pip(source: Source) -> Iterator[Finding]:
    for number, entry in _entries(source):
        if _ADDRESS.search(entry):
            yield Finding(source.path, number, NAME, "index or download address in a lock")
        elif not _PIN.match(entry):
            yield Finding(source.path, number, NAME, f"not an exact pin: {entry.split()[0]}")
        elif "--hash=sha256:" not in entry:
            yield Finding(source.path, number, NAME, f"no hash: {entry.split()[0]}")


def _entries(source: Source) -> Iterator[tuple[int, str]]:
    """(first line, text) of each requirement, its continued lines joined, comments dropped."""
    start, parts = 0, list[str]()
    for number, line in enumerate(source.lines, start=1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        start = start if parts else number
        parts.append(bare.removesuffix("\\").strip())
        if not bare.endswith("\\"):
            yield start, " ".join(parts)
            parts = []
    if parts:
        yield start, " ".join(parts)


def _check_npm(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, start=1):
        if '"resolved"' in line and "://" in line:
            yield Finding(source.path, number, NAME, "registry address in a lock")


def _names(requirements: Sequence[Any]) -> set[str]:
    texts = [item for item in requirements if isinstance(item, str)]
    return {_normal(match[0]) for text in texts if (match := _NAME_ONLY.match(text))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
