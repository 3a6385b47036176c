"""Slow, silent, malformed and oversized clients on real sockets (fault rows 14, 15, 18, 19)."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.live import LiveServer, local, serving, sqlite_at

DEADLINE_S = 2.0
LATE_S = 10.0
"""How late a busy machine may be; what is not cut would go on for minutes."""
HOST = b"Host: x\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that gives its clients two seconds."""
    folder = tmp_path_factory.mktemp("hasty")
    settings = local(
        sqlite_at(folder),
        receive_timeout_seconds=DEADLINE_S,
        keepalive_seconds=1,
        max_connections=50,
    )
    with serving(settings, folder) as server:
        yield server


_opened: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _close_sockets() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def connect(server: LiveServer, timeout_s: float = 15) -> socket.socket:
    opened = socket.create_connection((server.host, server.port), timeout_s)
    _opened.append(opened)
    return opened


def received(opened: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    while True:
        try:
            part = opened.recv(65_536)
        except ConnectionResetError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def answered(opened: socket.socket) -> bytes:
    """One answer, which may come in pieces, from a connection that stays open."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += opened.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(
        next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))[15:]
    )
    while len(body) < length:
        body += opened.recv(65_536)
    return head + b"\r\n\r\n" + body


def drip(opened: socket.socket, text: bytes, every_s: float) -> threading.Event:
    """Send `text` byte by byte in the background until told to stop or cut off."""
    stop = threading.Event()

    def send() -> None:
        for index in range(len(text)):
            if stop.wait(every_s):
                return
            try:
                opened.sendall(text[index : index + 1])
            except OSError:
                return

    threading.Thread(target=send, daemon=True).start()
    return stop


def seconds_until_closed(opened: socket.socket) -> tuple[float, bytes]:
    began = time.monotonic()
    answer = received(opened)
    return time.monotonic() - began, answer


def post(server: LiveServer, path: str, headers: bytes = b"") -> bytes:
    key = f"Authorization: Bearer {server.api_key}\r\n".encode()
    return b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + key + headers + b"\r\n"


def envelope(answer: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]


def test_a_silent_connection_is_closed(hasty: LiveServer) -> None:
    took_s, _ = seconds_until_closed(connect(hasty))
    assert took_s <= DEADLINE_S + LATE_S


def test_slow_headers_are_cut(hasty: LiveServer) -> None:
    opened = connect(hasty)
    opened.sendall(b"GET /live HTTP/1.1\r\n" + HOST)
    stop = drip(opened, b"X-Slow: " + b"a" * 1000, 0.2)
    took_s, answer = seconds_until_closed(opened)
    stop.set()
    assert DEADLINE_S * 0.9 <= took_s <= DEADLINE_S + LATE_S
    assert envelope(answer)[0] == 408


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_body_is_cut(hasty: LiveServer, chunked: bool) -> None:
    opened = connect(hasty)
    headers = b"Content-Type: application/json\r\n"
    if chunked:
        opened.sendall(post(hasty, "/api/v1/usage", headers + b"Transfer-Encoding: chunked\r\n"))
        stop = drip(opened, b"1\r\n \r\n" * 1000, 0.1)
    else:
        opened.sendall(post(hasty, "/api/v1/usage", headers + b"Content-Length: 5000\r\n"))
        stop = drip(opened, b" " * 5000, 0.2)
    took_s, answer = seconds_until_closed(opened)
    stop.set()
    assert DEADLINE_S * 0.9 <= took_s <= DEADLINE_S + LATE_S
    assert envelope(answer)[0] == 408


def test_a_slow_body_after_its_answer_is_cut(hasty: LiveServer) -> None:
    """A refused request must not hold its connection by sending on."""
    opened = connect(hasty)
    opened.sendall(b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n")
    stop = drip(opened, b" " * 5000, 0.2)
    took_s, answer = seconds_until_closed(opened)
    stop.set()
    assert took_s <= DEADLINE_S + LATE_S
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_a_body_that_keeps_the_least_rate_may_take_longer(hasty: LiveServer) -> None:
    record = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 1, "completion_tokens": 1}
    body = json.dumps(record).encode() + b" " * 200_000
    opened = connect(hasty)
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode()
    opened.sendall(post(hasty, "/api/v1/usage", head))
    began = time.monotonic()
    for start in range(0, len(body), 20_000):
        opened.sendall(body[start : start + 20_000])
        time.sleep(0.35)
    answer = answered(opened)
    assert time.monotonic() - began > DEADLINE_S * 1.5
    assert answer.startswith(b"HTTP/1.1 201 ")


def test_an_idle_connection_is_closed_after_its_answer(hasty: LiveServer) -> None:
    opened = connect(hasty)
    opened.sendall(b"GET /live HTTP/1.1\r\n" + HOST + b"\r\n")
    took_s, answer = seconds_until_closed(opened)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert took_s <= 1 + LATE_S


def test_a_second_request_on_a_connection_has_a_deadline_of_its_own(hasty: LiveServer) -> None:
    opened = connect(hasty)
    for _ in range(4):
        opened.sendall(b"GET /live HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answered(opened).startswith(b"HTTP/1.1 200 OK")
        time.sleep(0.7)
    opened.sendall(b"GET /live HTTP/1.1\r\n")
    took_s, answer = seconds_until_closed(opened)
    assert DEADLINE_S * 0.9 <= took_s <= DEADLINE_S + LATE_S
    assert envelope(answer)[0] == 408


def test_endless_headers_are_refused(hasty: LiveServer) -> None:
    opened = connect(hasty)
    opened.sendall(b"GET /live HTTP/1.1\r\n" + HOST + b"X: ")
    before = hasty.memory_bytes()
    sent = 0
    try:
        while sent < 64 << 20:
            opened.sendall(b"a" * 65_536)
            sent += 65_536
    except OSError:
        pass
    assert sent < 32 << 20
    assert hasty.memory_bytes() - before < 16 << 20


POST = b"POST /live HTTP/1.1\r\n" + HOST
GET = b"GET /live HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
MALFORMED = {
    "length and chunked": POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "unknown transfer encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "folded header": GET + b"X: a\r\n b\r\n\r\n",
    "bare line feed in a chunk": POST + CHUNKED + b"\r\n5\nabcde\r\n0\r\n\r\n",
    "negative length": POST + b"Content-Length: -5\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "space before the colon": b"GET /live HTTP/1.1\r\nHost : x\r\n\r\n",
}


@pytest.mark.check(23)
@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_http_is_refused_and_closed(hasty: LiveServer, request_bytes: bytes) -> None:
    opened = connect(hasty)
    opened.sendall(request_bytes)
    took_s, answer = seconds_until_closed(opened)
    status, error = envelope(answer)
    assert (status, error["code"]) == (400, "INVALID_REQUEST")
    assert b"x-content-type-options: nosniff" in answer
    assert took_s < LATE_S


def flood(opened: socket.socket, part: bytes, total: int) -> int:
    """Send until the server stops us; how much went out."""
    sent = 0
    while sent < total:
        try:
            opened.sendall(part)
        except OSError:
            break
        sent += len(part)
    return sent


@pytest.mark.check(28)
def test_an_announced_gigabyte_is_refused_before_it_is_sent(hasty: LiveServer) -> None:
    opened = connect(hasty)
    opened.sendall(post(hasty, "/api/v1/usage/batch", b"Content-Length: 1073741824\r\n"))
    took_s, answer = seconds_until_closed(opened)
    status, error = envelope(answer)
    assert (status, error["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert b"connection: close" in answer.lower()
    assert took_s < LATE_S


@pytest.mark.check(28)
def test_a_gigabyte_that_is_sent_anyway_reads_its_refusal(hasty: LiveServer) -> None:
    """The answer is not lost in the reset of a connection that still sends."""
    before = hasty.memory_bytes()
    for headers in (b"Content-Length: 1073741824\r\n", b"Transfer-Encoding: chunked\r\n"):
        opened = connect(hasty)
        opened.sendall(post(hasty, "/api/v1/usage/batch", headers))
        part = b"x" * 65_536
        if b"chunked" in headers:
            part = b"10000\r\n" + part + b"\r\n"
        sent = flood(opened, part, 15 << 20)
        assert sent > 10 << 20
        assert envelope(received(opened))[0] == 413
    assert hasty.memory_bytes() - before < 32 << 20


@pytest.mark.check(28)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_gzip_bomb_is_refused_while_it_unpacks(hasty: LiveServer, chunked: bool) -> None:
    bomb = gzip.compress(bytes(100 << 20))
    assert len(bomb) < 110_000
    before = hasty.memory_bytes()
    opened = connect(hasty)
    headers = b"Content-Encoding: gzip\r\nContent-Type: application/json\r\n"
    if chunked:
        opened.sendall(post(hasty, "/api/v1/usage", headers + b"Transfer-Encoding: chunked\r\n"))
        opened.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(bomb), bomb))
    else:
        length = f"Content-Length: {len(bomb)}\r\n".encode()
        opened.sendall(post(hasty, "/api/v1/usage", headers + length) + bomb)
    assert envelope(received(opened))[0] == 413
    assert hasty.memory_bytes() - before < 64 << 20


def test_connections_beyond_the_limit_are_told_to_come_back(hasty: LiveServer) -> None:
    held = [connect(hasty) for _ in range(50)]
    time.sleep(0.3)
    request = GET + b"Connection: close\r\n\r\n"
    refused = [connect(hasty) for _ in range(5)]
    for opened in refused:
        opened.sendall(request)
    for opened in refused:
        answer = received(opened)
        assert b"retry-after: 1" in answer
        assert (envelope(answer)[0], envelope(answer)[1]["code"]) == (503, "SERVICE_UNAVAILABLE")
    held[0].sendall(request)
    assert received(held[0]).startswith(b"HTTP/1.1 200 OK")
    for opened in held:
        opened.close()
    time.sleep(0.3)
    assert hasty.get("/live").status_code == 200


def open_files(server: LiveServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_no_file_stays_open(hasty: LiveServer) -> None:
    def attack() -> None:
        opened = connect(hasty)
        opened.sendall(b"POST /api/v1/usage HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n{")
        opened.close()

    hasty.get("/live")
    time.sleep(1.5)
    before = open_files(hasty)
    for _ in range(200):
        attack()
    time.sleep(2)
    assert open_files(hasty) <= before + 2


@pytest.mark.check(44)
def test_the_server_does_not_name_itself(hasty: LiveServer) -> None:
    headers = hasty.get("/live").headers
    assert "server" not in headers
    assert "date" in headers


def test_spoofed_proxy_headers_do_not_reach_the_log(hasty: LiveServer) -> None:
    """127.0.0.1 is a trusted proxy by default, so its word is taken, but only its word."""
    hasty.get("/live", headers={"X-Forwarded-For": "203.0.113.7", "X-Request-ID": "via-proxy"})

    def clients() -> list[str]:
        return [line["client"] for line in hasty.log() if line.get("request_id") == "via-proxy"]

    assert wait(clients) == ["203.0.113.7"]


def wait(found: Callable[[], list[str]], seconds: float = 5) -> list[str]:
    until = time.monotonic() + seconds
    while not found() and time.monotonic() < until:
        time.sleep(0.05)
    return found()


def test_an_upgrade_is_not_followed(hasty: LiveServer) -> None:
    opened = connect(hasty)
    opened.sendall(
        b"GET /live HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = opened.recv(4096)
    assert b"101" not in answer.split(b"\r\n")[0]
