"""Who makes a report: one request or worker of all processes, for as long as it lives.

A claim is an instant in the report's row, renewed by a thread of whoever makes it. A process that
dies renews nothing, and soon after anybody may make the report.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import write_retrying
from llm_cost_ops.server.reports import store

LEASE_S = 60
RENEWED_S = LEASE_S / 4


class Claim:
    """The claim on one report. What was taken must be ended."""

    def __init__(self, database: Database, clock: Clock, row: Mapping[str, Any]) -> None:
        self._database, self._clock = database, clock
        self._place = (str(row["organization_id"]), str(row["id"]))
        self._over = threading.Event()
        self._until = 0
        self._thread = threading.Thread(target=self._renew, name="report-claim", daemon=True)

    def take(self) -> bool:
        """Whether the report is ours to make; then it stays so until the end."""
        now_us, until = self._clock.micros(), self._later()
        mine = write_retrying(
            self._database, lambda session: store.claim(session, *self._place, now_us, until)
        )
        if mine:
            self._until = until
            self._thread.start()
        return mine

    def end(self, made: bool) -> None:
        """Stop renewing. One that could not make the report lets others try at once; where it is
        made, its outcome ends the claim."""
        self._over.set()
        self._thread.join()
        if not made:
            with suppress(*PASSING):  # then time ends it
                self._move(None)

    def _renew(self) -> None:
        while not self._over.wait(RENEWED_S):
            later = self._later()
            with suppress(*PASSING):  # there are three more turns before it ends
                self._move(later)
                self._until = later

    def _move(self, until: int | None) -> None:
        write_retrying(
            self._database,
            lambda session: store.move_claim(session, *self._place, self._until, until),
        )

    def _later(self) -> int:
        return self._clock.micros() + LEASE_S * 1_000_000
