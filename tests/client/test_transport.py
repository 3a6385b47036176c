"""The two drivers against real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import llm_cost_ops.client
from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.exceptions import (
    APIError,
    CostOpsError,
    NetworkError,
    PermissionDenied,
    TimeoutError,
)
from llm_cost_ops.testing import FakeServer

CALL: dict[str, Any] = {
    "provider": "openai",
    "model": "unit-1",
    "prompt_tokens": 1000,
    "completion_tokens": 500,
}
Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """`ask(url, call, **options)`: the result of `call(client)` over a real connection."""

    def sync(url: str, call: Callable[[Any], Any], **options: Any) -> Any:
        with CostOpsClient("sk_test", url, sleep=lambda _: None, **options) as client:
            return call(client)

    def asynchronous(url: str, call: Callable[[Any], Any], **options: Any) -> Any:
        async def no_wait(_: float) -> None:
            return None

        async def run() -> Any:
            async with AsyncCostOpsClient("sk_test", url, sleep=no_wait, **options) as client:
                return await call(client)

        return asyncio.run(run())

    return sync if request.param == "sync" else asynchronous


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A local server that does `talk` with each connection."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        done.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def reply(text: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    return talk


def test_a_real_round_trip(ask: Ask, fake: FakeServer) -> None:
    with fake.serve() as url:
        usage = ask(url, lambda client: client.usage.create(CALL))
        assert usage.total_cost == Decimal("0.025")
        assert ask(url, lambda client: client.costs.delete(usage.id)) is None
    request = fake.requests[0]
    assert request.headers["authorization"] == "Bearer sk_test"
    assert request.headers["user-agent"].startswith("llm-cost-ops-python/")
    assert request.headers["content-type"] == "application/json"


def test_a_dropped_connection_is_repeated(ask: Ask, fake: FakeServer) -> None:
    fake.drop_next(times=2, after_work=True)
    with fake.serve() as url:
        ask(url, lambda client: client.usage.create(CALL))
    assert len(fake.requests) == 3
    assert len(fake.rows) == 1


def test_nobody_listens(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(NetworkError) as caught:
        ask(url, lambda client: client.costs.list(), max_retries=1)
    assert caught.value.status_code == 0
    assert url in caught.value.message
    assert not isinstance(caught.value, TimeoutError)


def test_no_answer_in_time(ask: Ask) -> None:
    seen: list[int] = []

    def silent(connection: socket.socket) -> None:
        seen.append(1)
        connection.settimeout(5)
        while connection.recv(65536):
            pass

    with listening(silent) as url, pytest.raises(TimeoutError, match=r"no answer in 0\.2 s"):
        ask(url, lambda client: client.usage.create(CALL), timeout=0.2, max_retries=1)
    assert len(seen) == 2


def test_half_an_answer_is_no_answer(ask: Ask) -> None:
    cut = reply(b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"id": "usg')
    with listening(cut) as url, pytest.raises(NetworkError):
        ask(url, lambda client: client.usage.create(CALL), max_retries=0)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"\xff\xfe\x00", b"{"])
def test_an_answer_that_is_not_the_api(ask: Ask, body: bytes) -> None:
    page = reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    with listening(page) as url, pytest.raises(APIError, match="is this address the API") as caught:
        ask(url, lambda client: client.costs.summary())
    assert caught.value.status_code == 200


def test_a_redirect_is_not_followed(ask: Ask, fake: FakeServer) -> None:
    with fake.serve() as other:
        there = f"{other}/api/v1/usage".encode()
        moved = reply(b"HTTP/1.1 307 Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % there)
        with listening(moved) as url, pytest.raises(APIError) as caught:
            ask(url, lambda client: client.usage.create(CALL))
    assert caught.value.status_code == 307
    assert not fake.requests


def test_a_body_that_does_not_unpack_is_no_answer(ask: Ask) -> None:
    broken = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
    with listening(reply(broken)) as url, pytest.raises(NetworkError):
        ask(url, lambda client: client.costs.list(), max_retries=0)


def test_an_untrusted_certificate_is_not_tried_again(ask: Ask, tmp_path: Path) -> None:
    seen: list[int] = []

    def talk(connection: socket.socket) -> None:
        seen.append(1)
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x03\x00\x02\x02\x30")  # TLS alert: fatal, unknown authority

    with listening(talk) as url, pytest.raises(NetworkError) as caught:
        ask(url.replace("http://", "https://"), lambda client: client.costs.list())
    assert not caught.value.retryable
    assert len(seen) == 1
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    assert cause is not None


def test_a_netrc_file_does_not_replace_the_key(
    ask: Ask, fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with fake.serve() as url:
        ask(url, lambda client: client.costs.list())
    assert fake.requests[0].headers["authorization"] == "Bearer sk_test"


def test_cookies_are_not_kept() -> None:
    cookie = reply(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n[]")
    with listening(cookie) as url, CostOpsClient("sk", url) as client:
        client.costs.list()
        assert not list(client.session.cookies)


def test_the_session_is_made_at_the_first_need_and_readable() -> None:
    client = CostOpsClient("sk", connection_pool_size=7)
    assert client._own_session is None
    session = client.session
    assert session is client.session
    adapter: Any = session.adapters["https://"]
    assert adapter.max_retries.total == 0
    assert adapter._pool_maxsize == 7
    client.close()
    assert client._own_session is None
    client.close()


def test_a_given_session_is_used_and_left_open(fake: FakeServer) -> None:
    import requests

    session = requests.Session()
    fake.mount(session, "http://given.test")
    closed: list[int] = []
    session.close = lambda: closed.append(1)  # type: ignore[method-assign]
    with CostOpsClient("sk", "http://given.test", session=session) as client:
        assert client.session is session
        client.costs.list()
    assert not closed
    assert len(fake.requests) == 1


def test_the_requests_module_is_within_reach() -> None:
    import requests

    assert llm_cost_ops.client.requests is requests
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        llm_cost_ops.client.nothing  # noqa: B018


def test_threads_share_a_client(fake: FakeServer) -> None:
    with fake.serve() as url, CostOpsClient("sk", url, connection_pool_size=8) as client:
        with ThreadPoolExecutor(8) as pool:
            rows = list(pool.map(lambda _: client.usage.create(CALL), range(80)))
        assert len({row.id for row in rows}) == 80
        assert client.costs.summary().total_cost == Decimal("2")


def test_many_tasks_share_a_client(fake: FakeServer) -> None:
    async def run(url: str) -> list[Any]:
        async with AsyncCostOpsClient("sk", url) as client:
            return await asyncio.gather(*(client.usage.create(CALL) for _ in range(40)))

    with fake.serve() as url:
        assert len({row.id for row in asyncio.run(run(url))}) == 40
    assert len(fake.rows) == 40


def test_an_async_client_can_be_used_again_after_closing(fake: FakeServer) -> None:
    async def run(url: str) -> None:
        client = AsyncCostOpsClient("sk", url)
        for _ in range(2):
            await client.costs.list()
            await client.close()

    with fake.serve() as url:
        asyncio.run(run(url))
    assert len(fake.requests) == 2


def test_large_bodies_are_compressed_when_asked(ask: Ask, fake: FakeServer) -> None:
    with fake.serve() as url:
        for compress, count in ((False, 50), (True, 1), (True, 50)):
            ask(
                url,
                lambda client, n=count: client.usage.batch_create([CALL] * n),
                enable_compression=compress,
            )
    assert ["content-encoding" in r.headers for r in fake.requests] == [False, False, True]
    assert len(fake.rows) == 101


def test_waits_are_drawn_and_slept(fake: FakeServer) -> None:
    waits: list[float] = []
    fake.fail_next(429, retry_after=7)
    fake.fail_next(503, times=2)
    client = fake.client(sleep=waits.append, random=lambda: 0.5, retry_delay=0.1, retry_backoff=3)
    client.costs.list()
    assert waits == pytest.approx([7.0, 0.15, 0.45])


def test_debug_logs_requests_without_secrets(
    ask: Ask, fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with fake.serve() as url:
        ask(url, lambda client: client.usage.create(CALL, metadata={"a": "private"}), debug=True)
        fake.fail_next(403)
        with pytest.raises(PermissionDenied):
            ask(url, lambda client: client.costs.list(), debug=True)
    text = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("llm_cost_ops"))
    assert f"POST {url}/api/v1/usage: 201" in text
    assert "403 injected 403" in text
    assert "sk_test" not in text
    assert "private" not in text


def test_errors_of_both_clients_are_the_same(ask: Ask, fake: FakeServer) -> None:
    fake.fail_next(502, times=9)
    with fake.serve() as url, pytest.raises(CostOpsError) as caught:
        ask(url, lambda client: client.costs.list())
    assert (type(caught.value).__name__, caught.value.status_code) == ("ServerError", 502)
    assert len(fake.requests) == 4
