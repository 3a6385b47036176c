"""A revoked key, where several processes remember keys each for itself."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.support.live import LiveServer, children, local, serving

WITHIN_SECONDS = 1.0
"""How soon every server refuses a revoked key: `cost-ops auth revoke-api-key`."""
LATER_SECONDS = 2.0
"""A worker that looked the key up in vain does not take it again afterwards."""
PATIENCE_SECONDS = 60.0


def two_workers(server: LiveServer) -> list[int]:
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found := children(server.process)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(found) == 2
    return list(found)


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """The process accepts nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while state_of(pid) != "T" and time.monotonic() < until:
            time.sleep(0.01)
        assert state_of(pid) == "T"
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def ask(
    connection: HTTPConnection, key: str, method: str = "GET", path: str = "validate"
) -> tuple[int, str | None]:
    """The status and the error code of an answer."""
    headers = {"Authorization": f"Bearer {key}"}
    connection.request(method, f"/api/v1/auth/{path}", headers=headers)
    answer = connection.getresponse()
    body = json.loads(answer.read() or b"{}")
    return answer.status, body.get("error", {}).get("code")


@pytest.mark.check(7)
@pytest.mark.postgres
def test_every_worker_refuses_a_revoked_key_within_a_second(
    postgres_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """One worker revokes the key; nobody tells the other, which has just accepted it. A request
    that begins a second after the revocation is refused however slow the machine is."""
    settings = local(postgres_settings, workers=2, keepalive_seconds=PATIENCE_SECONDS)
    with serving(settings, tmp_path) as server, ExitStack() as stack:
        workers = two_workers(server)
        connections: list[HTTPConnection] = []
        for other in reversed(workers):
            opened = HTTPConnection(server.host, server.port, timeout=PATIENCE_SECONDS)
            connections.append(stack.enter_context(closing(opened)))
            with halted(other):  # so the connection is the worker's that still runs
                assert ask(opened, server.api_key) == (200, None)
        key_id, secret = server.new_key("*")
        for connection in connections:
            assert ask(connection, secret) == (200, None)

        path = f"api-keys/{key_id}"
        assert ask(connections[0], server.api_key, "DELETE", path) == (204, None)
        revoked_s = time.monotonic()
        late: list[tuple[int, str | None]] = []
        after_s = 0.0
        while after_s < LATER_SECONDS:
            after_s = time.monotonic() - revoked_s
            answers = [ask(connection, secret) for connection in connections]
            late += answers if after_s >= WITHIN_SECONDS else []
            time.sleep(0.01)

        assert set(late) == {(401, "AUTH_001")}
        for connection in connections:
            assert ask(connection, server.api_key) == (200, None), "another key is not affected"
        assert children(server.process) == workers
