"""Fault row 40: one tenant floods, another is refused nothing."""

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
COSTS = "/api/v1/costs"


def statuses_of(server: LiveServer, key: str) -> set[int]:
    """The statuses of a quiet client's answers."""
    with httpx.Client(base_url=server.base_url, timeout=30) as client:
        headers = {"Authorization": f"Bearer {key}"}
        return {client.get(COSTS, headers=headers).status_code for _ in range(ASKED)}


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
        with flood(server, server.api_key) as noisy:
            while 429 not in noisy:
                time.sleep(0.05)
            assert statuses_of(server, quiet) == {200}
        assert set(noisy) == {200, 429}
