"""A way out for libraries that look names up themselves: a proxy of this process, for one errand.

A library that is given a URL would ask the name server again after we judged the answer, and follow
redirects. Through here it reaches only what the guard admits: each connection goes to the address
that was judged. The proxy listens on the loopback interface while the errand lasts, and wants a
password that is made for it.
"""

from __future__ import annotations

import base64
import secrets
import selectors
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from llm_cost_ops.server.delivery.target import Guard, Target, TargetRefused, Unresolved

MAX_HEAD = 64 * 1024
_PIECE = 64 * 1024
_HOP = ("proxy-", "connection:", "keep-alive:")
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(slots=True)
class Way:
    """The proxy's `url`, and why it `refused` what it refused last."""

    url: str = ""
    refused: str | None = None


@contextmanager
def passage(guard: Guard, timeout_s: float) -> Generator[Way]:
    """A proxy through which the guard's rules hold; it ends with the block. A connection on which
    nothing moves for `timeout_s` is ended."""
    password = secrets.token_urlsafe(18)
    listener = socket.create_server(("127.0.0.1", 0))
    made = _Passage(guard, password, timeout_s)
    thread = threading.Thread(target=made.serve, args=(listener,), name="passage", daemon=True)
    thread.start()
    try:
        made.way.url = f"http://us:{password}@127.0.0.1:{listener.getsockname()[1]}"
        yield made.way
    finally:
        with suppress(OSError):  # wakes up who waits for the next connection
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        made.end()
        thread.join(timeout_s)


class _Refused(Exception):
    """A request that goes no further, with the status that says so."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class _Passage:
    def __init__(self, guard: Guard, password: str, timeout_s: float) -> None:
        self.way = Way()
        self._guard = guard
        token = base64.b64encode(f"us:{password}".encode()).decode()
        self._wanted = f"proxy-authorization: basic {token}".lower()
        self._timeout_s = timeout_s
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), name="passed", daemon=True).start()

    def end(self) -> None:
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _one(self, client: socket.socket) -> None:
        with client:
            self._hold(client)
            try:
                client.settimeout(self._timeout_s)
                self._pass(client)
            except _Refused as refused:
                with suppress(OSError):
                    client.sendall(
                        f"HTTP/1.1 {refused.status}\r\nContent-Length: 0\r\n"
                        "Connection: close\r\n\r\n".encode()
                    )
            except OSError:
                pass
            finally:
                self._let_go(client)

    def _pass(self, client: socket.socket) -> None:
        head, rest = _head(client)
        first, *lines = head.split("\r\n")
        if self._wanted not in (line.strip().lower() for line in lines):
            raise _Refused("407 Proxy Authentication Required")
        parts = first.split(" ")
        if len(parts) != 3:
            raise _Refused("400 Bad Request")
        method, url, version = parts
        tunnel = method == "CONNECT"
        target = self._judged(f"https://{url}/" if tunnel else url)
        with self._reached(target) as upstream:
            self._hold(upstream)
            try:
                if tunnel:
                    client.sendall(_ESTABLISHED)
                    upstream.sendall(rest)
                else:
                    kept = [line for line in lines if not line.lower().startswith(_HOP)]
                    request = [f"{method} {target.request} {version}", *kept, "Connection: close"]
                    upstream.sendall("\r\n".join(request).encode("latin-1") + b"\r\n\r\n" + rest)
                _join(client, upstream, self._timeout_s)
            finally:
                self._let_go(upstream)

    def _judged(self, url: str) -> Target:
        try:
            return self._guard.judge(url)
        except TargetRefused as refused:
            raise self._refusal(refused) from None

    def _reached(self, target: Target) -> socket.socket:
        try:
            addresses = self._guard.addresses(target, self._timeout_s)
        except TargetRefused as refused:
            raise self._refusal(refused) from None
        except Unresolved:
            raise _Refused("502 Bad Gateway") from None
        for address in addresses:
            with suppress(OSError):
                return socket.create_connection((address, target.port), self._timeout_s)
        raise _Refused("502 Bad Gateway")

    def _refusal(self, refused: TargetRefused) -> _Refused:
        self.way.refused = str(refused)
        return _Refused("403 Forbidden")

    def _hold(self, each: socket.socket) -> None:
        with self._lock:
            self._open.add(each)

    def _let_go(self, each: socket.socket) -> None:
        with self._lock:
            self._open.discard(each)


def _head(client: socket.socket) -> tuple[str, bytes]:
    """The head of a request, and what came of its body with it."""
    taken = b""
    while b"\r\n\r\n" not in taken:
        piece = client.recv(_PIECE)
        if not piece or len(taken) > MAX_HEAD:
            raise _Refused("400 Bad Request")
        taken += piece
    head, _, rest = taken.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _join(client: socket.socket, upstream: socket.socket, timeout_s: float) -> None:
    """Hand on what comes from either side until one of them ends."""
    other = {client: upstream, upstream: client}
    with selectors.DefaultSelector() as ready:
        for each in other:
            ready.register(each, selectors.EVENT_READ)
        while True:
            found = ready.select(timeout_s)
            if not found:
                return
            for key, _ in found:
                source = client if key.fileobj is client else upstream
                piece = source.recv(_PIECE)
                if not piece:
                    return
                other[source].sendall(piece)
