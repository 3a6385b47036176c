"""Sinks of the channels, and what carries notices to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.delivery.deliver import Carriers
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.settings import DeliverySettings, EmailSettings
from tests.support.sink import Sink, sink

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def service() -> Iterator[Sink]:
    """A chat, pager or receiver of webhooks on this machine."""
    with sink() as made:
        yield made


@pytest.fixture
def carriers() -> Callable[..., Carriers]:
    """What carries notices, with calls to this machine allowed; arguments are mail settings."""

    def made(timeout_s: float = 5.0, **mail: Any) -> Carriers:
        clock = FixedClock(NOW)
        settings = DeliverySettings(allow_networks=("127.0.0.0/8",), timeout_seconds=timeout_s)
        return Carriers(http=Outbound(settings, clock), mail=EmailSettings(**mail), clock=clock)

    return made
