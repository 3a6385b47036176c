"""kill -9 of the server while clients send: nothing acknowledged is lost, nothing counted twice.

`COST_OPS_CHAOS_CYCLES` sets the number of cycles, `COST_OPS_CHAOS_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.ledger.verify import verify
from llm_cost_ops.server.settings import DatabaseSettings
from tests.chaos.history import History, compare
from tests.chaos.load import PRICE, Client
from tests.support.server_process import ServerProcess

CYCLES = int(os.environ.get("COST_OPS_CHAOS_CYCLES", "20"))
SEED = int(os.environ.get("COST_OPS_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
CLIENTS = 8
READY_WITHIN_S = 10.0


@pytest.mark.chaos
def test_kill_nine_loses_and_doubles_nothing(
    database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    print(f"seed {SEED}, {CYCLES} cycles")
    chance = random.Random(SEED)
    history, stop = History(), threading.Event()
    server = ServerProcess(database_settings.url, tmp_path / "server.log")
    server.start()
    requests.post(
        f"{server.base_url}/api/v1/pricing", json=PRICE, headers=server.headers, timeout=10
    ).raise_for_status()
    clients = [
        Client(server.base_url, server.headers, f"c{n}", chance.randrange(10**9), history, stop)
        for n in range(CLIENTS)
    ]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _ in range(CYCLES):
            time.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            assert server.start() < READY_WITHIN_S
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with requests.Session() as session:
        session.headers.update(server.headers)
        for client in clients:
            client.settle(session)
    server.kill()
    _check(database_settings, history)


def _check(settings: DatabaseSettings, history: History) -> None:
    database = open_database(settings)
    with read(database) as session:
        rows = session.execute(text("SELECT event_id, cost_e10 FROM usage_records")).all()
        outbox = session.execute(text("SELECT COUNT(*) FROM outbox")).scalar_one()
        proof = verify(session)
    database.dispose()
    ledger = [(row.event_id, row.cost_e10) for row in rows]
    findings = compare(history, ledger)
    print(
        f"{len(history.attempted)} attempted, {len(history.acknowledged)} acknowledged: {findings}"
    )
    assert findings.none, findings
    assert not history.unknown()
    assert len(history.acknowledged) == len(ledger) > CYCLES
    assert proof.ok, proof.first_difference
    assert proof.totals["USD"] == from_e10(sum(cost for _, cost in ledger))
    assert 0 < outbox <= len(ledger)
