"""Add up the books of months that are being closed, and store them."""

from __future__ import annotations

from collections.abc import Sequence

from llm_cost_ops.core.money import from_e10
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, report, write_retrying
from llm_cost_ops.server.ledger.books import books_of
from llm_cost_ops.server.ledger.periods import CLOSING, Period, finish, period_of
from llm_cost_ops.server.queue.outbox import Event, publish

CLOSED_TOPIC = "period.closed"
REOPENED_TOPIC = "period.reopened"


def finish_all(
    database: Database, organization_id: str, months: Sequence[str], now_us: int
) -> None:
    """Store the books of months, the oldest first. Who was stopped between goes on there when the
    month is closed once more."""
    for month in months:
        with report(database) as session:
            period = period_of(session, organization_id, month)
            if period.status != CLOSING:
                continue
            frozen = books_of(session, organization_id, month)

        def store(session: WriteSession, period: Period = period) -> None:
            done = finish(session, organization_id, period, frozen)  # noqa: B023 - called at once
            if done is not None:
                told(session, organization_id, CLOSED_TOPIC, done, now_us)

        write_retrying(database, store)


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
