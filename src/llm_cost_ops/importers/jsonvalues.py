"""Elements of a JSON array, one at a time, however long the array is.

Understands what exports are made of: an array, an object that wraps one (`{"records": [..]}`, a
page with `data`), a single object, and several of these one after the other.
"""

from __future__ import annotations

import json
from typing import IO, cast

from llm_cost_ops.core import jsontext
from llm_cost_ops.importers.lines import json_lines
from llm_cost_ops.importers.problem import ImportProblem
from llm_cost_ops.importers.record import NumberedRow, Row, RowStream

WRAPPERS = ("records", "data", "usage_records", "observations", "spend_logs")
_CHUNK = 256 * 1024
_SPACE = " \t\r\n"
_BOUNDARY = json.JSONDecoder(parse_float=len, parse_int=len, parse_constant=len, strict=False)


class _BrokenError(Exception):
    """The text ends or breaks where no next element can be found."""


class _Text:
    """A window on the stream: text from a position on, grown until a value is complete."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._tail: bytes = b""
        self._buffer: str = ""
        self._position: int = 0
        self._ended: bool = False
        self.line: int = 1

    def _grow(self) -> bool:
        if self._ended:
            return False
        self._buffer = self._buffer[self._position :]
        self._position = 0
        if len(self._buffer) > self._limit:
            raise _BrokenError(f"an element is longer than {self._limit} bytes, or has no end")
        data = self._tail + self._stream.read(max(_CHUNK, len(self._buffer)))
        self._ended = data == self._tail
        try:
            text, used = data.decode(), len(data)
        except UnicodeDecodeError as error:
            if self._ended or len(data) - error.start > 3:
                raise _BrokenError("the text is not UTF-8") from None
            text, used = data[: error.start].decode(), error.start
        self._tail = data[used:]
        self._buffer += text
        return True

    def look(self) -> str:
        """The next character that is no white space, without taking it; empty at the end."""
        while True:
            while self._position < len(self._buffer):
                character = self._buffer[self._position]
                if character not in _SPACE:
                    return character
                self._step(1)
            if not self._grow():
                return ""

    def take(self, expected: str) -> None:
        found = self.look()
        if found != expected or not found:
            raise _BrokenError(
                f"expected {expected!r}" + (f", found {found!r}" if found else ", found the end")
            )
        self._step(1)

    def value(self) -> str:
        """The text of the next whole JSON value."""
        self.look()
        while True:
            try:
                end = _BOUNDARY.raw_decode(self._buffer, self._position)[1]
            except RecursionError:
                raise _BrokenError("JSON is nested too deeply") from None
            except ValueError as error:
                if not self._grow():
                    raise _BrokenError(f"not valid JSON: {error}") from None
                continue
            if end < len(self._buffer) or not self._grow():
                text = self._buffer[self._position : end]
                self._step(end - self._position)
                return text

    def _step(self, count: int) -> None:
        self.line += self._buffer.count("\n", self._position, self._position + count)
        self._position += count


def json_values(stream: IO[bytes], limit: int, wrappers: tuple[str, ...] = WRAPPERS) -> RowStream:
    """Objects of the arrays in the stream, each at most about `limit` bytes long.

    An element that is no strict JSON object is a problem of its own. Text that is no JSON at all
    ends the reading with a problem, because nothing tells where the next element begins.
    """
    text = _Text(stream, limit)
    try:
        while character := text.look():
            if character == "[":
                yield from _array(text)
            elif character == "{":
                yield from _object(text, wrappers)
            else:
                raise _BrokenError("expected an array or an object")
    except _BrokenError as error:
        yield ImportProblem(text.line, None, f"{error}; the rest of the file was not read")


def _array(text: _Text) -> RowStream:
    text.take("[")
    if text.look() == "]":
        text.take("]")
        return
    while True:
        text.look()
        line = text.line
        yield _row(line, text.value())
        if text.look() != ",":
            break
        text.take(",")
    text.take("]")


def _object(text: _Text, wrappers: tuple[str, ...]) -> RowStream:
    line = text.line
    text.take("{")
    members: list[str] = []
    wrapped = False
    while text.look() != "}":
        name = text.value()
        text.take(":")
        if name.strip('"') in wrappers and text.look() == "[":
            wrapped = True
            yield from _array(text)
        else:
            members.append(f"{name}:{text.value()}")
        if text.look() != ",":
            break
        text.take(",")
    text.take("}")
    if not wrapped:
        yield _row(line, "{" + ",".join(members) + "}")


def _row(line: int, text: str) -> NumberedRow | ImportProblem:
    try:
        value: object = jsontext.loads(text)
    except jsontext.JsonError as error:
        return ImportProblem(line, None, error.message)
    if not isinstance(value, dict):
        return ImportProblem(line, None, "the element is not a JSON object")
    return NumberedRow(line, cast("Row", value))


def rows_of(
    stream: IO[bytes], limit: int, head: bytes, wrappers: tuple[str, ...] = WRAPPERS
) -> RowStream:
    """JSON rows of a file that may be one object per line or an array: `head` decides which."""
    if is_line_oriented(head, wrappers):
        return json_lines(stream, limit)
    return json_values(stream, limit, wrappers)


def is_line_oriented(head: bytes, wrappers: tuple[str, ...] = WRAPPERS) -> bool:
    """Whether the first line is a whole object that wraps no array, so that lines stand alone."""
    first = head.lstrip().split(b"\n", 1)[0].strip()
    if not first.startswith(b"{"):
        return False
    try:
        value: object = jsontext.loads(first.decode())
    except (jsontext.JsonError, UnicodeDecodeError):
        return len(first) < len(head.strip()) and first.endswith(b"}")
    members = cast("Row", value) if isinstance(value, dict) else {}
    return not any(isinstance(members.get(name), list) for name in wrappers)
