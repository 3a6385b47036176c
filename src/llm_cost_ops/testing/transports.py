"""How the fake server is reached: a requests adapter, an httpx transport, a local socket."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import TYPE_CHECKING, Any

from llm_cost_ops.testing.server import FakeServer, LostConnection

if TYPE_CHECKING:
    import httpx
    import requests
    from requests.adapters import BaseAdapter

MAX_BODY_BYTES = 64 * 1024 * 1024


def requests_adapter(fake: FakeServer) -> BaseAdapter:
    import requests
    from requests.adapters import BaseAdapter
    from requests.structures import CaseInsensitiveDict

    class Adapter(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            body = request.body or b""
            content = body.encode() if isinstance(body, str) else bytes(body)
            try:
                answer = fake.handle(
                    request.method or "GET", request.url or "", dict(request.headers), content
                )
            except LostConnection:
                raise requests.exceptions.ConnectionError("connection dropped") from None
            response = requests.Response()
            response.status_code = answer.status
            response.headers = CaseInsensitiveDict(answer.headers)
            response.raw = BytesIO(answer.body)
            response.url = request.url or ""
            response.request = request
            return response

        def close(self) -> None:
            return None

    return Adapter()


def httpx_transport(fake: FakeServer) -> httpx.AsyncBaseTransport:
    import httpx

    class Transport(httpx.AsyncBaseTransport, httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return self._respond(request, request.read())

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return self._respond(request, await request.aread())

        def _respond(self, request: httpx.Request, content: bytes) -> httpx.Response:
            try:
                answer = fake.handle(
                    request.method, str(request.url), dict(request.headers), content
                )
            except LostConnection:
                raise httpx.ReadError("connection dropped", request=request) from None
            return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    return Transport()


@contextmanager
def serving(fake: FakeServer, host: str, port: int) -> Generator[str]:
    server = ThreadingHTTPServer((host, port), _handler(fake))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *_: Any, **__: Any) -> None:
            return None

        def _exchange(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if size > MAX_BODY_BYTES:
                self.send_error(413)
                return
            try:
                answer = fake.handle(
                    self.command, self.path, dict(self.headers), self.rfile.read(size)
                )
            except LostConnection:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _exchange

    return Handler
