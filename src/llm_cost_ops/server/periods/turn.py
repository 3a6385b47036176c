"""One adding-up of an organization's books at a time.

It reads every call of a month and is not bounded in time. Who asks again instead of waiting, as
clients do, would have the same month added up once more beside the first.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.http.problems import unavailable

RETRY_SECONDS = 5
_LOCK = threading.Lock()
_TAKEN: set[tuple[int, str]] = set()


@contextmanager
def adding_up(database: Database, organization_id: str) -> Generator[None]:
    """The organization's turn in this process. Raises Problem 503 while somebody else has it."""
    key = (id(database), organization_id)
    with _LOCK:
        if key in _TAKEN:
            text = "The books of this organization are being added up: ask again for the outcome."
            raise unavailable(text, RETRY_SECONDS)
        _TAKEN.add(key)
    try:
        yield
    finally:
        with _LOCK:
            _TAKEN.discard(key)
