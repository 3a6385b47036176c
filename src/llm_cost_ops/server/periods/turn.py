"""One adding-up of an organization's books at a time by the requests of a process.

It reads every call of a month. Who asks again instead of waiting, as clients do, would have the
same month added up once more beside the first. A closing that takes longer than seconds is a job,
of which there is one at a time in all processes.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.http.problems import Problem

RETRY_SECONDS = 5
_LOCK = threading.Lock()
_TAKEN: set[tuple[int, str]] = set()


class Taken(Problem):
    """Somebody else has the turn."""

    def __init__(self) -> None:
        text = "The books of this organization are being added up: ask again for the outcome."
        headers = {"Retry-After": str(RETRY_SECONDS)}
        super().__init__(503, "SERVICE_UNAVAILABLE", text, headers=headers)


@contextmanager
def adding_up(database: Database, organization_id: str) -> Generator[None]:
    """The organization's turn in this process. Raises Taken while somebody else has it."""
    key = (id(database), organization_id)
    with _LOCK:
        if key in _TAKEN:
            raise Taken
        _TAKEN.add(key)
    try:
        yield
    finally:
        with _LOCK:
            _TAKEN.discard(key)
