"""SIGTERM under load (fault row 2): what is under way is answered, and the exit code is 0."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.conftest import Launch
from tests.chaos.history import History
from tests.chaos.ledger import check_ledger
from tests.chaos.load import Caller, Crowd, set_price
from tests.chaos.scale import SEED, up_to
from tests.support.server_process import ServerProcess

DRAINED_WITHIN_S = 30.0


@pytest.mark.chaos
def test_a_rolling_restart_fails_no_acknowledged_call(
    database_settings: DatabaseSettings, launch: Launch
) -> None:
    """Two servers on one database take turns; clients go to the one that answers."""
    first = launch(database_settings)
    second = launch(database_settings, tenant=first.tenant)
    set_price(first)
    with Crowd([first, second], seed=SEED, clients=6) as crowd:
        for restart in range(up_to(4, 20)):
            crowd.acknowledged_more(20)
            server = (first, second)[restart % 2]
            began = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - began < DRAINED_WITHIN_S
            server.start()
    assert first.terminate() == second.terminate() == 0
    check_ledger(database_settings, crowd.history)


def test_a_batch_under_way_is_answered(database_settings: DatabaseSettings, launch: Launch) -> None:
    server = launch(database_settings)
    set_price(server)
    history = History()
    batch = Caller("c", SEED, history).batch(500)
    body = json.dumps({"records": batch}).encode()
    with socket.create_connection(("127.0.0.1", server.settings.server.port), 30) as opened:
        opened.sendall(_head(server, len(body)) + body[:10_000])
        time.sleep(0.2)
        os.kill(server.pid, signal.SIGTERM)
        time.sleep(0.3)
        opened.sendall(body[10_000:])
        answer = b"".join(iter(lambda: opened.recv(65_536), b""))
    assert server.wait() == 0
    head, _, said = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    results = json.loads(said, parse_float=str, parse_int=str)["results"]
    assert len(results) == len(batch)
    history.acknowledge(results)
    check_ledger(database_settings, history)


def _head(server: ServerProcess, length: int) -> bytes:
    return (
        "POST /api/v1/usage/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.tenant.key}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
