"""What `ingest` reads: files, standard input, and directories of agents' session logs."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError
from llm_cost_ops.importers import FORMATS, HEAD_BYTES, detect
from llm_cost_ops.importers.lines import binary, peek

AUTO = "auto"
STDIN = "-"
AGENT_LOGS = frozenset({"claude-code", "codex"})
_DETECT_BYTES = 64 * 1024
_LOG_NAMES = ("*.jsonl", "*.jsonl.gz", "*.jsonl.zst")
_COPY_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """A file to read, or standard input. `found` marks one that a directory was searched for."""

    path: Path | None
    found: bool = False

    @property
    def name(self) -> str:
        return STDIN if self.path is None else str(self.path)

    @property
    def title(self) -> str:
        """The name of its import: that of the file, of a session log with its project's."""
        if self.path is None:
            return "standard input"
        return "/".join(self.path.parts[-2:]) if self.found else self.path.name


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file at its beginning. `format` is None for one without content, and for one in a
    searched directory that is no session log. `read` is how many bytes of `size` were taken."""

    stream: IO[bytes]
    format: str | None
    size: int | None
    read: Callable[[], int]


def places(names: Sequence[str]) -> list[Place]:
    """Files in the order given, those of directories by name. Raises CommandError."""
    found: list[Place] = []
    for name in names:
        path = Path(name)
        if name == STDIN:
            found.append(Place(None))
        elif path.is_dir():
            found += [Place(log, found=True) for log in _logs(path)]
        elif path.exists():
            found.append(Place(path))
        else:
            raise CommandError(f"{name}: there is no such file", exit_code=ARGUMENTS)
    if sum(place.path is None for place in found) > 1:
        raise CommandError("standard input can be read once", exit_code=ARGUMENTS)
    return found


def _logs(directory: Path) -> Iterator[Path]:
    logs = {path for pattern in _LOG_NAMES for path in directory.rglob(pattern)}
    yield from sorted(path for path in logs if path.is_file())


@contextmanager
def opened(place: Place, format: str) -> Generator[Source]:
    """A place's source, its format told from its content where `format` is auto.

    Raises ImportFormatError, CommandError, OSError.
    """
    if place.path is None:
        with _standard_input(format) as source:
            yield source
        return
    with place.path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        size = place.path.stat().st_size
        yield Source(stream, _format(place, format, head), size, stream.tell)


def _format(place: Place, format: str, head: bytes) -> str | None:
    if not head.strip():
        return None
    if format != AUTO:
        return format
    if not place.found:
        return detect(head, place.name)
    from llm_cost_ops.importers import ImportFormatError

    try:
        told = detect(head, place.name)
    except ImportFormatError:
        return None
    return told if told in AGENT_LOGS else None


@contextmanager
def _standard_input(format: str) -> Generator[Source]:
    stream = sys.stdin.buffer
    seeks = format in FORMATS and FORMATS[format].seeks
    body = binary(stream)
    head = peek(body, _DETECT_BYTES)
    told = _format(Place(None), format, head)
    if seeks or (told is not None and FORMATS[told].seeks):
        with tempfile.TemporaryFile() as kept:
            size = _copied(body, kept)
            yield Source(cast("IO[bytes]", kept), told, size, kept.tell)
        return
    counted = _Counted(body)
    buffered = cast("IO[bytes]", io.BufferedReader(counted, HEAD_BYTES))
    yield Source(buffered, told, None, lambda: counted.taken)


def _copied(body: IO[bytes], kept: IO[bytes]) -> int:
    while data := body.read(_COPY_BYTES):
        kept.write(data)
    size = kept.tell()
    kept.seek(0)
    return size


class _Counted(io.RawIOBase):
    """A stream that cannot tell its position, with the bytes that were taken from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview | bytearray, /) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.taken += len(data)
        return len(data)
