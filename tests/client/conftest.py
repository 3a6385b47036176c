"""The SDK against the fake server it ships, driven synchronously and asynchronously."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_cost_ops.testing import FakeServer

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
PRICE = {
    "provider": "openai",
    "model": "unit-1",
    "effective_date": "2025-01-01",
    "pricing_structure": {
        "type": "per_token",
        "input_price_per_million": 10,
        "output_price_per_million": 30,
    },
}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's environment says must not reach a test."""
    import os

    for name in list(os.environ):
        if name.startswith(("LLM_COST_OPS_", "COST_OPS_")) and name != "COST_OPS_SHARED":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_log_level() -> Iterator[None]:
    logger = logging.getLogger("llm_cost_ops.client")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def fake() -> FakeServer:
    """A fake with one own price, 10 and 30 dollars per million tokens, on 15 March 2026."""
    fake = FakeServer(now=lambda: NOW)
    fake.prices.add(PRICE, "price_unit", NOW)
    return fake


class Driven:
    """A client of either kind, its methods called the same way and answered with results."""

    def __init__(self, client: Any, runner: asyncio.Runner | None) -> None:
        self.client = client
        self._runner = runner

    def __call__(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        return self._runner.run(result) if self._runner else result

    def rows(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> list[Any]:
        """Everything that a listing gives."""
        if self._runner is None:
            return list(method(*args, **kwargs))

        async def collect() -> list[Any]:
            return [row async for row in method(*args, **kwargs)]

        return self._runner.run(collect())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Iterator[Callable[..., Driven]]:
    """Makes a client of a fake: `drive(fake, **options)`."""
    runner = asyncio.Runner() if request.param == "async" else None
    made: list[Any] = []

    def make(fake: FakeServer, **options: Any) -> Driven:
        client = fake.async_client(**options) if runner else fake.client(**options)
        made.append(client)
        return Driven(client, runner)

    yield make
    for client in made:
        if runner:
            runner.run(client.http_client.aclose())
        else:
            client.session.close()
    if runner:
        runner.close()


@pytest.fixture
def api(fake: FakeServer, drive: Callable[..., Driven]) -> Driven:
    """A client of `fake`, of each kind in turn."""
    return drive(fake)
