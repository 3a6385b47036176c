"""A TCP proxy in the test's own process that fails the way networks and servers fail.

with FaultProxy.to(url) as proxy:
    settings = small_pool(proxy.url)
    proxy.blackhole()       bytes vanish, connections stay open, new ones are accepted
    proxy.down()            live connections are reset, new ones refused
    proxy.latency(0.05)     every piece is delayed, in both directions
    proxy.cut_after(20)     the server's answer is cut after so many bytes, then a reset
    proxy.cut_at(b"COMMIT") the same at the first answer with these bytes in it, which is lost
    proxy.restore()         all pass again; a connection that lost bytes stays broken
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from sqlalchemy import make_url

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class _Fault:
    swallow: bool = False
    delay_seconds: float = 0.0
    cut_bytes: int | None = None
    cut_at: bytes | None = None


class FaultProxy:
    def __init__(self, host: str, port: int, url: str = "") -> None:
        self._target = (host, port)
        self._fault = _Fault()
        self._lock = threading.Lock()
        self._live: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()
        self.url = make_url(url).set(host="127.0.0.1", port=self.port).render_as_string(
            hide_password=False
        ) if url else ""  # fmt: skip

    @classmethod
    def to(cls, url: str) -> Self:
        """In front of the server of a database URL; `url` of the proxy goes through it."""
        target = make_url(url)
        assert target.host is not None
        assert target.port is not None
        return cls(target.host, target.port, url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_listening()
        self._reset_all()

    def restore(self) -> None:
        self._fault = _Fault()
        self._listen()

    def blackhole(self) -> None:
        self._fault = _Fault(swallow=True)

    def latency(self, seconds: float) -> None:
        self._fault = _Fault(delay_seconds=seconds)

    def cut_after(self, count: int) -> None:
        """Counted for each connection from this moment on."""
        self._fault = _Fault(cut_bytes=count)

    def cut_at(self, answer: bytes) -> None:
        """In one piece: what a server says in a few bytes comes whole."""
        self._fault = _Fault(cut_at=answer)

    def down(self) -> None:
        self._stop_listening()
        self._reset_all()

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):  # wakes the accepting thread
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _reset(client)
                continue
            with self._lock:
                self._live |= {client, server}
            for source, sink, answers in ((client, server, False), (server, client, True)):
                pump = threading.Thread(
                    target=self._pump, args=(source, sink, answers), daemon=True
                )
                pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        cut: _Fault | None = None
        passed = 0
        try:
            while piece := source.recv(65_536):
                fault = self._fault
                if fault.swallow:
                    continue
                time.sleep(fault.delay_seconds)
                if answers and fault.cut_bytes is not None:
                    passed = 0 if fault is not cut else passed
                    cut = fault
                    sink.sendall(piece[: fault.cut_bytes - passed])
                    passed += len(piece)
                    if passed >= fault.cut_bytes:
                        self._forget(source, sink)
                        return
                    continue
                if answers and fault.cut_at is not None and fault.cut_at in piece:
                    self._forget(source, sink)
                    return
                sink.sendall(piece)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(source, sink)

    def _forget(self, *connections: socket.socket) -> None:
        with self._lock:
            self._live.difference_update(connections)
        for connection in connections:
            _reset(connection)

    def _reset_all(self) -> None:
        with self._lock:
            live = list(self._live)
        self._forget(*live)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        connection.shutdown(socket.SHUT_RD)  # wakes a thread that is reading from it
    connection.close()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block must end in time, however it ends."""
    started = time.monotonic()
    try:
        yield
    finally:
        elapsed = time.monotonic() - started
        assert elapsed <= seconds, f"took {elapsed:.2f} s, allowed {seconds} s"
