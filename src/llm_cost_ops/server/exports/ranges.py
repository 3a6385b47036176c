"""Which bytes of a file a request wants (RFC 9110, section 14): one range, or the whole file."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)


class Span(NamedTuple):
    """The bytes from `start` up to and without `end`."""

    start: int
    end: int

    def header(self, size: int) -> str:
        """The value of Content-Range for a file of so many bytes."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


class Unsatisfiable(ValueError):
    """The range begins behind the last byte: 416."""


def span_of(asked: str | None, condition: str | None, etag: str, size: int) -> Span | None:
    """The span of the headers Range and If-Range, None for the whole file: no range, one that
    cannot be read, several, or one of another file. Raises Unsatisfiable."""
    match = None if asked is None else _ONE.fullmatch(asked)
    if match is None or (condition is not None and condition.strip() != etag):
        return None
    first, last = match[1], match[2]
    if not first and not last:
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return Span(max(size - int(last), 0), size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return Span(start, min(int(last) + 1, size) if last else size)
