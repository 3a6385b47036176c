"""Expiry: what was reserved and neither settled nor released in time is booked at its estimate.

The call may have been made and billed, so the amount is not given back on a guess. The booked call
has the status `estimated`; whoever settles the reservation later corrects it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
LONGEST_US = 7 * 24 * POSTPONED_US
"""What cannot be booked is tried again after an hour, then after as long as it has been there, at
most a week, and held until then."""
_PASSING = (DatabaseUnavailable, SerializationRetry, LeaseLost)
T = TypeVar("T")


class Write(Protocol):
    """Commits what is done in a session; may do it again after a deadlock."""

    def __call__(self, work: Callable[[WriteSession], T], /) -> T: ...


def expire(
    session: WriteSession, prices: Prices, now_us: int, limit: int = BATCH, *, wait: bool = True
) -> int:
    """Book reservations that have expired, the oldest first; how many were looked at. Run it again
    while that is `limit`. Several may run at once: each reservation is booked by one of them.
    Raises VersionHeld when budgets are being changed and `wait` is false."""
    due = store.due(session, now_us, limit)
    if due:
        errands = [_errand(*found) for found in due]
        carry_out(session, errands, prices, now_us=now_us, wait=wait)
    return len(due)


def expire_apart(write: Write, prices: Prices, now_us: int, limit: int = BATCH) -> int:
    """As `expire`, in transactions of `write`. When a reservation cannot be booked, those of other
    organizations are, then the others of its own, each by itself, and that one is postponed. Raises
    what says that the database, or the lease, is not there."""
    try:
        return write(lambda session: expire(session, prices, now_us, limit))
    except _PASSING:
        raise
    except Exception as error:
        logger("budgets").error(
            "expired reservations were not booked together", error=type(error).__name__
        )
    due = write(lambda session: store.due(session, now_us, limit))
    failed: list[Errand] = []
    for organization_id in sorted({owner for _, owner in due}):
        errands = [_errand(found, owner) for found, owner in due if owner == organization_id]
        if not _booked(write, prices, now_us, errands):
            failed += errands
    for errand in failed:
        _expire_one(write, prices, now_us, errand)
    return len(due)


def _booked(write: Write, prices: Prices, now_us: int, errands: Sequence[Errand]) -> bool:
    """Whether the reservations were booked together."""
    try:
        write(lambda session: carry_out(session, errands, prices, now_us=now_us))
    except _PASSING:
        raise
    except Exception:
        return False
    return True


def _expire_one(write: Write, prices: Prices, now_us: int, errand: Errand) -> None:
    try:
        write(lambda session: carry_out(session, [errand], prices, now_us=now_us))
    except _PASSING:
        raise
    except Exception as error:
        logger("budgets").error(
            "an expired reservation was postponed",
            reservation_id=errand.reservation_id,
            error=type(error).__name__,
        )
        write(lambda session: _postpone(session, errand, now_us))


def _postpone(session: WriteSession, errand: Errand, now_us: int) -> None:
    organization_id, reservation_id = errand.organization_id, errand.reservation_id
    row = store.one(session, organization_id, reservation_id)
    if row is not None:
        age_us = now_us - int(row["created_at"])
        later_us = min(max(POSTPONED_US, age_us), LONGEST_US)
        store.postpone(session, organization_id, reservation_id, now_us + later_us)


def _errand(reservation_id: str, organization_id: str) -> Errand:
    return Errand(EXPIRE, organization_id, reservation_id=reservation_id)
