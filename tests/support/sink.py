"""A receiver of webhooks that is really there: it keeps what it was sent and answers as told."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Got:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at_s: float

    def header(self, name: str) -> str:
        return self.headers[name.lower()]


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer. `raw` is written instead of an answer; `before_s` passes before it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b"ok"
    before_s: float = 0.0
    raw: Callable[[Any], None] | None = None


class Sink:
    """`replies` are given in order, the last one (at first: 200) again and again."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.replies: list[Reply] = [Reply()]
        self.answer: Callable[[Got], Reply] | None = None
        self.port = 0
        self.scheme = "http"
        self.ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    def take(self, got: Got) -> Reply:
        with self._lock:
            self.got.append(got)
            if self.answer is None:
                return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return self.answer(got)


@contextmanager
def sink(certificate: tuple[Path, Path] | None = None) -> Iterator[Sink]:
    """A sink on a free port of 127.0.0.1; with a certificate and its key over TLS."""
    made = Sink()
    server = _Server(("127.0.0.1", 0), _handler(made))
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        made.scheme = "https"
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent: a caller that hangs up is what some tests want."""


def _handler(made: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(self.path, headers, self.rfile.read(length), time.monotonic())
            reply = made.take(got)
            if reply.before_s:
                made.ended.wait(reply.before_s)
            if reply.raw is not None:
                reply.raw(self)
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return Handler


def certificate(place: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host name, which is its own authority, and its key."""
    cert, key = place / f"{name}.pem", place / f"{name}.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
            "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key
