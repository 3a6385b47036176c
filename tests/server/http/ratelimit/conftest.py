"""Apps with limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from llm_cost_ops.server.settings import DatabaseSettings, RateLimitSettings, Settings
from tests.support.application import Application, running

Limited = Callable[..., AbstractContextManager[Application]]


@pytest.fixture
def limited(sqlite_settings: DatabaseSettings) -> Limited:
    """`limited(requests_per_minute=5)`: an app with these settings of `[rate_limit]`."""

    def start(**chosen: object) -> AbstractContextManager[Application]:
        own = RateLimitSettings(**{"enabled": True, **chosen})  # type: ignore[arg-type]
        return running(Settings(database=sqlite_settings, rate_limit=own))

    return start


@pytest.fixture
def five(limited: Limited) -> Iterator[Application]:
    with limited(requests_per_minute=5) as made:
        yield made
