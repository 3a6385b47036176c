"""How much one body may be: counted on the wire and after decompression, while it arrives.

100 MiB of zeros are 100 KB of gzip, and one zstd block of four bytes can mean 128 KB, so the
bounds are on what comes out, and no more is unpacked than one bounded step beyond them.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

import zstandard
from starlette.types import Message, Receive

from llm_cost_ops.server.http.problems import Problem

MAX_RATIO = 500
RATIO_FREE_BYTES = 1 << 20
"""Below this size any ratio is fine: a short body of equal records packs very well."""
_STEP_BYTES = 1 << 16
_ZSTD_FEED_BYTES = 512
"""A zstd block takes 3 bytes at least and gives 128 KiB at most: 512 bytes give 22 MiB at most."""
_ZSTD_WINDOW_BYTES = 1 << 23
ACCEPTED_ENCODINGS = ("gzip", "deflate", "zstd")


class _Decoder(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> None: ...


def too_large(limit: int) -> Problem:
    """413; the connection is closed because the rest of the body is not wanted."""
    return Problem(
        413,
        "PAYLOAD_TOO_LARGE",
        f"The body may have at most {limit} bytes, after decompression too.",
        headers={"Connection": "close"},
    )


def _broken(encoding: str) -> Problem:
    return Problem(
        400,
        "INVALID_REQUEST",
        f"The body is not valid {encoding}.",
        headers={"Connection": "close"},
    )


class _Bound:
    """Counts what came in and what came out."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.given = 0

    def take(self, count: int) -> None:
        self.taken += count

    def give(self, count: int) -> None:
        self.given += count
        if self.given > self.limit:
            raise too_large(self.limit)
        if self.given > RATIO_FREE_BYTES and self.given > self.taken * MAX_RATIO:
            raise Problem(
                413,
                "PAYLOAD_TOO_LARGE",
                f"The body unpacks to more than {MAX_RATIO} times its size.",
                headers={"Connection": "close"},
            )


class _Zlib:
    """gzip (several members too) and deflate (with the zlib header, or raw as some send it)."""

    def __init__(self, encoding: str, bound: _Bound) -> None:
        self._encoding = encoding
        self._bound = bound
        self._decoder: Any = None

    def feed(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        self._bound.take(len(data))
        full = False  # a step that filled its room may have more to give without more input
        try:
            while data or (full and not self._decoder.eof):
                if self._decoder is None or self._decoder.eof:
                    self._decoder = zlib.decompressobj(self._window_bits(data))
                part = self._decoder.decompress(data, _STEP_BYTES)
                self._bound.give(len(part))
                parts.append(part)
                full = len(part) == _STEP_BYTES
                data = self._decoder.unconsumed_tail or self._decoder.unused_data
        except zlib.error:
            raise _broken(self._encoding) from None
        return b"".join(parts)

    def _window_bits(self, data: bytes) -> int:
        if self._encoding == "gzip":
            return 31
        wrapped = data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)
        return 15 if wrapped else -15

    def finish(self) -> None:
        if self._decoder is None or not self._decoder.eof:
            raise _broken(self._encoding)


class _Zstd:
    def __init__(self, bound: _Bound) -> None:
        self._bound = bound
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._frame: Any = None

    def feed(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        self._bound.take(len(data))
        try:
            for start in range(0, len(data), _ZSTD_FEED_BYTES):
                self._feed_slice(data[start : start + _ZSTD_FEED_BYTES], parts)
        except zstandard.ZstdError:
            raise _broken("zstd") from None
        return b"".join(parts)

    def _feed_slice(self, piece: bytes, parts: list[bytes]) -> None:
        while piece:
            if self._frame is None or self._frame.eof:
                self._frame = self._context.decompressobj()
            part: bytes = self._frame.decompress(piece)
            self._bound.give(len(part))
            parts.append(part)
            piece = self._frame.unused_data if self._frame.eof else b""

    def finish(self) -> None:
        if self._frame is None or not self._frame.eof:
            raise _broken("zstd")


def _decoder(encoding: str, bound: _Bound) -> _Decoder | None:
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return _Zlib("gzip", bound)
    if encoding == "deflate":
        return _Zlib("deflate", bound)
    if encoding == "zstd":
        return _Zstd(bound)
    raise Problem(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        f"The body may be compressed with {', '.join(ACCEPTED_ENCODINGS)}.",
        headers={"Accept-Encoding": ", ".join(ACCEPTED_ENCODINGS), "Connection": "close"},
    )


def check_length(content_length: bytes | None, limit: int) -> None:
    """Refuse a body by its announced size, before a byte of it is read. Raises Problem 413."""
    if content_length is None:
        return
    if not content_length.isdigit() or len(content_length) > 18 or int(content_length) > limit:
        raise too_large(limit)


def bounded_receive(receive: Receive, limit: int, encoding: str) -> Receive:
    """`receive` with the body unpacked and bounded. Raises Problem 415 for an unknown encoding;
    the returned function raises Problem 413 or 400 as soon as the body breaks its bounds."""
    bound = _Bound(limit)
    decoder = _decoder(encoding, bound)

    async def plain() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            bound.take(size)
            bound.give(size)
        return message

    async def unpacked() -> Message:
        assert decoder is not None  # noqa: S101 - chosen together with this function
        message = await receive()
        if message["type"] != "http.request":
            return message
        body = decoder.feed(message.get("body", b""))
        if bound.taken > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            decoder.finish()
        return {**message, "body": body}

    return plain if decoder is None else unpacked
