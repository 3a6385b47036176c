"""Rows for a fake server, and answers put in its mouth."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.testing import FakeServer
from llm_cost_ops.testing.server import Answer


def add(fake: FakeServer, count: int, **fields: Any) -> None:
    client = fake.client()
    client.costs.bulk_create(
        {"model": "unit-1", "tokens_used": n, "cost": Decimal(n + 1) / 1000, **fields}
        for n in range(count)
    )
    client.session.close()
    fake.requests.clear()


def answers(monkeypatch: pytest.MonkeyPatch, fake: FakeServer, *bodies: object) -> list[str]:
    """The fake answers these bodies, the last one over and over; gives the queries asked."""
    left = [json.dumps(body).encode() for body in bodies]
    asked: list[str] = []

    def handle(method: str, url: str, headers: Any, body: bytes) -> Answer:
        asked.append(url.partition("?")[2])
        return Answer(200, {}, left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(fake, "handle", handle)
    return asked
