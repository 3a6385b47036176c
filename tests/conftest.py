"""Settings of all tests."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator
from typing import Any

import coverage
import pytest
from hypothesis import settings

from llm_cost_ops.server.settings import RateLimitSettings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

MEASURED = 2
_run: Counter[str] = Counter()

# One key sends thousands of requests here; tests of the limits switch them on.
_built_in_code: Any = RateLimitSettings.__init__
_built_in_code.__kwdefaults__["enabled"] = False


def pytest_collection_finish() -> None:
    """Ten thousand collected tests are millions of objects: looked through again and again by the
    collector of garbage, they cost a third of the time of a test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _is_one_more(item: pytest.Item) -> bool:
    name = item.nodeid.partition("[")[0]
    _run[name] += 1
    return _run[name] > MEASURED and not name.startswith("tests/core")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Measure coverage by the quick tests on SQLite and those that ask no database, and of those
    that are run with many values by the first: the others would tell little more, and a test that
    is measured takes two thirds longer."""
    measuring = coverage.Coverage.current()
    apart = any(item.get_closest_marker(kind) for kind in ("postgres", "mysql", "slow", "chaos"))
    if measuring is None or not (apart or _is_one_more(item)):
        return (yield)
    measuring.stop()
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)  # of the processes that a test starts
    try:
        return (yield)
    finally:
        measuring.start()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failure when it happens: a run that is cut off never comes to its summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message.splitlines()[0] if crash else ""
        print(f"\nFAILED {report.nodeid} ({report.when}): {message}"[:400], flush=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what a worker of pytest-xdist measured: it is ended without the exit that would."""
    measuring = coverage.Coverage.current()
    if measuring is not None and hasattr(session.config, "workerinput"):
        measuring.stop()
        measuring.save()
