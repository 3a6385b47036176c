"""Files packed with gzip or zstd, unpacked as they are read. zstandard is needed only for zstd."""

from __future__ import annotations

import gzip
import importlib
import io
import zlib
from typing import IO, Any, cast

from llm_cost_ops.importers.problem import ImportFormatError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
MISSING = "zstd files need zstandard: pip install 'llm-cost-ops[files]'"
# The command line tool's largest window without --long; a frame that wants more is refused.
_WINDOW_BYTES = 2**27
# One block may stand for 128 KiB in four bytes, so this much input is at most 8 MiB of output.
_STEP_BYTES = 256


class DamagedError(Exception):
    """Packed data that cannot be unpacked to its end; `packing` names the format."""

    def __init__(self, packing: str) -> None:
        super().__init__(packing)
        self.packing = packing


def unpacked(stream: IO[bytes], head: bytes) -> IO[bytes] | None:
    """The content of a packed stream that begins with `head`; None where it is not packed.

    Reading it raises DamagedError. Raises ImportFormatError without zstandard.
    """
    if head.startswith(GZIP):
        return cast("IO[bytes]", _Unpacking(_Gzip(stream)))
    if head.startswith(ZSTD):
        return cast("IO[bytes]", _Unpacking(_Zstd(stream)))
    return None


def beginning(head: bytes, size: int) -> bytes:
    """At most `size` bytes of what the beginning of a file unpacks to; itself if not packed.

    Raises ImportFormatError for what begins like a packed file and is none.
    """
    body = unpacked(io.BytesIO(head), head)
    if body is None:
        return head[:size]
    parts: list[bytes] = []
    try:
        while size > 0 and (data := body.read(size)):
            parts.append(data)
            size -= len(data)
    except DamagedError as error:
        # A beginning ends in the middle of the packed data; what came before it counts.
        if not parts:
            raise ImportFormatError(f"the file begins like {error.packing} and is not") from None
    return b"".join(parts)


class _Gzip:
    """Gzip members one after the other, a bounded piece at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._file = gzip.GzipFile(fileobj=stream)

    def piece(self, size: int) -> bytes:
        try:
            return self._file.read1(size)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise DamagedError("gzip") from None


class _Zstd:
    """Zstd frames one after the other; a frame without its end is damage, not an end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._zstd = _zstandard()
        self._context: Any = self._zstd.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        self._frame: Any = None
        self._input = b""

    def piece(self, size: int) -> bytes:  # noqa: ARG002
        while True:
            self._input = self._input or self._stream.read(_STEP_BYTES)
            if not self._input:
                if self._frame is not None:
                    raise DamagedError("zstd")
                return b""
            if data := self._step():
                return data

    def _step(self) -> bytes:
        self._frame = self._frame or self._context.decompressobj()
        try:
            data = cast("bytes", self._frame.decompress(self._input))
        except self._zstd.ZstdError:
            raise DamagedError("zstd") from None
        self._input = b""
        if self._frame.eof:
            self._input = cast("bytes", self._frame.unused_data)
            self._frame = None
        return data


class _Unpacking(io.RawIOBase):
    """Pieces as a stream of bytes."""

    def __init__(self, pieces: _Gzip | _Zstd) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview | bytearray, /) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(self._pieces.piece(len(buffer)))
        data = self._left[: len(buffer)]
        self._left = self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise ImportFormatError(MISSING) from None
