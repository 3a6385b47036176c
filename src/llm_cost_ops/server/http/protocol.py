"""uvicorn's HTTP protocol with the deadlines and bounds that it lacks.

Measured: uvicorn keeps a connection open for ever that sends a header or a body byte every two
seconds, or that never reads its answer, and buffers headers without bound. Here headers and bodies
have a deadline (a body that keeps a least rate may take longer), unread answers too, headers have a
size. One sweep a second looks at all connections, so a request costs no timer.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from llm_cost_ops.server.http.tls import Certificate

MAX_HEAD_BYTES = 65_536
MAX_PIPELINED = 16
"""Requests that may wait behind one that is worked on; uvicorn would queue without bound."""
LEAST_BYTES_PER_SECOND = 16_384
LINGER_SECONDS = 2.0
MARGIN = 0.95
"""Cut a little early, so that a client sees the end within the time that is documented."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one server process."""

    receive_seconds: float = 30.0
    connections: int = 1000


class BoundedConfig(Config):
    """uvicorn's configuration and the limits of its connections."""

    def __init__(
        self,
        *arguments: Any,
        limits: ConnectionLimits,
        certificate: Certificate | None = None,
        **options: Any,
    ) -> None:
        if certificate is not None:
            options["ssl_context_factory"] = certificate.for_uvicorn
        super().__init__(*arguments, http=BoundedProtocol, ws="none", **options)
        self.limits = limits
        self.certificate = certificate


class PipelineFull(Exception):
    """A client sends requests faster than it takes answers."""


def envelope(code: str, message: str) -> bytes:
    """The body of an error that happens before there is a request to answer."""
    return json.dumps({"error": {"code": code, "message": message, "request_id": ""}}).encode()


async def overloaded(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The app of a connection beyond the limit."""
    body = envelope("SERVICE_UNAVAILABLE", "The server has too many connections.")
    headers = [*_PLAIN_HEADERS, (b"content-length", str(len(body)).encode())]
    headers += [(b"retry-after", b"1"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_PLAIN_HEADERS = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


class LingeringTransport(asyncio.Transport):
    """A transport whose close waits a moment while the client is still sending.

    Closing a socket with unread data resets it, and the reset can overtake the answer: the client
    would see a broken pipe instead of the 413 that told it to stop.
    """

    def __init__(self, inner: asyncio.Transport, protocol: BoundedProtocol) -> None:
        super().__init__()
        self.inner = inner
        self.lingering = False
        self._protocol = protocol

    def close(self) -> None:
        if self.lingering or self.inner.is_closing():
            return
        if self._protocol.receiving and self.inner.can_write_eof():
            self.lingering = True
            self.inner.resume_reading()
            self.inner.write_eof()
            self._protocol.close_within(LINGER_SECONDS)
        else:
            self.finish()

    def finish(self) -> None:
        """Close once everything written has been sent."""
        self._protocol.close_within(math.inf)
        self.inner.close()

    def is_closing(self) -> bool:
        return self.lingering or self.inner.is_closing()

    def abort(self) -> None:
        self.inner.abort()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self.lingering:
            self.inner.write(data)

    def pause_reading(self) -> None:
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        self.inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.inner.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.inner.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.inner.get_protocol()

    def can_write_eof(self) -> bool:
        return self.inner.can_write_eof()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Deadlines are of the loop's clock, infinite when there is none."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = cast("BoundedConfig", config).limits
        self._wait_s = self._limits.receive_seconds * MARGIN
        self._in_head = False
        self._head_bytes = 0
        self._body_began_s = 0.0
        self._body_bytes = 0
        self._receive_by_s = math.inf
        self._write_by_s = math.inf
        self._close_by_s = math.inf
        self._linger: LingeringTransport | None = None

    @property
    def receiving(self) -> bool:
        """Whether a request has begun and not ended."""
        return self._receive_by_s != math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._linger = LingeringTransport(transport, self)
        super().connection_made(self._linger)
        if len(self.connections) > self._limits.connections:
            self.app = overloaded
        self._begin_head()

    def _begin_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._receive_by_s = self.loop.time() + self._wait_s

    def data_received(self, data: bytes) -> None:
        if self._linger is not None and self._linger.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "INVALID_REQUEST", "The headers are too large.")

    def on_message_begin(self) -> None:
        if not self._in_head:
            self._begin_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise PipelineFull  # makes the parser stop, which answers 400 and closes
        self._in_head = False
        self._body_began_s = self.loop.time()
        self._body_bytes = 0
        self._receive_by_s = self._body_began_s + self._wait_s
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        earned_s = self._body_bytes / LEAST_BYTES_PER_SECOND
        self._receive_by_s = self._body_began_s + self._wait_s + earned_s
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._receive_by_s = math.inf
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._write_by_s = self.loop.time() + self._wait_s
        super().pause_writing()

    def resume_writing(self) -> None:
        self._write_by_s = math.inf
        super().resume_writing()

    def close_within(self, linger_s: float) -> None:
        """Called when the connection is being closed: by when it must be gone."""
        wait_s = self._wait_s if linger_s == math.inf else linger_s
        self._close_by_s = self.loop.time() + wait_s

    def sweep(self, now_s: float) -> None:
        """Cut the connection when one of its deadlines has passed."""
        linger = self._linger
        if linger is None:
            return
        if now_s >= self._close_by_s:
            if linger.lingering and not linger.inner.is_closing():
                linger.lingering = False
                linger.finish()
            else:
                linger.abort()
        elif linger.is_closing():
            return
        elif now_s >= self._write_by_s:
            linger.abort()
        elif now_s >= self._receive_by_s:
            if self.flow.read_paused and not self._in_head:  # it is we who do not read
                self._receive_by_s = now_s + self._wait_s
            else:
                self._refuse(408, "INVALID_REQUEST", "The request did not arrive in time.")

    def _refuse(self, status: int, code: str, message: str) -> None:
        linger = self._linger
        if linger is None or linger.inner.is_closing():
            return
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        if cycle is None or cycle.response_complete or not cycle.response_started:
            linger.inner.write(_raw_answer(status, envelope(code, message)))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        linger.finish()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text is not ours
        self._refuse(400, "INVALID_REQUEST", "This is not a valid HTTP request.")


def _raw_answer(status: int, body: bytes) -> bytes:
    headers = [*_PLAIN_HEADERS, (b"content-length", str(len(body)).encode())]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[status] + lines + b"connection: close\r\n\r\n" + body
