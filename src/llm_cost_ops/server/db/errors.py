"""What may go wrong between us and the database, in our own words.

DomainError
├── DatabaseUnavailable   SERVICE_UNAVAILABLE   not now: answer 503 with Retry-After, try again
├── SerializationRetry    SERVICE_UNAVAILABLE   another transaction won: run this one again
└── DatabaseConfiguration DATABASE_ERROR        the settings cannot work; trying again cannot help

Messages carry no SQL, no values and no host names; the driver's own error is the `__cause__`.
"""

from __future__ import annotations

from enum import StrEnum

from llm_cost_ops.core.errors import DomainError


class Reason(StrEnum):
    """Why the database cannot be used now."""

    CONNECTION = "connection"
    """Refused, lost, or silent for longer than it may be."""
    TIMEOUT = "timeout"
    """A statement was given up by the server."""
    POOL = "pool"
    """Every connection is in use."""
    LOCKED = "locked"
    """Another process holds the write lock (SQLite)."""
    FULL = "full"
    """No space is left on the database's disk."""
    IO = "io"
    """The disk failed or the file is damaged; the connection was closed and is never reused."""
    READ_ONLY = "read_only"
    """The database takes no writes: a replica, or a file we may not write."""


_MESSAGES = {
    Reason.CONNECTION: "The database does not answer.",
    Reason.TIMEOUT: "The database took too long.",
    Reason.POOL: "All database connections are in use.",
    Reason.LOCKED: "Another process is writing to the database.",
    Reason.FULL: "The database has no space left.",
    Reason.IO: "The database cannot read or write its files.",
    Reason.READ_ONLY: "The database accepts no writes.",
}


class DatabaseUnavailable(DomainError):
    """Nothing was acknowledged. `retry_after` is in whole seconds.

    With `outcome_unknown` the connection was lost while committing: the transaction may or may not
    have happened, and only a repetition with the same ids tells.
    """

    code = "SERVICE_UNAVAILABLE"

    def __init__(
        self, reason: Reason, *, retry_after: int = 1, outcome_unknown: bool = False
    ) -> None:
        super().__init__(_MESSAGES[reason])
        self.reason = reason
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown


class SerializationRetry(DomainError):
    """Deadlock, serialization failure or lock wait: rolled back whole, may be run again at once."""

    code = "SERVICE_UNAVAILABLE"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("Another transaction changed the same data at the same time.")


PASSING = (DatabaseUnavailable, SerializationRetry)
"""Troubles of the database alone: what was asked for was not judged, and may be asked again."""


class DatabaseConfiguration(DomainError):
    """A database URL or server that cannot be used as it is configured."""

    code = "DATABASE_ERROR"


def is_outage(error: BaseException) -> bool:
    """Whether whatever else is asked now would fail, too; a statement that took too long says
    nothing of others."""
    if isinstance(error, DatabaseUnavailable):
        return error.reason is not Reason.TIMEOUT
    return isinstance(error, SerializationRetry)
