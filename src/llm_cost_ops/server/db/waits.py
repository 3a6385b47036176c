"""How long statements may take: short for requests, unlimited for maintenance."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings import DatabaseSettings

CLIENT_MARGIN_SECONDS = 0.5
"""The client waits this much longer than the server, so that a living server speaks first."""

MAINTENANCE_LOCK_MS = 30_000


@dataclass(frozen=True, slots=True)
class Waits:
    """0 milliseconds is no limit; `answer_seconds` bounds the silence of the server."""

    statement_ms: int
    lock_ms: int
    answer_seconds: float | None


def request_waits(settings: DatabaseSettings) -> Waits:
    return Waits(
        statement_ms=settings.statement_timeout_ms,
        lock_ms=settings.lock_timeout_ms,
        answer_seconds=answer_seconds(settings.statement_timeout_ms),
    )


def answer_seconds(statement_ms: int) -> float:
    """How long the client waits for a statement that the server gives up after `statement_ms`."""
    return statement_ms / 1000 + CLIENT_MARGIN_SECONDS


def maintenance_waits() -> Waits:
    """Verify, rebuild, migrate: work of minutes, with somebody watching."""
    return Waits(statement_ms=0, lock_ms=MAINTENANCE_LOCK_MS, answer_seconds=None)
