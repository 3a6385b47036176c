"""Settings of all tests."""

from __future__ import annotations

import gc
from typing import Any

import coverage
import pytest
from hypothesis import settings

from llm_cost_ops.server.settings import RateLimitSettings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# One key sends thousands of requests here; tests of the limits switch them on.
_built_in_code: Any = RateLimitSettings.__init__
_built_in_code.__kwdefaults__["enabled"] = False


def pytest_collection_finish() -> None:
    """Ten thousand collected tests are millions of objects: looked through again and again by the
    collector of garbage, they cost a third of the time of a test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what a worker of pytest-xdist measured: it is ended without the exit that would."""
    measuring = coverage.Coverage.current()
    if measuring is not None and hasattr(session.config, "workerinput"):
        measuring.stop()
        measuring.save()
