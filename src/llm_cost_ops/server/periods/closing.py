"""Add up the books of months that are being closed, and store them; move those of one that is being
opened.

The request that closes a month does it itself if that takes no longer than `AT_ONCE_SECONDS`. Its
job, of which an organization has one at a time whatever process it runs in, is due then: it does
what the request left, also where that was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.charges.draw import drawn_after_books
from llm_cost_ops.server.charges.store import opened_again
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, report, write_retrying
from llm_cost_ops.server.ledger.books import Frozen, GoOn, books_of
from llm_cost_ops.server.ledger.periods import CLOSING, Period, finish, period_of, unfinished
from llm_cost_ops.server.ledger.reopening import move_page, reopening
from llm_cost_ops.server.queue.enqueue import NewJob, enqueue, held_ready, runs_in
from llm_cost_ops.server.queue.outbox import Event, publish
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Again, Kind, Running, Work

CLOSED_TOPIC = "period.closed"
REOPENED_TOPIC = "period.reopened"
AT_ONCE_SECONDS = 5.0
SETTLE = Kind(
    "periods.settle",
    max_attempts=20,
    time_limit_s=24 * 3600,
    retry=exponential(first_s=5.0, most_s=300.0),
)
_MICROS = 1_000_000


class Overdue(Exception):
    """It takes longer than a request does."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Who adds up: how it writes, and what stops it."""

    write: Callable[[Callable[[WriteSession], object]], object]
    go_on: GoOn


def of_request(database: Database, clock: Clock, *, waits: bool) -> Turn:
    """The turn of a request, which raises Overdue when it has taken `AT_ONCE_SECONDS`, unless its
    client waits as long as it takes."""
    until_s = clock.monotonic() + AT_ONCE_SECONDS

    def go_on() -> None:
        if not waits and clock.monotonic() >= until_s:
            raise Overdue

    return Turn(partial(write_retrying, database), go_on)


def leave(session: WriteSession, organization_id: str, now_us: int) -> None:
    """Make sure that a worker goes on where the request does not come to the end."""
    lane = _lane(organization_id)
    if not held_ready(session, [lane]):
        run_at = now_us + round(AT_ONCE_SECONDS * _MICROS)
        enqueue(
            session,
            NewJob(SETTLE, {}, organization_id, run_at=run_at, lane=lane),
            now_us=now_us,
        )


def is_at_work(database: Database, organization_id: str) -> bool:
    """Whether a worker is at it."""
    with read(database) as session:
        return runs_in(session, _lane(organization_id))


def _lane(organization_id: str) -> str:
    return f"periods/{organization_id}"


def work(database: Database, clock: Clock) -> Work:
    """The room's jobs."""

    def settle(running: Running) -> None:
        def go_on() -> None:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

        turn = Turn(running.write, go_on)
        finish_all(database, str(running.job.organization_id), clock.micros(), turn)

    return Work(handlers={SETTLE: settle})


def finish_all(database: Database, organization_id: str, now_us: int, turn: Turn) -> None:
    """Store the books of all months that are being closed, the oldest first, and move what came
    late for one that is being opened. Who is stopped between is followed by who goes on there."""
    with read(database) as session:
        months = unfinished(session, organization_id)
    for month in months:
        with report(database) as session:
            period = period_of(session, organization_id, month)
            if period.status != CLOSING:
                continue
            frozen = books_of(session, organization_id, month, turn.go_on)
        drawn = drawn_after_books(database, organization_id, month, turn.go_on)
        turn.write(partial(_stored, organization_id, period, frozen, drawn, now_us))
    while True:
        with read(database) as session:
            if not reopening(session, organization_id):
                return
        turn.go_on()
        turn.write(partial(_moved, organization_id, now_us))


def _stored(
    organization_id: str,
    period: Period,
    frozen: Frozen,
    drawn: Mapping[str, int] | None,
    now_us: int,
    session: WriteSession,
) -> None:
    done = finish(session, organization_id, period, frozen, drawn)
    if done is not None:
        told(session, organization_id, CLOSED_TOPIC, done, now_us)


def _moved(organization_id: str, now_us: int, session: WriteSession) -> None:
    was = move_page(session, organization_id)
    if was is not None:
        opened_again(session, organization_id, was.month)
        told(session, organization_id, REOPENED_TOPIC, was, now_us)


def told(
    session: WriteSession, organization_id: str, topic: str, period: Period, now_us: int
) -> None:
    """Publish what became of a month."""
    payload = {
        "period": period.month,
        "requests": period.requests,
        "unpriced_count": period.unpriced,
        "total_tokens": period.total_tokens,
        "totals": [
            {"currency": currency, "total_cost": None if units is None else from_e10(units)}
            for currency, units in sorted((period.totals or {}).items())
        ],
        "sha256": period.digest,
    }
    publish(session, [Event(organization_id, topic, payload)], now_us=now_us)
