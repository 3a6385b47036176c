"""Guessing is slowed, not forbidden: after some failures each further attempt has to wait.

Failures are counted per e-mail address (whether or not somebody has it), per IP address and per
account's second factor, in the database, so that several servers count as one. The wait doubles up
to a limit and ends: who guesses cannot lock the owner out for good, and the owner's known browser
is counted on its own. An attempt counts as failed until it has succeeded, so that a hundred at once
are not one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from llm_cost_ops.server.db.dialects import insert_ignore, lock_rows
from llm_cost_ops.server.db.errors import SerializationRetry
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.signin.tables import sign_in_attempts

_ROW = sign_in_attempts.c
_US = 1_000_000
FORGET_AFTER_US = 3_600 * _US
"""Failures are forgotten so long after the last one, and after the wait that it brought."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an attempt is about, and how many failures are free."""

    name: str
    free: int


def subject(kind: str, value: str, free: int) -> Subject:
    """`value` is not stored: it may be an address of somebody who has nothing to do with us."""
    return Subject(f"{kind}:{hashlib.sha256(value.encode()).hexdigest()}", free)


class TooManyAttempts(Problem):
    """429: wait. It says the same whether or not there is such an account."""

    def __init__(self, wait_us: int) -> None:
        seconds = max(1, -(-wait_us // _US))
        super().__init__(
            429,
            "RATE_LIMIT_EXCEEDED",
            "Too many attempts. Try again later.",
            headers={"Retry-After": str(seconds)},
        )


def count_attempt(
    session: WriteSession, subjects: Iterable[Subject], *, now_us: int, longest_s: int
) -> int:
    """Count one attempt as failed for now; how long it has to wait in microseconds: then nothing
    was counted. Raises SerializationRetry when another attempt was forgiven meanwhile."""
    wanted = sorted(subjects, key=lambda each: each.name)
    blank = {"failures": 0, "last_at": now_us, "blocked_until": 0}
    session.execute(
        insert_ignore(session.kind, sign_in_attempts, ["subject"]),
        [{"subject": each.name, **blank} for each in wanted],
    )
    statement = select(sign_in_attempts).where(_ROW.subject.in_([each.name for each in wanted]))
    rows = {
        row["subject"]: row
        for row in session.execute(lock_rows(statement.order_by(_ROW.subject))).mappings()
    }
    if len(rows) < len(wanted):  # forgiven between our insert and our look
        raise SerializationRetry
    wait_us = max(int(row["blocked_until"]) - now_us for row in rows.values())
    if wait_us > 0:
        return wait_us
    for each in wanted:
        row = rows[each.name]
        quiet_since = max(int(row["last_at"]), int(row["blocked_until"]))
        before = 0 if quiet_since <= now_us - FORGET_AFTER_US else int(row["failures"])
        failures = before + 1
        session.execute(
            update(sign_in_attempts)
            .where(_ROW.subject == each.name)
            .values(
                failures=failures,
                last_at=now_us,
                blocked_until=now_us + _wait_us(failures - each.free, longest_s),
            )
        )
    return 0


def _wait_us(beyond: int, longest_s: int) -> int:
    """The wait after a failure that is the `beyond`-th that was not free."""
    return 0 if beyond < 0 else min(2 ** min(beyond, 30), longest_s) * _US


def forgive(session: WriteSession, subjects: Iterable[Subject]) -> None:
    """The attempts have succeeded: nothing counts any more."""
    names = sorted(each.name for each in subjects)
    session.execute(delete(sign_in_attempts).where(_ROW.subject.in_(names)))


def take_back(session: WriteSession, one: Subject) -> None:
    """This attempt was no failure; those before it stay: who has an account of their own must not
    wipe out what their address did to others."""
    session.execute(
        update(sign_in_attempts)
        .where(_ROW.subject == one.name, _ROW.failures > 0)
        .values(failures=_ROW.failures - 1, blocked_until=0)
    )


def forget_old(session: WriteSession, *, now_us: int) -> int:
    """Delete what no longer counts. Returns how many."""
    gone = session.execute(
        delete(sign_in_attempts).where(
            _ROW.last_at <= now_us - FORGET_AFTER_US, _ROW.blocked_until <= now_us
        )
    )
    return gone.rowcount
