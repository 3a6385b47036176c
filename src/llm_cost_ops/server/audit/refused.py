"""Who was let in and who was not: noted as it happens, written soon after, and bounded.

A flood of refused requests must not fill the disk. Of one caller and kind there is at most one
entry a minute with a count, one an hour for those who were let in; the first is written within
`FLUSH_SECONDS`. When more than `MAX_KNOWN` callers come in between, the others are counted as one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from anyio import to_thread

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.audit.record import DENIED, FAILURE, INSTALLATION, SUCCESS, record
from llm_cost_ops.server.audit.who import OPERATOR, Who
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.errors import PASSING
from llm_cost_ops.server.db.session import WriteSession, write_retrying
from llm_cost_ops.server.http.logs import logger, redact_text

FLUSH_SECONDS = 2.0
MINUTE_US = 60 * 1_000_000
HOUR_US = 60 * MINUTE_US
MAX_KNOWN = 1_000
ANONYMOUS = Who("anonymous")
LET_IN, FAILED, REFUSED, LIMITED = "auth.success", "auth.failure", "auth.denied", "auth.limited"
_OF_STATUS = {401: (FAILED, FAILURE), 403: (REFUSED, DENIED), 429: (LIMITED, DENIED)}


class _Caller(NamedTuple):
    organization_id: str
    action: str
    who: Who


@dataclass(slots=True)
class _Count:
    """How often since the last entry, and what the last of them was about."""

    outcome: str
    count: int = 0
    began_us: int = 0
    due_us: int = 0
    request_id: str = ""
    about: str = ""
    code: str = ""


class Attempts:
    """The attempts to get in as one process sees them. Noted in the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._counts: dict[_Caller, _Count] = {}
        self._log = logger("audit")

    def let_in(self, organization_id: str, who: Who, request_id: str, about: str) -> None:
        """Somebody was let in. The operator at the command line always is."""
        if who.kind != OPERATOR:
            self._note(_Caller(organization_id, LET_IN, who), SUCCESS, request_id, about, "")

    def refused(
        self,
        status: int,
        code: str,
        organization_id: str | None,
        who: Who,
        request_id: str,
        about: str,
    ) -> None:
        """Somebody was not: 401, 403 or 429. Other answers are no refusals."""
        found = _OF_STATUS.get(status)
        if found is not None:
            action, outcome = found
            caller = _Caller(organization_id or INSTALLATION, action, who)
            self._note(caller, outcome, request_id, about, code)

    def _note(self, caller: _Caller, outcome: str, request_id: str, about: str, code: str) -> None:
        count = self._counts.get(caller)
        if count is None:
            if len(self._counts) >= MAX_KNOWN:
                caller = _Caller(INSTALLATION, caller.action, ANONYMOUS)
                count = self._counts.get(caller)
            if count is None:
                count = self._counts[caller] = _Count(outcome)
        if count.count == 0:
            count.began_us = self._clock.micros()
        count.count += 1
        count.request_id, count.about, count.code = request_id, about, code

    async def keep_written(self) -> None:
        """Write what is due now and then, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self, *, all_of_it: bool = False) -> None:
        """Write what is due. What cannot be written now is tried again the next time."""
        now_us = self._clock.micros()
        due = {
            caller: count
            for caller, count in self._counts.items()
            if count.count and (all_of_it or count.due_us <= now_us)
        }
        told = {caller: count.count for caller, count in due.items()}
        if due:
            try:
                await to_thread.run_sync(
                    self._write, [(c, _copy(n)) for c, n in due.items()], now_us
                )
            except PASSING as error:
                self._log.warning("attempts not written", reason=error.message)
                return
        for caller, written in told.items():
            count = self._counts[caller]
            count.count -= written
            count.began_us = now_us
            count.due_us = now_us + (HOUR_US if caller.action == LET_IN else MINUTE_US)
        for caller in [c for c, n in self._counts.items() if not n.count and n.due_us <= now_us]:
            del self._counts[caller]

    def _write(self, due: list[tuple[_Caller, _Count]], now_us: int) -> None:
        def work(session: WriteSession) -> None:
            for caller, count in due:
                since = format_micros(count.began_us)
                after = {"count": count.count, "since": since, "last": count.about}
                record(
                    session,
                    organization_id=caller.organization_id,
                    actor_id=caller.who.actor_id,
                    action=caller.action,
                    resource_type="credential",
                    resource_id=caller.who.actor_id or "unknown",
                    after={**after, "code": count.code} if count.code else after,
                    request_id=count.request_id,
                    now_us=now_us,
                    outcome=count.outcome,
                    who=caller.who,
                )

        write_retrying(self._database, work)


def _copy(count: _Count) -> _Count:
    return _Count(
        count.outcome,
        count.count,
        count.began_us,
        count.due_us,
        count.request_id,
        redact_text(count.about),
        count.code,
    )
