"""Files in a directory that the operator allows.

Each organization has a directory of its own below the allowed one. What was asked for is a path
without upward parts (`destinations.relative`), and the directory that it leads to is resolved once
more before anything is written: a link in it that leads elsewhere is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.wording import line

_DETAIL = 200


class FolderRefused(ValueError):
    """A directory that is not one to write to. The text may be shown."""


def root_of(named: str | None, allowed: Sequence[str]) -> str:
    """The allowed directory that somebody named, or the first one. Raises FolderRefused."""
    if not allowed:
        raise FolderRefused("the settings allow no folders (schedules.folders)")
    if named is None:
        return allowed[0]
    if named not in allowed:
        raise FolderRefused("is not one of the directories that the settings allow")
    return named


def write_file(
    root: str, organization_id: str, path: str, name: str, chunks: Iterator[bytes]
) -> Outcome:
    """Put a file in its place at once: nobody sees half of it, and the same run writes the same
    file again. Never raises for what the file system does."""
    try:
        target = _directory(Path(root), organization_id, path) / name
        _tidy(target.parent, name)
        part = target.with_name(f".{name}.{uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            _sync(target.parent)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except FolderRefused as refused:
        return Outcome(False, str(refused), final=True)
    except OSError as error:
        return Outcome(False, line(f"the folder: {error.strerror or error}", _DETAIL))
    return Outcome(True, "/".join(filter(None, (path, name))))


def _tidy(directory: Path, name: str) -> None:
    """Remove what earlier attempts at this file left that died."""
    for left in directory.glob(f".{escape(name)}.*.part"):
        left.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Let the name of a file outlast a power cut, too; some file systems know no such thing."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _directory(root: Path, organization_id: str, path: str) -> Path:
    if not root.is_dir():
        raise FileNotFoundError(None, "the allowed directory is not there")
    base = root.resolve() / organization_id
    found = base.joinpath(*path.split("/")) if path else base
    # Resolved before and after it is made: a link may lead out of it at any level.
    for _ in range(2):
        if not found.resolve().is_relative_to(base):
            raise FolderRefused("the path leads out of the directory that is allowed")
        found.mkdir(parents=True, exist_ok=True)
    return found
