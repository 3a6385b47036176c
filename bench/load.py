"""A client that costs little: requests written beforehand, sent on kept connections, answers only
looked at as far as their status and length.

It lives in a process of its own, so that it takes no time from the server's interpreter:

python -m bench.load PORT CONNECTIONS < requests

Standard input holds, for each request, its length as a decimal line and then its bytes. Standard
output gets one JSON object: `seconds`, `requests`, `statuses` and `latencies_ms` in order.
"""

from __future__ import annotations

import io
import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """What the client saw."""

    seconds: float
    requests: int
    statuses: dict[str, int]
    latencies_ms: list[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def check(self, *wanted: int) -> None:
        """Raises AssertionError when a request was not answered as it should be."""
        assert set(map(int, self.statuses)) <= set(wanted), self.statuses


def request(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(port: int, requests: Iterable[bytes], connections: int) -> Load:
    """Send all requests over so many connections from another process."""
    packed = b"".join(b"%d\n%s" % (len(one), one) for one in requests)
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", str(port), str(connections)],
        input=packed,
        stdout=subprocess.PIPE,
        check=True,
    )
    return Load(**json.loads(done.stdout))


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    wanted: int = 0  # bytes of the whole answer, once its head is there
    began: float = 0.0
    left: memoryview = field(default_factory=lambda: memoryview(b""))


class Client:
    """All connections in one loop."""

    def __init__(self, port: int, connections: int, requests: Sequence[bytes]) -> None:
        self._waiting = deque(requests)
        self._total = len(requests)
        self._selector = selectors.DefaultSelector()
        self._statuses: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._connections = [self._open(port) for _ in range(min(connections, len(requests)))]

    def _open(self, port: int) -> _Connection:
        opened = socket.create_connection((HOST, port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        made = _Connection(opened)
        self._selector.register(opened, selectors.EVENT_READ, made)
        return made

    def run(self) -> Load:
        began = time.perf_counter()
        for connection in self._connections:
            self._next(connection)
        while len(self._latencies) < self._total:
            for key, events in self._selector.select():
                connection: _Connection = key.data
                if events & selectors.EVENT_WRITE:
                    self._send(connection)
                if events & selectors.EVENT_READ:
                    self._receive(connection)
        seconds = time.perf_counter() - began
        return Load(seconds, self._total, dict(self._statuses), self._latencies)

    def answered(self, answer: bytes) -> None:
        """What another client does with an answer."""

    def next_one(self, sent: bytes) -> None:
        """Send this before all others that wait."""
        self._waiting.appendleft(sent)

    def _next(self, connection: _Connection) -> None:
        if self._waiting:
            connection.began = time.perf_counter()
            connection.left = memoryview(self._waiting.popleft())
            self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.left)
        except BlockingIOError:
            sent = 0
        connection.left = connection.left[sent:]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.left else 0)
        if self._selector.get_key(connection.socket).events != events:
            self._selector.modify(connection.socket, events, connection)

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection")
        received = connection.received
        received += data
        if not connection.wanted:
            end = received.find(_END)
            if end < 0:
                return
            head = bytes(received[:end]).lower()
            start = head.index(_LENGTH) + len(_LENGTH)
            connection.wanted = end + len(_END) + int(head[start:].split(b"\r\n", 1)[0])
        if len(received) >= connection.wanted:
            self._latencies.append((time.perf_counter() - connection.began) * 1000)
            self._statuses[bytes(received[9:12]).decode()] += 1
            self.answered(bytes(received))
            received.clear()
            connection.wanted = 0
            self._next(connection)


def unpacked(stream: io.BufferedIOBase) -> list[bytes]:
    requests: list[bytes] = []
    while line := stream.readline():
        requests.append(stream.read(int(line)))
    return requests


def main(given: Sequence[str]) -> int:
    port, connections = map(int, given)
    requests = unpacked(sys.stdin.buffer)  # pyright: ignore[reportArgumentType]
    done = Client(port, connections, requests).run()
    parts = ("seconds", "requests", "statuses", "latencies_ms")
    json.dump({name: getattr(done, name) for name in parts}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
