"""Real workers, killed between the call and its record: everything arrives, with the same ids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from llm_cost_ops.server.settings import DatabaseSettings, SecuritySettings, Settings
from tests.server.webhooks.conftest import LOCAL, SECRET, answered, body_of
from tests.support.application import Application, running
from tests.support.sink import Got, Reply, Sink, sink

KEY = "k" * 32
CALLS = 6
WAIT_S = 90.0
LEASE_S = 3


@contextlib.contextmanager
def worker(settings: DatabaseSettings) -> Iterator[subprocess.Popen[bytes]]:
    """`cost-ops worker` as a process."""
    env = {
        **os.environ,
        "COST_OPS_CONFIG": "none",
        "COST_OPS_DATABASE_URL": settings.url,
        "COST_OPS_WORKER_LEASE_SECONDS": str(LEASE_S),
        "COST_OPS_WORKER_POLL_SECONDS": "0.1",
        "WEBHOOK_ALLOW_SUBNETS": "127.0.0.0/8",
        "SECRET_KEY": KEY,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_cost_ops.cli", "worker"], env=env, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_event_arrives_though_workers_are_killed(
    database_settings: DatabaseSettings,
) -> None:
    settings = Settings(
        database=database_settings, delivery=LOCAL, security=SecuritySettings(secret_key=KEY)
    )
    with sink() as receiver, running(settings) as app:
        body = {"url": receiver.url, "events": ["cost.created"], "secret": SECRET}
        made = answered(app.post("/api/v1/webhooks", json=body), 201)
        wanted = {record(app, n) for n in range(CALLS)}
        for after in (1, 3):
            held(receiver, after)
            with worker(database_settings) as killed:
                until(lambda after=after: len(receiver.got) >= after)
                killed.send_signal(signal.SIGKILL)
        receiver.answer = None
        with worker(database_settings):
            path = f"/api/v1/webhooks/{made['id']}/deliveries"

            def done() -> bool:
                rows = answered(app.get(path))["data"]
                return Counter(row["status"] for row in rows) == {"delivered": CALLS}

            until(done)
        got = list(receiver.got)
    bodies = {each.header("webhook-id"): body_of(each) for each in got}
    assert {each["data"]["id"] for each in bodies.values()} == wanted
    assert len(bodies) == CALLS
    assert len({each.header("X-LLM-CostOps-Delivery-ID") for each in got}) == CALLS
    assert CALLS < len(got) <= CALLS + 2


def record(app: Application, number: int) -> str:
    call = {
        "provider": "openai",
        "model": "gpt-4o",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "event_id": f"e{number}",
    }
    return str(answered(app.post("/api/v1/usage", json=call), 201)["id"])


def held(receiver: Sink, after: int) -> None:
    """From the given request on the receiver does not answer."""

    def answer(_got: Got) -> Reply:
        return Reply(before_s=60) if len(receiver.got) >= after else Reply()

    receiver.answer = answer
