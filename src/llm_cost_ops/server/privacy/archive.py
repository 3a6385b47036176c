"""Archives: rows as JSON lines, compressed with zstd, on the disk before anything is removed."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.jsontext import JsonError, dumps, loads

SUFFIX = ".jsonl.zst"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 2**20


class ArchiveFailed(DomainError):
    """An archive could not be written or is not what was written; nothing was removed."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Archive:
    """A file: `sha256` of its bytes, `content_sha256` of the lines in it."""

    name: str
    rows: int
    bytes: int
    sha256: str
    content_sha256: str


def write_archive(
    directory: str | None, archive_id: str, rows: Iterable[Mapping[str, Any]]
) -> Archive:
    """Write `<id>.jsonl.zst`, read it back, and leave `<id>.manifest.json` beside it. Its name is
    an id of ours and nothing that anybody typed. Raises ArchiveFailed."""
    if directory is None:
        raise ArchiveFailed("retention.archive_directory is not set")
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveFailed(f"{directory}: {error.strerror}") from None
    try:
        return _written(folder, Path(directory), archive_id, rows)
    except (OSError, zstandard.ZstdError) as error:
        raise ArchiveFailed(f"an archive in {directory} failed: {error}") from None
    finally:
        os.close(folder)


def _written(
    folder: int, directory: Path, archive_id: str, rows: Iterable[Mapping[str, Any]]
) -> Archive:
    name = f"{archive_id}{SUFFIX}"
    content, count = hashlib.sha256(), 0
    with os.fdopen(os.open(f"{name}.part", _NEW, 0o600, dir_fd=folder), "wb") as file:
        with zstandard.ZstdCompressor(level=9).stream_writer(file, closefd=False) as stream:
            for row in rows:
                line = dumps(row).encode() + b"\n"
                content.update(line)
                stream.write(line)
                count += 1
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{name}.part", name, src_dir_fd=folder, dst_dir_fd=folder)
    made = _read_back(directory / name, name)
    if (made.rows, made.content_sha256) != (count, content.hexdigest()):
        raise ArchiveFailed(f"{name} is not what was written")
    manifest = {"archive": name, "rows": made.rows, "bytes": made.bytes, "sha256": made.sha256,
                "content_sha256": made.content_sha256}  # fmt: skip
    with os.fdopen(
        os.open(f"{archive_id}.manifest.json", _NEW, 0o600, dir_fd=folder), "wb"
    ) as file:
        file.write(dumps(manifest).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.fsync(folder)
    return made


def read_archive(directory: str | None, name: str, sha256: str) -> Iterator[dict[str, Any]]:
    """The rows of an archive whose bytes have this digest. Raises ArchiveFailed."""
    if directory is None:
        raise ArchiveFailed("retention.archive_directory is not set")
    path = Path(directory) / name
    try:
        if _read_back(path, name).sha256 != sha256:
            raise ArchiveFailed(f"{name} is not the archive that was written")
        with path.open("rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
            for line in io.BufferedReader(stream):  # pyright: ignore[reportArgumentType]
                yield loads(line.decode())
    except (OSError, zstandard.ZstdError, JsonError, UnicodeDecodeError) as error:
        raise ArchiveFailed(f"{name} cannot be read: {error}") from None


def _read_back(path: Path, name: str) -> Archive:
    """What stands on the disk."""
    whole, content, rows = hashlib.sha256(), hashlib.sha256(), 0
    size = path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            whole.update(chunk)
        file.seek(0)
        with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as stream:
            for line in io.BufferedReader(stream):  # pyright: ignore[reportArgumentType]
                content.update(line)
                rows += 1
    return Archive(name, rows, size, whole.hexdigest(), content.hexdigest())
