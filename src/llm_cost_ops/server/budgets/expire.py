"""Expiry: what was reserved and neither settled nor released in time is booked at its estimate.

The call may have been made and billed, so the amount is not given back on a guess. The booked call
has the status `estimated`; whoever settles the reservation later corrects it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from llm_cost_ops.server.budgets import store
from llm_cost_ops.server.budgets.errand import EXPIRE, Errand
from llm_cost_ops.server.budgets.work import carry_out
from llm_cost_ops.server.db.errors import DatabaseUnavailable, SerializationRetry
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.pricing.resolve import Prices
from llm_cost_ops.server.queue.work import LeaseLost

BATCH = 500
POSTPONED_US = 3_600 * 1_000_000
"""What cannot be booked is tried again after an hour, and held until then."""
_PASSING = (DatabaseUnavailable, SerializationRetry, LeaseLost)
T = TypeVar("T")


class Write(Protocol):
    """Commits what is done in a session; may do it again after a deadlock."""

    def __call__(self, work: Callable[[WriteSession], T], /) -> T: ...


def expire(session: WriteSession, prices: Prices, now_us: int, limit: int = BATCH) -> int:
    """Book reservations that have expired, the oldest first; how many were looked at. Run it again
    while that is `limit`. Several may run at once: each reservation is booked by one of them."""
    due = store.due(session, now_us, limit)
    if due:
        carry_out(session, [_errand(*found) for found in due], prices, now_us=now_us)
    return len(due)


def expire_apart(write: Write, prices: Prices, now_us: int, limit: int = BATCH) -> int:
    """As `expire`, in transactions of `write`. When a reservation cannot be booked, the others are,
    each by itself, and that one is postponed. Raises what says that the database, or the lease, is
    not there."""
    try:
        return write(lambda session: expire(session, prices, now_us, limit))
    except _PASSING:
        raise
    except Exception as error:
        logger("budgets").error(
            "expired reservations were not booked together", error=type(error).__name__
        )
    due = write(lambda session: store.due(session, now_us, limit))
    for reservation_id, organization_id in due:
        _expire_one(write, prices, now_us, reservation_id, organization_id)
    return len(due)


def _expire_one(
    write: Write, prices: Prices, now_us: int, reservation_id: str, organization_id: str
) -> None:
    errand = _errand(reservation_id, organization_id)
    try:
        write(lambda session: carry_out(session, [errand], prices, now_us=now_us))
    except _PASSING:
        raise
    except Exception as error:
        logger("budgets").error(
            "an expired reservation was postponed",
            reservation_id=reservation_id,
            error=type(error).__name__,
        )
        until_us = now_us + POSTPONED_US
        write(lambda session: store.postpone(session, organization_id, reservation_id, until_us))


def _errand(reservation_id: str, organization_id: str) -> Errand:
    return Errand(EXPIRE, organization_id, reservation_id=reservation_id)
