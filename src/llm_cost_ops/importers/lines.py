"""Lines of a byte stream with bounded length, and JSON objects one per line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, cast

from llm_cost_ops.core import jsontext
from llm_cost_ops.importers.packed import unpacked
from llm_cost_ops.importers.problem import ImportProblem
from llm_cost_ops.importers.record import NumberedRow, Row, RowStream

HEAD_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"


def binary(stream: IO[bytes] | IO[str]) -> IO[bytes]:
    """The stream as bytes without a byte order mark; gzip and zstd are unpacked on the way."""
    is_text = isinstance(stream, io.TextIOBase)
    raw = cast("IO[bytes]", _Encoded(cast("IO[str]", stream)) if is_text else stream)
    head = raw.read(HEAD_BYTES)
    body: IO[bytes] = cast("IO[bytes]", io.BufferedReader(_Chained(head, raw), HEAD_BYTES))
    content = unpacked(body, head)
    if content is not None:
        body = cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", content), HEAD_BYTES))
    if peek(body, 3).startswith(_BOM):
        body.read(3)
    return body


def peek(stream: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes that the next reads will give again."""
    return cast("io.BufferedReader", stream).peek(size)[:size]


def bounded_lines(stream: IO[bytes], limit: int) -> Iterator[tuple[int, bytes] | ImportProblem]:
    """Numbered lines without their end. A longer one is a problem and is passed over unread."""
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        if len(line) <= limit or line.endswith(b"\n"):
            yield number, line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(HEAD_BYTES)
        yield ImportProblem(number, None, f"the line is longer than {limit} bytes")


def json_lines(stream: IO[bytes], limit: int) -> RowStream:
    """One JSON object per line; blank lines are passed over, other text is a problem."""
    for item in bounded_lines(stream, limit):
        if isinstance(item, ImportProblem):
            yield item
        elif item[1].strip():
            yield parse_object(item[0], item[1])


def parse_object(number: int, line: bytes) -> NumberedRow | ImportProblem:
    try:
        value: object = jsontext.loads(line.decode())
    except UnicodeDecodeError:
        return ImportProblem(number, None, "the line is not UTF-8")
    except jsontext.JsonError as error:
        return ImportProblem(number, None, error.message)
    if not isinstance(value, dict):
        return ImportProblem(number, None, "the line is not a JSON object")
    return NumberedRow(number, cast("Row", value))


class _Chained(io.RawIOBase):
    """The head that was read already, then the rest of the stream."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview | bytearray, /) -> int:  # type: ignore[override]
        data = self._head.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Encoded(io.RawIOBase):
    """A text stream as UTF-8 bytes, for callers that opened the file as text."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while not self._left and (chunk := self._text.read(size)):
            self._left = chunk.encode("utf-8", "surrogatepass")
        end = len(self._left) if size < 0 else size
        taken, self._left = self._left[:end], self._left[end:]
        return taken
