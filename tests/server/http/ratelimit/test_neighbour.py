"""Fault row 40: one tenant floods, another hardly notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from llm_cost_ops.server.settings import RateLimitSettings
from tests.support.live import LiveServer, local, serving, sqlite_at

FLOODERS = 6
ASKED = 60
HARDLY_S = 0.25
"""What a busy machine may add to any request: below it twice the time means nothing."""
COSTS = "/api/v1/costs"


def p95_s(server: LiveServer, key: str) -> tuple[float, set[int]]:
    """The 95th percentile of a quiet client's answers, and their statuses."""
    took: list[float] = []
    statuses: set[int] = set()
    with httpx.Client(base_url=server.base_url, timeout=30) as client:
        for _ in range(ASKED):
            began = time.perf_counter()
            answer = client.get(COSTS, headers={"Authorization": f"Bearer {key}"})
            took.append(time.perf_counter() - began)
            statuses.add(answer.status_code)
    return sorted(took)[int(ASKED * 0.95)], statuses


@contextmanager
def flood(server: LiveServer, key: str) -> Iterator[list[int]]:
    """As many requests as some connections can send; the statuses so far."""
    ended, statuses = threading.Event(), list[int]()

    def ask() -> None:
        with httpx.Client(base_url=server.base_url, timeout=30) as client:
            while not ended.is_set():
                answer = client.get(COSTS, headers={"Authorization": f"Bearer {key}"})
                statuses.append(answer.status_code)
                time.sleep(0.005)  # the flood shares this machine with those who measure it

    threads = [threading.Thread(target=ask) for _ in range(FLOODERS)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_a_noisy_neighbour_is_held_up_and_nobody_else(tmp_path: Path) -> None:
    given = replace(
        local(sqlite_at(tmp_path)),
        rate_limit=RateLimitSettings(enabled=True, requests_per_minute=1_000),
    )
    with serving(given, tmp_path) as server:
        _, quiet = server.new_organization()
        idle_s, statuses = p95_s(server, quiet)
        assert statuses == {200}
        with flood(server, server.api_key) as noisy:
            while 429 not in noisy:
                time.sleep(0.05)
            busy_s, statuses = p95_s(server, quiet)
        assert statuses == {200}, "no error for the other"
        assert busy_s < max(2 * idle_s, idle_s + HARDLY_S)
        assert set(noisy) == {200, 429}
        assert noisy.count(200) <= 1_100
