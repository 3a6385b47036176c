"""The protocol under apps that stream, wait and ignore."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_cost_ops.server.http.listen import DrainingServer
from llm_cost_ops.server.http.protocol import MAX_PIPELINED, BoundedConfig, ConnectionLimits

DEADLINE_S = 1.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def listening(app: ASGIApp) -> Iterator[tuple[str, int]]:
    """`app` on a real socket, in a thread."""
    config = BoundedConfig(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        limits=ConnectionLimits(receive_seconds=DEADLINE_S),
    )
    server = DrainingServer(config, lambda: None)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    address = listener.getsockname()
    thread.start()
    yield address
    server.stop()
    thread.join(10)
    assert not thread.is_alive()


@contextmanager
def connection(address: tuple[str, int], receive_buffer: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as opened:
        if receive_buffer:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.settimeout(20)
        opened.connect(address)
        yield opened


def until_closed(opened: socket.socket) -> tuple[float, bytes]:
    began, parts = time.monotonic(), []
    while True:
        try:
            part = opened.recv(65_536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return time.monotonic() - began, b"".join(parts)


async def answer(send: Send, body: bytes = b"ok", status: int = 200) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": bytes(1 << 17), "more_body": True})
        ended.set()

    with listening(app) as address, connection(address, receive_buffer=4096) as opened:
        began = time.monotonic()
        opened.sendall(GET)
        assert ended.wait(10)
        assert time.monotonic() - began < DEADLINE_S + 15
        time.sleep(0.2)
        _, received = until_closed(opened)
        assert len(received) < 400 << 17


def test_an_answer_that_is_read_slowly_but_steadily_arrives_whole() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(4 << 20))

    with listening(app) as address, connection(address, receive_buffer=65_536) as opened:
        opened.sendall(GET)
        size = 0
        began = time.monotonic()
        while size < 4 << 20:
            size += len(opened.recv(200_000))
            time.sleep(0.06)
        assert time.monotonic() - began > DEADLINE_S


def test_the_clock_of_the_body_stops_while_the_app_does_not_read() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(DEADLINE_S * 2.5)
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await answer(send, str(size).encode())

    with listening(app) as address, connection(address) as opened:
        size = 8 << 20
        opened.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        opened.sendall(bytes(size))
        received = opened.recv(4096)
        while not received.endswith(str(size).encode()):
            received += opened.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 OK")


def test_an_app_may_take_longer_than_a_client() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(DEADLINE_S * 2)
        await answer(send)

    with listening(app) as address, connection(address) as opened:
        opened.sendall(GET)
        assert opened.recv(4096).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(("sent", "kept"), [(MAX_PIPELINED + 1, True), (MAX_PIPELINED + 2, False)])
def test_only_so_many_requests_may_wait(sent: int, kept: bool) -> None:
    release = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not release.is_set():
            await asyncio.sleep(0.01)
        await answer(send)

    with listening(app) as address, connection(address) as opened:
        opened.sendall(GET * sent)
        time.sleep(0.3)
        release.set()
        if kept:
            received = b""
            while received.count(b"200 OK") < sent:
                received += opened.recv(65_536)
        else:
            took_s, received = until_closed(opened)
            assert b"400 Bad Request" in received
            assert took_s < DEADLINE_S


def test_expect_continue_is_answered_when_the_body_is_wanted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wanted":
            await receive()
        await answer(send, status=200 if scope["path"] == "/wanted" else 413)

    head = b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with listening(app) as address:
        with connection(address) as opened:
            opened.sendall(head % b"/wanted")
            assert opened.recv(4096).startswith(b"HTTP/1.1 100 Continue")
            opened.sendall(b"{}")
            assert opened.recv(4096).startswith(b"HTTP/1.1 200 OK")
        with connection(address) as opened:
            opened.sendall(head % b"/unwanted")
            assert opened.recv(4096).startswith(b"HTTP/1.1 413 ")
