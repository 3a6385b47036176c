"""An answer's body that is read in one thread while the app writes it in another."""

from __future__ import annotations

import asyncio
from queue import Empty, SimpleQueue

_WAITING = 16
"""Pieces that may wait to be read; then the app waits."""
_LOOK_SECONDS = 0.005


class Coming:
    """The pieces of a body in their order. A queue in between, for the reason of `handover`."""

    def __init__(self, seconds: float | None) -> None:
        """`seconds` is how long the reader waits for a piece."""
        self._seconds = seconds
        self._pieces: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self._left = b""
        self._over = False

    async def put(self, piece: bytes) -> None:
        """The app's side. Raises OSError, which tells it that the reader has gone."""
        while self._pieces.qsize() >= _WAITING and not self._over:
            await asyncio.sleep(_LOOK_SECONDS)
        if self._over:
            raise OSError("nobody reads this any more")
        if piece:
            self._pieces.put(piece)

    def end(self, error: BaseException | None = None) -> None:
        """No piece follows; `error` says why, where that is not the end of the body."""
        self._pieces.put(b"" if error is None else error)

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes as they come, or all that will; none at the end. Raises TimeoutError,
        and what ended the body too early."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        if not self._left and not self._over:
            self._left = self._next()
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _next(self) -> bytes:
        try:
            piece = self._pieces.get(timeout=self._seconds)
        except Empty:
            self._over = True
            raise TimeoutError from None
        if isinstance(piece, BaseException):
            self._over = True
            raise piece
        self._over = not piece
        return piece

    def close(self) -> None:
        """Nothing more is read."""
        self._over, self._left = True, b""
