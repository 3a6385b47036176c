"""Far too much at once: a batch of 100,000 (fault row 13) and thousands of connections (row 18)."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any

import pytest
import requests

from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import MODEL, Crowd, set_price
from tests.chaos.scale import SEED, patient
from tests.support.server_process import ServerProcess, Tenant

MIB = 1 << 20
RECORDS = 100_000
SMALL = {"provider": "custom", "model": MODEL, "prompt_tokens": 1, "completion_tokens": 1}
LARGE = {**SMALL, "metadata": {"note": "x" * 100}}


def body_of(record: dict[str, Any], shape: str) -> tuple[bytes, str]:
    line = json.dumps(record, separators=(",", ":")).encode()
    if shape == "lines":
        return b"\n".join([line] * RECORDS), "application/x-ndjson"
    array = b"[" + b",".join([line] * RECORDS) + b"]"
    if shape == "object":
        array = b'{"records":' + array + b"}"
    return array, "application/json"


class Neighbour:
    """Another tenant who goes on sending single calls; its seconds per call."""

    def __init__(self, server: ServerProcess, tenant: Tenant) -> None:
        self._url = f"{server.base_url}/api/v1/usage"
        self._headers = tenant.headers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()

    def _run(self) -> None:
        with requests.Session() as session:
            session.headers.update(self._headers)
            while not self._stop.is_set():
                began = time.monotonic()
                answer = session.post(self._url, json=SMALL, timeout=30)
                self.seconds.append(time.monotonic() - began)
                self.statuses[answer.status_code] += 1

    @contextmanager
    def sending(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()


@pytest.mark.parametrize("shape", ["array", "object", "lines"])
@pytest.mark.parametrize("record", [SMALL, LARGE], ids=["too many", "too large"])
def test_a_batch_of_100_000(
    sqlite_settings: DatabaseSettings, launch: Launch, shape: str, record: dict[str, Any]
) -> None:
    server = launch(sqlite_settings)
    set_price(server)
    body, media_type = body_of(record, shape)
    neighbour = Neighbour(server, Tenant.of(sqlite_settings))
    with neighbour.sending():
        time.sleep(0.5)
        before = server.memory_bytes()
        for _ in range(3):
            answer = server.post(
                "/api/v1/usage/batch", data=body, headers={"Content-Type": media_type}
            )
            assert answer.status_code == 413
            error = answer.json()["error"]
            assert error["code"] == "PAYLOAD_TOO_LARGE"
            assert ("10000" if record is SMALL else str(10 * MIB)) in error["message"]
        grown = server.memory_bytes() - before
        time.sleep(0.2)
    print(
        f"{shape}, {len(body) / 1e6:.1f} MB: grown {grown / MIB:.0f} MiB, neighbour's slowest of "
        f"{len(neighbour.seconds)} calls {max(neighbour.seconds):.2f} s"
    )
    assert grown < 256 * MIB
    assert neighbour.statuses.keys() == {201}
    assert max(neighbour.seconds) < patient(2)
    assert server.get("/api/v1/costs/summary").json()["total_requests"] == 0
    server.kill()


def connections(wanted: int) -> int:
    """As many as this process and the server may open, at most `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(wanted, allowed - 500)


def opened(port: int, count: int) -> list[socket.socket]:
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            made.append(socket.create_connection(("127.0.0.1", port), 30))
    except BaseException:
        for connection in made:
            connection.close()
        raise
    return made


def answers_of(held: list[socket.socket], within_s: float) -> Counter[bytes]:
    """Ask on every connection at once; the status of each, `b""` for a closed one."""
    found: Counter[bytes] = Counter()
    selector = DefaultSelector()
    for connection in held:
        connection.setblocking(False)
        selector.register(connection, EVENT_WRITE)
    until = time.monotonic() + within_s
    while selector.get_map():
        assert time.monotonic() < until, f"{len(selector.get_map())} are not answered: {found}"
        for key, event in selector.select(1):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                if event & EVENT_WRITE:
                    connection.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
                    selector.modify(connection, EVENT_READ)
                    continue
                status = connection.recv(4096)[9:12]
            except OSError:
                status = b""
            found[status] += 1
            selector.unregister(connection)
    selector.close()
    return found


@pytest.mark.chaos
def test_ten_thousand_connections(sqlite_settings: DatabaseSettings, launch: Launch) -> None:
    """Those beyond the limit are told to come back; the rest is served, and nothing stays open."""
    count = connections(10_000)
    # They are opened before one of them asks: however long that takes, none may time out meanwhile.
    server = launch(sqlite_settings, receive_timeout_seconds=120, keepalive_seconds=2)
    set_price(server)
    history = History()
    with Crowd([server], seed=SEED, clients=2, history=history) as crowd:
        crowd.acknowledged_more(20)
        before = server.open_files()
        memory = server.memory_bytes()
        began = time.monotonic()
        held = opened(server.settings.server.port, count)
        try:
            connected_s = time.monotonic() - began
            found = answers_of(held, 30)
            answered_s = time.monotonic() - began - connected_s
            grown = server.memory_bytes() - memory
        finally:
            for connection in held:
                connection.close()
        crowd.acknowledged_more(20)
        until = time.monotonic() + 15
        while server.open_files() > before + 5:
            assert time.monotonic() < until, f"{server.open_files()} open, {before} before"
            time.sleep(0.1)
    print(
        f"{count} connections in {connected_s:.1f} s, answered in {answered_s:.1f} s: "
        f"{dict(found)}, grown {grown / MIB:.0f} MiB"
    )
    assert found.keys() <= {b"200", b"503", b""}
    assert found[b"200"] >= 500
    assert found[b"503"] + found[b"200"] > count * 0.9
    assert grown < 256 * MIB
    assert server.terminate() == 0
    check_ledger(sqlite_settings, history)


def test_silent_connections_are_closed(sqlite_settings: DatabaseSettings, launch: Launch) -> None:
    """They hold a place of the limit for the time that headers may take, and no longer."""
    server = launch(sqlite_settings, receive_timeout_seconds=6, max_connections=300)
    set_price(server)
    held = opened(server.settings.server.port, 300)
    try:
        time.sleep(0.3)
        refused = server.get("/live")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        until = time.monotonic() + 25
        while server.get("/live").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        history = History()
        with Crowd([server], seed=SEED, clients=4, history=history) as crowd:
            crowd.acknowledged_more(20)
    finally:
        for connection in held:
            connection.close()
    server.kill()
    check_ledger(sqlite_settings, history)
